//! Looking at governed workloads from outside: their pods, their ReplicaSets, and what must be true all the time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use futures::StreamExt as _;
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt as _,
    api::ListParams,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::task::JoinHandle;

use crate::Error;

/// Names of pods by UID, of the pods with these labels that are not going away.
pub async fn pods(
    client: &Client,
    namespace: &str,
    labels: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let api: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let list = api.list(&ListParams::default().labels(labels)).await?;
    Ok(list
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(|pod| (pod.uid().unwrap_or_default(), pod.name_any()))
        .collect())
}

/// Everything that was ever seen of the ReplicaSets with some labels, by a watch from the time of its making on.
#[derive(Debug)]
pub struct SetWatch {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

/// By `pod-template-hash`: desired replicas in the order of their changes.
type Seen = BTreeMap<String, Vec<i32>>;

impl SetWatch {
    /// Begins to watch, and returns once the present state is known.
    pub async fn begin(client: &Client, namespace: &str, labels: &str) -> Self {
        let api: Api<ReplicaSet> = Api::namespaced(client.clone(), namespace);
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let noted = Arc::clone(&seen);
        let (ready, listed) = tokio::sync::oneshot::channel();
        let config = watcher::Config::default().labels(labels);
        let task = tokio::spawn(async move {
            let mut ready = Some(ready);
            let mut events = Box::pin(watcher(api, config).default_backoff());
            while let Some(event) = events.next().await {
                match event {
                    Ok(watcher::Event::Apply(set) | watcher::Event::InitApply(set)) => {
                        note(&noted, &set);
                    }
                    Ok(watcher::Event::InitDone) => {
                        if let Some(ready) = ready.take() {
                            let _ = ready.send(());
                        }
                    }
                    _ => {}
                }
            }
        });
        let _ = listed.await;
        Self { seen, task }
    }

    /// What was seen so far.
    pub fn seen(&self) -> BTreeMap<String, Vec<i32>> {
        lock(&self.seen).clone()
    }
}

impl Drop for SetWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn note(seen: &Mutex<Seen>, set: &ReplicaSet) {
    let hash = set.labels().get("pod-template-hash").cloned();
    let desired = set.spec.as_ref().and_then(|spec| spec.replicas);
    let (Some(hash), Some(desired)) = (hash, desired) else {
        return;
    };
    let mut seen = lock(seen);
    let history = seen.entry(hash).or_default();
    if history.last() != Some(&desired) {
        history.push(desired);
    }
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
