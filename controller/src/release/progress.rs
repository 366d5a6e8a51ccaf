//! How far the objects of one set are sent. A large set takes several passes; what the earlier ones did is not done again.

use std::collections::HashSet;

use belay_engine::release::{observed::ObjectKey, status::Workload};

use crate::apply::Failure;

/// What was done so far of one attempt, which `T` names.
#[derive(Debug)]
pub(super) struct Progress<T> {
    of: Option<T>,
    done: HashSet<ObjectKey>,
    failures: Vec<Failure>,
    workloads: Vec<Workload>,
}

impl<T> Default for Progress<T> {
    fn default() -> Self {
        Self {
            of: None,
            done: HashSet::new(),
            failures: Vec::new(),
            workloads: Vec::new(),
        }
    }
}

impl<T: PartialEq> Progress<T> {
    /// The progress of attempt `of`: what `known` holds, if it is about that.
    pub(super) fn go_on(known: &mut Self, of: T) -> Self {
        let known = std::mem::take(known);
        if known.of.as_ref() == Some(&of) {
            return known;
        }
        Self {
            of: Some(of),
            ..Self::default()
        }
    }

    /// Whether nothing was done yet.
    pub(super) fn is_new(&self) -> bool {
        self.done.is_empty()
    }

    /// Keeps the workloads among what was sent.
    pub(super) fn keep(&mut self, workloads: impl IntoIterator<Item = Workload>) {
        self.workloads.extend(workloads);
    }

    /// The workloads among what was sent.
    pub(super) fn workloads(&mut self) -> Vec<Workload> {
        std::mem::take(&mut self.workloads)
    }

    /// Whether this object is still to be sent.
    pub(super) fn lacks(&self, key: &ObjectKey) -> bool {
        !self.done.contains(key)
    }

    /// This object was sent.
    pub(super) fn did(&mut self, key: &ObjectKey) {
        self.done.insert(key.clone());
    }

    /// Something failed.
    pub(super) fn failed(&mut self, failures: impl IntoIterator<Item = Failure>) {
        self.failures.extend(failures);
    }

    /// Whether anything failed so far.
    pub(super) fn has_failed(&self) -> bool {
        !self.failures.is_empty()
    }

    /// All that failed.
    pub(super) fn failures(self) -> Vec<Failure> {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_earlier_pass_of_the_same_attempt_did_is_not_done_again() {
        let key = ObjectKey {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: None,
            name: "a".into(),
        };
        let mut known = Progress::default();
        let mut first = Progress::go_on(&mut known, 1);
        assert!(first.lacks(&key));
        first.did(&key);
        first.failed([Failure::content("b")]);
        known = first;
        let second = Progress::go_on(&mut known, 1);
        assert!(!second.lacks(&key) && second.has_failed());
        known = second;
        let other = Progress::go_on(&mut known, 2);
        assert!(other.lacks(&key) && !other.has_failed());
    }
}
