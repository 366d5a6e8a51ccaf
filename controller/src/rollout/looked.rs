//! Which versions of Deployments have been searched for ReplicaSets already.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use super::project::Workload;

/// UID and resource version of the Deployment at the last look, by UID of the Rollout.
#[derive(Debug, Default)]
pub(super) struct Looked(Mutex<HashMap<String, (String, String)>>);

impl Looked {
    /// Whether this version of the Deployment has not been looked at; it then counts as looked at.
    pub(super) fn first_look(&self, rollout_uid: &str, workload: &Workload) -> bool {
        let view = &workload.view;
        let version = (view.uid.clone(), view.resource_version.clone());
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = looked.insert(rollout_uid.to_owned(), version.clone());
        last.as_ref() != Some(&version)
    }

    /// Drops what is remembered of a Rollout.
    pub(super) fn forget(&self, rollout_uid: &str) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(rollout_uid);
    }
}
