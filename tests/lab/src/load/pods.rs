//! Follows the cluster's pods.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};

use super::LoadHandle;
use super::life::Life;
use super::model::{Key, PodFacts};

/// Says which pods belong together; its value is the workload's name.
const WORKLOAD_LABEL: &str = "app";
/// What the controllers of workloads tell versions apart by.
const REVISION_LABELS: [&str; 2] = ["pod-template-hash", "controller-revision-hash"];

/// Pods of workloads, which are those that get load.
pub(super) fn of_workloads() -> watcher::Config {
    watcher::Config::default().labels(WORKLOAD_LABEL)
}

/// Keeps the model's pods in step with the cluster, without end: the watch outlives restarts of the API server.
pub(super) async fn follow(client: Client, load: &LoadHandle, selected: watcher::Config) {
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
    let label = |name: &str| pod.labels().get(name).cloned();
    if let Some(image) = image {
        let status = pod.status.as_ref();
        load.apply(PodFacts {
            key: key(pod),
            workload: label(WORKLOAD_LABEL).unwrap_or_default(),
            image,
            revision: REVISION_LABELS
                .into_iter()
                .find_map(label)
                .unwrap_or_default(),
            address: status.and_then(|status| status.pod_ip.as_ref()?.parse().ok()),
            life: Life::of(pod),
        });
    }
}
