//! Why a candidate's pods don't become ready, in the words of the scheduler or the kubelet.
//!
//! ReplicaSets tell of quotas; for the rest the pods must be asked. There is no watch on pods: a few are listed when pods of a
//! candidate have not been ready for a while, and again at growing intervals.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use belay_api::Rollout;
use belay_engine::rollout::{
    RolloutStatus,
    observed::{ReplicaSet, Workload as Seen},
};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, ResourceExt as _, api::ListParams};
use tokio::time::Instant;

use super::{Shell, project::Set};
use crate::{client::bounded, text};

/// Pods that are looked at: one that tells what is wrong is enough.
const PODS_LISTED: u32 = 10;

/// How long pods may be unready before they are asked.
const FIRST_LOOK: Duration = Duration::from_secs(10);

/// Longest time between two looks.
const SLOWEST_LOOK: Duration = Duration::from_mins(2);

/// Longest text that is passed on.
const MESSAGE_BYTES: usize = 300;

/// What was found, by UID of the Rollout.
#[derive(Debug, Default)]
pub(super) struct Problems(Mutex<HashMap<String, Looking>>);

#[derive(Clone, Debug)]
struct Looking {
    set_uid: String,
    next: Instant,
    pause: Duration,
    problem: Option<String>,
}

impl Looking {
    fn begin(set_uid: &str) -> Self {
        Self {
            set_uid: set_uid.to_owned(),
            next: Instant::now() + FIRST_LOOK,
            pause: FIRST_LOOK,
            problem: None,
        }
    }
}

impl Problems {
    /// The last finding, and whether it is time to look.
    fn last(&self, rollout_uid: &str, set: &ReplicaSet) -> (Option<String>, bool) {
        let mut all = self.lock();
        if set.available >= set.desired || set.terminating {
            all.remove(rollout_uid);
            return (None, false);
        }
        let looking = all
            .entry(rollout_uid.to_owned())
            .or_insert_with(|| Looking::begin(&set.uid));
        if looking.set_uid != set.uid {
            *looking = Looking::begin(&set.uid);
        }
        let now = Instant::now();
        let due = looking.next <= now;
        if due {
            looking.pause = (looking.pause * 2).min(SLOWEST_LOOK);
            looking.next = now + looking.pause;
        }
        (looking.problem.clone(), due)
    }

    fn found(&self, rollout_uid: &str, problem: Option<String>) {
        if let Some(looking) = self.lock().get_mut(rollout_uid) {
            looking.problem = problem;
        }
    }

    /// When the pods should be asked next.
    pub(super) fn next_look(&self, rollout_uid: &str) -> Option<Duration> {
        let all = self.lock();
        let looking = all.get(rollout_uid)?;
        Some(looking.next.saturating_duration_since(Instant::now()))
    }

    /// Drops what is remembered of a Rollout.
    pub(super) fn forget(&self, rollout_uid: &str) {
        self.lock().remove(rollout_uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Looking>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shell {
    /// Adds to the sets (and to the Deployment while it is being promoted) what their pods complain of.
    pub(super) async fn add_problems(
        &self,
        rollout: &Rollout,
        seen: &mut Seen,
        sets: &mut [Set],
        status: &RolloutStatus,
    ) {
        let uid = rollout.uid().unwrap_or_default();
        let label = rollout.spec.workload_ref.kind.hash_label();
        let namespace = &rollout.namespace().unwrap_or_default();
        let hash = status.candidate.as_ref().map(|c| &c.version.hash);
        let set = sets.iter_mut().find(|set| Some(&set.view.hash) == hash);
        let Some(set) = set else {
            self.problems.forget(&uid);
            return;
        };
        let (mut problem, due) = self.problems.last(&uid, &set.view);
        if due {
            match self.ask_pods(namespace, label, &set.view.hash).await {
                Ok(found) => {
                    problem = found;
                    self.problems.found(&uid, problem.clone());
                }
                Err(error) => tracing::debug!(%error, namespace, "the pods were not asked"),
            }
        }
        if set.view.problem.is_none() {
            set.view.problem = problem;
        }
        if let Seen::Deployment(deployment) = seen
            && deployment.problem.is_none()
        {
            deployment.problem.clone_from(&set.view.problem);
        }
    }

    async fn ask_pods(
        &self,
        namespace: &str,
        label: &str,
        hash: &str,
    ) -> crate::Result<Option<String>> {
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), namespace);
        let parameters = ListParams::default()
            .labels(&format!("{label}={hash}"))
            .limit(PODS_LISTED);
        let pods = bounded("listing pods", api.list(&parameters)).await?;
        Ok(pods.items.iter().find_map(complaint))
    }
}

/// What is wrong with a pod, without its name: the name differs from pod to pod.
fn complaint(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    let scheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = scheduled {
        let why = condition.message.as_deref().unwrap_or("no node fits");
        return Some(line(&format!("a pod can't be scheduled: {why}")));
    }
    status
        .container_statuses
        .iter()
        .flatten()
        .find_map(container_complaint)
        .map(|text| line(&text))
}

fn line(text: &str) -> String {
    text::line(text, MESSAGE_BYTES).trim_end().to_owned()
}

fn container_complaint(container: &ContainerStatus) -> Option<String> {
    let name = &container.name;
    let waiting = container.state.as_ref()?.waiting.as_ref()?;
    let reason = waiting.reason.as_deref()?;
    match reason {
        "ContainerCreating" | "PodInitializing" => None,
        "CrashLoopBackOff" => Some(format!("container {name} crashes again and again")),
        other => {
            let message = waiting.message.as_deref().unwrap_or_default();
            Some(format!("container {name}: {other} {message}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "web-1"}, "status": status})).unwrap()
    }

    #[test]
    fn a_pod_says_what_keeps_it_from_starting() {
        let unschedulable = pod(&json!({"conditions": [
            {"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}]}));
        assert_eq!(
            complaint(&unschedulable).as_deref(),
            Some("a pod can't be scheduled: 0/3 nodes are available")
        );
        let waiting = |reason: &str| {
            pod(
                &json!({"containerStatuses": [{"name": "web", "image": "", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": reason, "message": "not there"}}}]}),
            )
        };
        assert_eq!(
            complaint(&waiting("ErrImagePull")).as_deref(),
            Some("container web: ErrImagePull not there")
        );
        assert_eq!(complaint(&waiting("ContainerCreating")), None);
    }
}
