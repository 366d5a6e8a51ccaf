//! What people were told already about writes that fail, so that they are told once and not at every attempt.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The last complaint, by UID of the Rollout.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<HashMap<String, String>>);

impl Complaints {
    /// Whether this is news; it then counts as told.
    pub(super) fn is_new(&self, rollout_uid: &str, complaint: String) -> bool {
        let last = self
            .lock()
            .insert(rollout_uid.to_owned(), complaint.clone());
        last != Some(complaint)
    }

    /// Everything went well, or the Rollout is gone.
    pub(super) fn settle(&self, rollout_uid: &str) {
        self.lock().remove(rollout_uid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_complaint_is_told_once_until_it_is_settled() {
        let complaints = Complaints::default();
        assert!(complaints.is_new("a", "x".to_owned()));
        assert!(!complaints.is_new("a", "x".to_owned()));
        assert!(complaints.is_new("a", "y".to_owned()));
        complaints.settle("a");
        assert!(complaints.is_new("a", "y".to_owned()));
    }
}
