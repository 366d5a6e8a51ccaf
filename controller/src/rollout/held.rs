//! Deployments whose template has just changed, in full, so that a candidate can be made without asking for them again.
//!
//! Bounded, and only a shortcut: what is not here is read from the API server.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use belay_engine::digest::Digest;
use kube::{ResourceExt as _, api::DynamicObject};

use super::project::Workload;

/// Deployments kept; each lives here for the milliseconds between its change and its candidate.
const KEPT: usize = 32;

/// The last Deployments that were held with a new template.
#[derive(Debug, Default)]
pub(super) struct Held(Mutex<VecDeque<(Digest, Arc<DynamicObject>)>>);

impl Held {
    /// Keeps `object` if its template differs from the one before.
    pub(super) fn saw(&self, object: &DynamicObject, now: &Workload, before: Option<&Workload>) {
        let digest = &now.view.template.digest;
        let changed = before.is_some_and(|before| before.view.template.digest != *digest);
        if !(changed && now.view.paused) {
            return;
        }
        let mut kept = self.lock();
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        let mut object = object.clone();
        object.metadata.managed_fields = None;
        kept.push_back((digest.clone(), Arc::new(object)));
    }

    /// Takes out the Deployment with this UID and template.
    pub(super) fn take(&self, uid: &str, digest: &Digest) -> Option<Arc<DynamicObject>> {
        let mut kept = self.lock();
        let found = kept
            .iter()
            .position(|(of, object)| of == digest && object.uid().as_deref() == Some(uid))?;
        kept.remove(found).map(|(_, object)| object)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<(Digest, Arc<DynamicObject>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
