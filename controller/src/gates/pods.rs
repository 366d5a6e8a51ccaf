//! Pods of Rollouts under comparison: who they are, since when they run and serve.
//!
//! Invariant: pods are watched only while a gate compares them, by a selector of their own, and only what the counting needs is
//! kept. An idle Rollout has no watch.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::{Api, Client, ResourceExt as _, runtime::watcher::Event};
use tokio::{sync::watch, task::JoinHandle};

use belay_engine::digest::{CONTROLLER_REVISION_HASH, POD_TEMPLATE_HASH};

use crate::{
    telemetry::Metrics,
    watch::{Selection, ServerVersion, events},
};

/// Longest wait for the first list of a watch.
const FIRST_LIST: Duration = Duration::from_secs(10);

/// What the counting needs to know of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodFacts {
    /// Name.
    pub(crate) name: String,
    /// Hash of the template that it was made from.
    pub(crate) hash: Option<String>,
    /// When the youngest of its processes was started.
    pub(crate) started_at: Timestamp,
    /// When it was last found ready; `None` while it is not.
    pub(crate) ready_at: Option<Timestamp>,
}

/// Makes watches, and has those that ask for the same pods share one.
pub(crate) struct Pods {
    client: Client,
    server: ServerVersion,
    metrics: Arc<Metrics>,
    watches: Mutex<HashMap<(String, String), Weak<PodWatch>>>,
}

/// A watch on pods; it ends with its last user.
#[derive(Debug)]
pub(crate) struct PodWatch {
    seen: watch::Receiver<Seen>,
    task: JoinHandle<()>,
}

#[derive(Clone, Debug, Default)]
struct Seen {
    complete: bool,
    pods: HashMap<String, PodFacts>,
}

impl Pods {
    pub(crate) fn new(client: Client, server: ServerVersion, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            server,
            metrics,
            watches: Mutex::default(),
        }
    }

    /// The watch on the pods of `namespace` that `selector` (labels) selects.
    pub(crate) fn watch(&self, namespace: &str, selector: &str) -> Arc<PodWatch> {
        let mut watches = self.watches.lock().unwrap_or_else(PoisonError::into_inner);
        watches.retain(|_, watch| watch.strong_count() > 0);
        let key = (namespace.to_owned(), selector.to_owned());
        if let Some(watch) = watches.get(&key).and_then(Weak::upgrade) {
            return watch;
        }
        let watch = Arc::new(self.begin(namespace, selector));
        watches.insert(key, Arc::downgrade(&watch));
        watch
    }

    fn begin(&self, namespace: &str, selector: &str) -> PodWatch {
        let (sender, seen) = watch::channel(Seen::default());
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let selection = Selection::labels(selector);
        let events = events(api, selection, self.server, &self.metrics, "pods");
        let task = tokio::spawn(async move {
            let mut events = Box::pin(events);
            let mut listed = HashMap::new();
            while let Some(event) = events.next().await {
                match event {
                    Event::Init => listed.clear(),
                    Event::InitApply(pod) => take_in(&mut listed, &pod),
                    Event::InitDone => {
                        let pods = std::mem::take(&mut listed);
                        sender.send_replace(Seen {
                            complete: true,
                            pods,
                        });
                    }
                    Event::Apply(pod) => sender.send_modify(|seen| take_in(&mut seen.pods, &pod)),
                    Event::Delete(pod) => sender.send_modify(|seen| {
                        seen.pods.remove(&pod.name_any());
                    }),
                }
            }
        });
        PodWatch { seen, task }
    }
}

impl PodWatch {
    /// The pods as they are now. Waits for the first list.
    pub(crate) async fn pods(&self) -> Result<Vec<PodFacts>, String> {
        let mut seen = self.seen.clone();
        let complete = seen.wait_for(|seen| seen.complete);
        match tokio::time::timeout(FIRST_LIST, complete).await {
            Ok(Ok(seen)) => Ok(seen.pods.values().cloned().collect()),
            _ => Err(
                "the pods can't be listed; see whether Belay may list and watch pods in this namespace"
                    .to_owned(),
            ),
        }
    }
}

impl Drop for PodWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn take_in(pods: &mut HashMap<String, PodFacts>, pod: &Pod) {
    let name = pod.name_any();
    match facts(pod) {
        Some(facts) => pods.insert(name, facts),
        None => pods.remove(&name),
    };
}

/// What is kept of a pod; nothing of one that has ended.
fn facts(pod: &Pod) -> Option<PodFacts> {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    if matches!(phase, Some("Succeeded" | "Failed")) {
        return None;
    }
    let containers = status.into_iter().flat_map(|status| {
        let own = status.container_statuses.iter().flatten();
        own.chain(status.init_container_statuses.iter().flatten())
    });
    let ready = status
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready" && condition.status == "True");
    let created_at = pod.creation_timestamp().map(|time| time.0);
    Some(PodFacts {
        name: pod.name_any(),
        hash: pod
            .labels()
            .get(POD_TEMPLATE_HASH)
            .or_else(|| pod.labels().get(CONTROLLER_REVISION_HASH))
            .cloned(),
        started_at: containers
            .filter_map(running_since)
            .max()
            .or(created_at)
            .unwrap_or(Timestamp::UNIX_EPOCH),
        ready_at: ready.and_then(|condition| {
            let since = condition.last_transition_time.as_ref();
            since.map(|time| time.0).or(created_at)
        }),
    })
}

fn running_since(container: &ContainerStatus) -> Option<Timestamp> {
    let running = container.state.as_ref()?.running.as_ref()?;
    running.started_at.as_ref().map(|time| time.0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(status: &serde_json::Value) -> Option<PodFacts> {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "web-1", "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {"pod-template-hash": "abc"}},
            "status": status,
        }))
        .unwrap();
        facts(&pod)
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_pod_is_as_old_as_its_youngest_process() {
        let facts = pod(&json!({
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:09Z"}],
            "containerStatuses": [
                {"name": "web", "image": "w", "imageID": "", "ready": true, "restartCount": 1, "state": {"running": {"startedAt": "2026-01-01T00:05:00Z"}}},
                {"name": "proxy", "image": "p", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {"startedAt": "2026-01-01T00:00:03Z"}}}],
        }))
        .unwrap();
        assert_eq!(facts.started_at, time("2026-01-01T00:05:00Z"));
        assert_eq!(facts.ready_at, Some(time("2026-01-01T00:00:09Z")));
        assert_eq!(facts.hash.as_deref(), Some("abc"));
    }

    #[test]
    fn a_pod_that_waits_is_known_and_one_that_ended_is_not() {
        let waiting = pod(&json!({"phase": "Pending"})).unwrap();
        assert_eq!(waiting.started_at, time("2026-01-01T00:00:00Z"));
        assert_eq!(waiting.ready_at, None);
        assert_eq!(pod(&json!({"phase": "Failed"})), None);
    }
}
