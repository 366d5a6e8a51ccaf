//! Pods: made and deleted by the ReplicaSet controller, started by kubelets, lost with nodes.

use crate::world::{Pod, World};

impl World {
    /// The ReplicaSet controller and the kubelets look at one ReplicaSet; says whether anything changed.
    pub(crate) fn tend(&mut self, name: &str) -> bool {
        let room = self.quota.map(|quota| quota - self.all_pods());
        let clock_ms = self.clock_ms;
        let counter = &mut self.counter;
        let Some(set) = self.sets.get_mut(name) else {
            return false;
        };
        let before = (
            set.pods.len(),
            set.shown.total,
            set.shown.ready,
            set.shown.problem.is_some(),
        );
        if set.shown.terminating {
            set.pods.clear();
        }
        let desired = if set.shown.terminating {
            0
        } else {
            usize::try_from(set.shown.desired).unwrap_or(0)
        };
        let ready_ms = self
            .contents
            .get(set.content)
            .and_then(|content| content.ready_ms);
        let missing = desired.saturating_sub(set.pods.len());
        let allowed = room.map_or(missing, |room| {
            missing.min(usize::try_from(room).unwrap_or(0))
        });
        for _ in 0..allowed {
            *counter += 1;
            set.pods.push(Pod {
                id: *counter,
                ready_at_ms: ready_ms.map(|ms| clock_ms + ms),
                ready: false,
            });
        }
        if set.pods.len() > desired {
            // Pods that are not ready go first.
            set.pods.sort_by_key(|pod| !pod.ready);
            set.pods.truncate(desired);
        }
        for pod in &mut set.pods {
            pod.ready |= pod.ready_at_ms.is_some_and(|at| at <= clock_ms);
        }
        set.shown.problem = (allowed < missing).then(|| "exceeded quota".to_owned());
        set.shown.total = i32::try_from(set.pods.len()).unwrap_or(i32::MAX);
        set.shown.ready =
            i32::try_from(set.pods.iter().filter(|pod| pod.ready).count()).unwrap_or(0);
        set.shown.available = set.shown.ready;
        let after = (
            set.pods.len(),
            set.shown.total,
            set.shown.ready,
            set.shown.problem.is_some(),
        );
        let gone = set.shown.terminating && set.pods.is_empty() && before.0 == 0;
        if gone {
            self.sets.remove(name);
            self.controller_idle = false;
            return true;
        }
        if before != after {
            self.changed_set(name);
        }
        before != after
    }

    pub(crate) fn tend_all(&mut self) -> bool {
        let names: Vec<String> = self.sets.keys().cloned().collect();
        let mut changed = false;
        for name in &names {
            changed |= self.tend(name);
        }
        changed
    }

    /// A node is lost: some pods are made anew.
    pub(crate) fn lose_pods(&mut self, name: &str) {
        let clock_ms = self.clock_ms;
        let lost = self.rng.usize(1..4);
        let counter = &mut self.counter;
        let Some(set) = self.sets.get_mut(name) else {
            return;
        };
        let ready_ms = self
            .contents
            .get(set.content)
            .and_then(|content| content.ready_ms);
        for pod in set.pods.iter_mut().take(lost) {
            *counter += 1;
            *pod = Pod {
                id: *counter,
                ready_at_ms: ready_ms.map(|ms| clock_ms + ms + 1),
                ready: false,
            };
        }
    }

    /// When the next pod gets ready.
    pub(crate) fn next_pod_ms(&self) -> Option<i64> {
        let pods = self.sets.values().flat_map(|set| &set.pods);
        pods.filter(|pod| !pod.ready)
            .filter_map(|pod| pod.ready_at_ms)
            .min()
    }

    fn all_pods(&self) -> i32 {
        let pods: usize = self.sets.values().map(|set| set.pods.len()).sum();
        i32::try_from(pods).unwrap_or(i32::MAX)
    }
}
