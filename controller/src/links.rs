//! What the Release controller knows of Rollouts: a Release waits for the verdicts of those that govern its workloads.
//!
//! Invariant: each store is filled by the controller of its kind alone. The other one only reads it, and waits for its first
//! list before it decides anything. (The word of a Release on promoting together reaches Rollouts by a watch of their own.)

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use belay_api::{Release, Rollout};
use kube::{
    Resource, ResourceExt as _,
    runtime::reflector::{self, ObjectRef, Store, store::Writer},
};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;

use crate::watch::Triggers;

/// Objects of one kind, and who of them is to be looked at.
pub struct Shared<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// The objects.
    pub store: Store<K>,
    /// Names to look at.
    pub triggers: Triggers<K>,
    writer: Mutex<Option<Writer<K>>>,
    /// Whether the first list is complete. The store's own signal wakes one task only.
    listed: watch::Sender<bool>,
}

impl<K> Shared<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    fn new(depth: Gauge) -> Self {
        let (store, writer) = reflector::store();
        Self {
            store,
            triggers: Triggers::new(depth),
            writer: Mutex::new(Some(writer)),
            listed: watch::Sender::new(false),
        }
    }

    /// The writing end, for the controller of this kind; once.
    pub fn take_writer(&self) -> Option<Writer<K>> {
        self.writer
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Returns once the first list is complete.
    pub async fn ready(&self) {
        // The sender lives in self, so waiting ends only with readiness.
        let _ = self.listed.subscribe().wait_for(|listed| *listed).await;
    }
}

/// Both kinds.
pub struct Links {
    /// Rollouts.
    pub rollouts: Shared<Rollout>,
    /// Releases.
    pub releases: Shared<Release>,
    /// Workloads (namespace, name) whose Rollouts each Release waits for.
    followed: Mutex<HashMap<ObjectRef<Release>, HashSet<Named>>>,
    /// Releases (namespace, name) that each Release refers to.
    referred: Mutex<HashMap<ObjectRef<Release>, HashSet<Named>>>,
}

/// Namespace and name.
type Named = (String, String);

impl Links {
    /// Empty stores; `rollouts` and `releases` show how many wait to be looked at.
    pub fn new(rollouts: Gauge, releases: Gauge) -> Self {
        Self {
            rollouts: Shared::new(rollouts),
            releases: Shared::new(releases),
            followed: Mutex::default(),
            referred: Mutex::default(),
        }
    }

    /// From now on `release` hears of the Rollouts of these workloads. To be called before their statuses are read: what
    /// changes after that is heard of.
    pub fn follow(&self, release: ObjectRef<Release>, workloads: HashSet<Named>) {
        let mut followed = self.followed();
        if workloads.is_empty() {
            followed.remove(&release);
        } else {
            followed.insert(release, workloads);
        }
    }

    /// From now on `release` hears of these other Releases. To be called before their statuses are read.
    pub fn follow_releases(&self, release: ObjectRef<Release>, others: HashSet<Named>) {
        let mut referred = self.referred();
        if others.is_empty() {
            referred.remove(&release);
        } else {
            referred.insert(release, others);
        }
    }

    /// A Release changed, as the store shows by now: those that refer to it look at it.
    pub fn release_changed(&self, changed: &Release) {
        let name = (changed.namespace().unwrap_or_default(), changed.name_any());
        for (release, others) in self.referred().iter() {
            if others.contains(&name) {
                self.releases.triggers.trigger_ref(release.clone());
            }
        }
    }

    /// A new list of Releases is there.
    pub fn releases_listed(&self) {
        for release in self.referred().keys() {
            self.releases.triggers.trigger_ref(release.clone());
        }
    }

    fn referred(&self) -> MutexGuard<'_, HashMap<ObjectRef<Release>, HashSet<Named>>> {
        self.referred.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn followed(&self) -> MutexGuard<'_, HashMap<ObjectRef<Release>, HashSet<Named>>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A Rollout changed, as the store shows by now: the Releases with its workload look at it.
    pub fn rollout_changed(&self, rollout: &Rollout) {
        let workload = (
            rollout.namespace().unwrap_or_default(),
            rollout.spec.workload_ref.name.clone(),
        );
        for (release, workloads) in self.followed().iter() {
            if workloads.contains(&workload) {
                self.releases.triggers.trigger_ref(release.clone());
            }
        }
    }

    /// A new list of Rollouts is there.
    pub fn rollouts_listed(&self) {
        self.rollouts.listed.send_replace(true);
        for rollout in self.rollouts.store.state() {
            self.rollout_changed(&rollout);
        }
    }
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").finish_non_exhaustive()
    }
}
