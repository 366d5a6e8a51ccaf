//! Releases that promote their Rollouts together, as far as their Rollouts need to know.
//!
//! Only Releases that promote together are kept; the others concern no Rollout.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use belay_api::{Release, Rollout, names::RELEASE_UID_ANNOTATION, release::group::group_of};
use belay_engine::{
    release::plan::Promotion,
    rollout::{RolloutStatus, observed::Group},
};
use kube::{ResourceExt as _, runtime::watcher::Event};
use tokio::sync::watch;

/// Releases that promote together, by UID.
#[derive(Debug, Default)]
pub(super) struct Groups {
    together: Mutex<HashMap<String, Arc<Release>>>,
    ready: watch::Sender<bool>,
}

impl Groups {
    /// Returns once the first list is complete.
    pub(super) async fn ready(&self) {
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// The group of a Rollout.
    pub(super) fn of(&self, rollout: &Rollout, status: &RolloutStatus) -> Group {
        let release = rollout
            .annotations()
            .get(RELEASE_UID_ANNOTATION)
            .and_then(|uid| self.lock().get(uid).cloned());
        release.map_or(Group::Alone, |release| {
            let namespace = rollout.namespace().unwrap_or_default();
            let workload = &rollout.spec.workload_ref.name;
            group_of(&release, &namespace, workload, status)
        })
    }

    /// Takes in an event of the watch; gives the UID of the Release whose Rollouts must be looked at.
    pub(super) fn take_in(&self, event: Event<Release>) -> Option<String> {
        match event {
            Event::Init => {
                self.lock().clear();
                None
            }
            Event::InitDone => {
                self.ready.send_replace(true);
                None
            }
            Event::InitApply(release) | Event::Apply(release) => self.put(release),
            Event::Delete(release) => {
                let uid = release.uid()?;
                self.lock().remove(&uid).map(|_| uid)
            }
        }
    }

    fn put(&self, mut release: Release) -> Option<String> {
        let uid = release.uid()?;
        if release.spec.verification.promotion == Promotion::Separate {
            return self.lock().remove(&uid).map(|_| uid);
        }
        release.managed_fields_mut().clear();
        let release = Arc::new(release);
        let before = self.lock().insert(uid.clone(), Arc::clone(&release));
        let same = before.is_some_and(|b| b.spec == release.spec && b.status == release.status);
        (!same).then_some(uid)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Release>>> {
        self.together.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
