//! Watches the demo's workload from outside, as a sceptical user would: which pods live, how many the stable version is to have.
//!
//! Invariant: it reads the API server only. Nothing here is told by Belay about itself, but for the lines that narrate.

use std::{
    collections::{BTreeMap, BTreeSet},
    pin::pin,
    sync::{Arc, Mutex},
};

use belay_api::Rollout;
use belay_engine::rollout::status::Phase;
use futures::StreamExt as _;
use k8s_openapi::api::{apps::v1::ReplicaSet, core::v1::Pod};
use kube::{
    Api, Client, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::task::JoinSet;

use super::report::Report;

/// What has been seen.
#[derive(Debug, Default)]
pub(super) struct Seen {
    /// UIDs of the living pods by image.
    pub(super) pods: BTreeMap<String, BTreeSet<String>>,
    /// Smallest number of desired pods of each image's ReplicaSet since the last `forget`.
    pub(super) least_desired: BTreeMap<String, i32>,
}

/// A running watch.
#[derive(Debug)]
pub(super) struct Observer {
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

impl Observer {
    /// Begins to watch the Rollout `name` and the pods and ReplicaSets labelled `app=name`.
    pub(super) fn start(client: &Client, namespace: &str, name: &str, report: Arc<Report>) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let mut tasks = JoinSet::new();
        tasks.spawn(narrate(
            Api::namespaced(client.clone(), namespace),
            name.to_owned(),
            report,
        ));
        tasks.spawn(follow_pods(
            Api::namespaced(client.clone(), namespace),
            name.to_owned(),
            seen.clone(),
        ));
        tasks.spawn(follow_sets(
            Api::namespaced(client.clone(), namespace),
            name.to_owned(),
            seen.clone(),
        ));
        Self {
            seen,
            _tasks: tasks,
        }
    }

    /// UIDs of the living pods of an image.
    pub(super) fn pods(&self, image: &str) -> BTreeSet<String> {
        self.read(|seen| seen.pods.get(image).cloned().unwrap_or_default())
    }

    /// Smallest number of desired pods of an image's ReplicaSet since the last `forget`.
    pub(super) fn least_desired(&self, image: &str) -> Option<i32> {
        self.read(|seen| seen.least_desired.get(image).copied())
    }

    /// Begins the smallest numbers anew.
    pub(super) fn forget(&self) {
        if let Ok(mut seen) = self.seen.lock() {
            seen.least_desired.clear();
        }
    }

    fn read<T: Default>(&self, with: impl FnOnce(&Seen) -> T) -> T {
        self.seen.lock().map(|seen| with(&seen)).unwrap_or_default()
    }
}

async fn narrate(api: Api<Rollout>, name: String, report: Arc<Report>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={name}"));
    let mut last = String::new();
    let mut stream = pin!(watcher(api, config).default_backoff().applied_objects());
    // A watch that fails begins again by itself.
    while let Some(seen) = stream.next().await {
        let Ok(rollout) = seen else { continue };
        let line = line(&rollout);
        if line != last {
            report.say(&line);
            last = line;
        }
    }
}

/// The Rollout in one line, as `kubectl get rollouts` shows it.
fn line(rollout: &Rollout) -> String {
    let Some(status) = &rollout.status else {
        return "Rollout: no status yet".to_owned();
    };
    let mut parts = vec![format!("Rollout: {:?}", status.phase)];
    if let (Phase::Progressing, Some(step)) = (status.phase, &status.step_text) {
        parts.push(format!("step {step}"));
    }
    if let Some(weight) = status.weight_percent {
        parts.push(format!("{weight} %"));
    }
    if let Some(verdict) = status.verdict {
        parts.push(format!("verdict {verdict:?}"));
    }
    if let Some(waiting) = &status.waiting_for {
        parts.push(waiting.message.clone());
    }
    parts.join(" · ")
}

async fn follow_pods(api: Api<Pod>, app: String, seen: Arc<Mutex<Seen>>) {
    let config = watcher::Config::default().labels(&format!("app={app}"));
    let mut stream = pin!(watcher(api, config).default_backoff());
    while let Some(event) = stream.next().await {
        if let (Ok(mut seen), Ok(event)) = (seen.lock(), event) {
            match event {
                watcher::Event::Apply(pod) | watcher::Event::InitApply(pod) => {
                    if pod.metadata.deletion_timestamp.is_none() {
                        let uid = pod.uid().unwrap_or_default();
                        seen.pods
                            .entry(image_of(pod.spec.as_ref()))
                            .or_default()
                            .insert(uid);
                    } else {
                        forget_pod(&mut seen, &pod);
                    }
                }
                watcher::Event::Delete(pod) => forget_pod(&mut seen, &pod),
                watcher::Event::Init => seen.pods.clear(),
                watcher::Event::InitDone => {}
            }
        }
    }
}

fn forget_pod(seen: &mut Seen, pod: &Pod) {
    let uid = pod.uid().unwrap_or_default();
    for uids in seen.pods.values_mut() {
        uids.remove(&uid);
    }
}

async fn follow_sets(api: Api<ReplicaSet>, app: String, seen: Arc<Mutex<Seen>>) {
    let config = watcher::Config::default().labels(&format!("app={app}"));
    let mut stream = pin!(watcher(api, config).default_backoff().applied_objects());
    while let Some(set) = stream.next().await {
        if let (Ok(mut seen), Some(spec)) = (seen.lock(), set.ok().and_then(|set| set.spec)) {
            let image = image_of(
                spec.template
                    .as_ref()
                    .and_then(|template| template.spec.as_ref()),
            );
            let desired = spec.replicas.unwrap_or(0);
            let least = seen.least_desired.entry(image).or_insert(desired);
            *least = desired.min(*least);
        }
    }
}

fn image_of(spec: Option<&k8s_openapi::api::core::v1::PodSpec>) -> String {
    spec.and_then(|spec| spec.containers.first())
        .and_then(|container| container.image.clone())
        .unwrap_or_default()
}
