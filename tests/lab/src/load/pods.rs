//! Follows the cluster's pods.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

use super::LoadHandle;
use super::model::{Key, PodFacts};

/// Keeps the model's pods in step with the cluster, without end: the watch outlives restarts of the API server.
pub(super) async fn follow(client: Client, load: &LoadHandle) {
    // Pods without a workload have no traffic.
    let selected = watcher::Config::default().labels("app");
    let events = watcher(Api::<Pod>::all(client), selected).default_backoff();
    let mut events = std::pin::pin!(events);
    let mut listed: BTreeSet<Key> = BTreeSet::new();
    loop {
        // An error is followed by another try after a pause, so there is nothing to do about it.
        let Ok(event) = events.try_next().await else {
            continue;
        };
        match event {
            Some(watcher::Event::Init) => listed.clear(),
            Some(watcher::Event::InitApply(pod)) => {
                listed.insert(key(&pod));
                apply(load, &pod);
            }
            Some(watcher::Event::InitDone) => load.model().retain(&listed),
            Some(watcher::Event::Apply(pod)) => apply(load, &pod),
            Some(watcher::Event::Delete(pod)) => load.model().remove(&key(&pod)),
            None => return,
        }
    }
}

fn key(pod: &Pod) -> Key {
    (pod.namespace().unwrap_or_default(), pod.name_any())
}

fn apply(load: &LoadHandle, pod: &Pod) {
    let image = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.containers.first()?.image.clone());
    let workload = pod.labels().get("app").cloned();
    if let (Some(image), Some(workload)) = (image, workload) {
        load.model().apply(PodFacts {
            key: key(pod),
            workload,
            image,
            ready: serves(pod),
        });
    }
}

/// Whether a Service would send requests to the pod.
fn serves(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    ready && pod.metadata.deletion_timestamp.is_none()
}
