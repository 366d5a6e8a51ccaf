//! The StatefulSet controller, as far as it matters. One call is one sync on the spec that it has seen.
//!
//! Written after Kubernetes 1.36: below the partition pods are made of the current revision, from it on of the template's; ordered,
//! nothing is done while a pod that comes before is not ready; the rolling update deletes from the highest place down, one at a
//! time; and when every pod is of the template's revision and ready, that becomes the current one.

use belay_engine::{quarantine, rollout::status::Phase};

use super::cluster::{Cluster, Management, Reported};

impl Cluster {
    /// One sync.
    pub(super) fn sync_places(&mut self) {
        self.core.see_spec(60);
        let gone: Vec<i32> = self
            .pods
            .iter()
            .filter(|(_, pod)| pod.gone_at.is_some_and(|at| at <= self.core.seconds))
            .map(|(place, _)| *place)
            .collect();
        for place in gone {
            let pod = self.pods.remove(&place);
            if pod.is_some_and(|pod| pod.removed) {
                self.emptied.insert(place);
            }
            self.core.happens(&format!("pod {place} is gone"));
        }
        let update = self.core.seen.content;
        let current = self.core.reported.current.unwrap_or(update);
        self.move_pods(current, update);
        self.report(current, update);
    }

    fn move_pods(&mut self, current: usize, update: usize) {
        let replicas = self.core.seen.replicas;
        let ordered = self.management == Management::Ordered;
        for place in 0..replicas {
            let Some(pod) = self.pods.get(&place) else {
                let content = if place < self.core.seen.partition {
                    current
                } else {
                    update
                };
                self.make(place, content);
                if ordered {
                    return;
                }
                continue;
            };
            if ordered && (pod.gone_at.is_some() || !self.core.ready(pod)) {
                return;
            }
        }
        let surplus = self.pods.range(replicas..).next_back();
        if let Some((&place, pod)) = surplus {
            if pod.gone_at.is_none() {
                self.end(place, "scaled away");
            }
            if ordered {
                return;
            }
        }
        for place in (self.core.seen.partition..replicas).rev() {
            let Some(pod) = self.pods.get(&place) else {
                return;
            };
            if pod.content != update && pod.gone_at.is_none() {
                return self.end(place, "updated");
            }
            if pod.gone_at.is_some() || !self.core.ready(pod) {
                return;
            }
        }
    }

    fn make(&mut self, place: i32, content: usize) {
        self.check_made(place, content);
        let pod = self.core.make_pod(content);
        self.emptied.remove(&place);
        self.pods.insert(place, pod);
        self.core.tell(&format!("pod {place} is made of {content}"));
    }

    fn end(&mut self, place: i32, why: &str) {
        if let Some(pod) = self.pods.get_mut(&place) {
            pod.delete(self.core.seconds);
        }
        self.core.happens(&format!("pod {place} is deleted: {why}"));
    }

    fn report(&mut self, current: usize, update: usize) {
        let staying = || self.pods.values().filter(|pod| pod.gone_at.is_none());
        let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
        let total = number(self.pods.len());
        let ready = number(
            self.pods
                .values()
                .filter(|pod| self.core.ready(pod))
                .count(),
        );
        let updated = number(staying().filter(|pod| pod.content == update).count());
        let complete = updated == total && ready == total && total == self.core.seen.replicas;
        self.core.report(Reported {
            observed_generation: self.core.seen.generation,
            current: Some(if complete { update } else { current }),
            update: Some(update),
            total,
            ready,
            updated,
        });
    }

    /// What comes where Belay deleted a pod is not what it was deleted for, and rejected content that is held gets no pods.
    fn check_made(&mut self, place: i32, content: usize) {
        let digest = &self.core.content(content).template.digest;
        let rejected = quarantine::find(&self.core.status.quarantine, digest).is_some();
        let phase = self.core.status.phase;
        if rejected && self.emptied.contains(&place) && phase == Phase::RollingBack {
            self.core.breaks(
                "comes_back_stable",
                format!("pod {place}, deleted to go back, is made of {content} again"),
            );
        }
        let settled = self.core.seen == self.core.spec;
        if rejected && phase == Phase::Rejected && settled && self.core.labelled {
            self.core.breaks(
                "quarantine_holds",
                format!("pod {place} is made of {content}"),
            );
        }
    }
}
