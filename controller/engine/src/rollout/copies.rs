//! Copies of configuration that ought to be there: those that pods of a living version read.
//!
//! Whoever may delete ConfigMaps can delete a copy, past the policy that guards it. Pods that run go on; pods that are made don't start.
//! So a copy that is gone is made again from whatever holds its content, which its hash proves. What nobody holds any more is told.
//!
//! Invariant: nothing is told of content but names and hashes.

use super::{RolloutStatus, observed::ReplicaSet};
use crate::config::{ConfigKind, Stamp, copy_name};

/// A copy that is gone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LostCopy {
    /// Kind of the object and of its copy.
    pub kind: ConfigKind,
    /// Name of the object that it was a copy of.
    pub name: String,
    /// Hash of its content, as stamps have it.
    pub hash: String,
    /// Name of an object of the same kind that holds that content.
    pub held_by: Option<String>,
}

impl LostCopy {
    /// Its kind and name.
    pub(super) fn told(&self) -> String {
        format!("{} {}", self.kind.name(), copy_name(&self.name, &self.hash))
    }
}

/// The stamps of versions that have pods, or get some when the workload is scaled or a rollout ends.
pub fn living<'a>(
    sets: impl Iterator<Item = &'a ReplicaSet>,
    status: &RolloutStatus,
) -> impl Iterator<Item = &'a Stamp> {
    let stable = status.stable.as_ref();
    let candidate = status.candidate.as_ref();
    let hashes = stable
        .into_iter()
        .chain(candidate.map(|candidate| &candidate.version));
    let hashes: Vec<String> = hashes.map(|version| version.hash.clone()).collect();
    sets.filter(move |set| set.desired > 0 || set.total > 0 || hashes.contains(&set.hash))
        .filter_map(|set| set.template.stamp.as_ref())
}
