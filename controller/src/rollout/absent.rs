//! Rollouts whose workload does not exist, or does not carry Belay's label yet.
//!
//! While there are any, one metadata watch for each kind on workloads without the label tells at once when such a workload appears.
//! While there are none, the watch is closed, and other people's workloads cost nothing.

use std::{
    collections::BTreeMap,
    fmt::Debug,
    sync::{Arc, Mutex, PoisonError},
};

use belay_api::{Rollout, names::ROLLOUT_LABEL, rollout::WorkloadKind};
use futures::StreamExt as _;
use kube::{
    Api, ResourceExt as _,
    core::{NamespaceResourceScope, PartialObjectMeta},
    runtime::watcher::Event,
};
use tokio::sync::watch;

use super::world::World;
use crate::{
    Context, Result,
    watch::{Selection, Triggers, events},
};

/// Workload (namespace, name) by Rollout (namespace, name).
type Waiting = BTreeMap<(String, String), String>;

/// The Rollouts that wait for their workload.
#[derive(Debug)]
pub(super) struct Absent {
    waiting: Mutex<Waiting>,
    any: watch::Sender<bool>,
    triggers: Triggers<Rollout>,
}

impl Absent {
    /// None yet.
    pub(super) fn new(triggers: Triggers<Rollout>) -> Self {
        Self {
            waiting: Mutex::default(),
            any: watch::Sender::new(false),
            triggers,
        }
    }

    /// To be called *before* the API server is asked for the workload: should it appear in between, the watch tells.
    pub(super) fn expect(&self, namespace: &str, rollout: &str, workload: &str) {
        let mut waiting = self.lock();
        waiting.insert((namespace.into(), rollout.into()), workload.into());
        self.any
            .send_if_modified(|any| !std::mem::replace(any, true));
    }

    /// The Rollout waits no longer.
    pub(super) fn settle(&self, namespace: &str, rollout: &str) {
        let mut waiting = self.lock();
        if !waiting.is_empty() {
            waiting.remove(&(namespace.into(), rollout.into()));
            let none = waiting.is_empty();
            self.any
                .send_if_modified(|any| none && std::mem::replace(any, false));
        }
    }

    fn appeared(&self, namespace: &str, workload: &str) {
        for ((ns, rollout), expected) in self.lock().iter() {
            if ns == namespace && expected == workload {
                self.triggers.trigger(ns, rollout);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs the watch whenever somebody waits.
    pub(super) async fn watch<K>(
        world: Arc<World>,
        context: Arc<Context>,
        kind: WorkloadKind,
    ) -> Result<()>
    where
        K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + Debug
            + Send
            + 'static,
    {
        let absent = world.absent_of(kind);
        let mut any = absent.any.subscribe();
        loop {
            // The sender lives in the world, which this task holds.
            let _ = any.wait_for(|any| *any).await;
            let api: Api<PartialObjectMeta<K>> = match &context.settings.namespace {
                Some(namespace) => Api::namespaced(context.client.clone(), namespace),
                None => Api::all(context.client.clone()),
            };
            let unlabelled = Selection::labels(format!("!{ROLLOUT_LABEL}"));
            let (server, metrics) = (context.server, &context.metrics);
            let resource = match kind {
                WorkloadKind::Deployment => "deployments",
                WorkloadKind::StatefulSet => "statefulsets",
                WorkloadKind::DaemonSet => "daemonsets",
            };
            let mut seen = Box::pin(events(api, unlabelled, server, metrics, resource));
            loop {
                tokio::select! {
                    _ = any.wait_for(|any| !*any) => break,
                    event = seen.next() => match event {
                        Some(Event::Apply(d) | Event::InitApply(d)) => {
                            absent.appeared(&d.namespace().unwrap_or_default(), &d.name_any());
                        }
                        Some(_) => {}
                        None => break,
                    },
                }
            }
        }
    }
}
