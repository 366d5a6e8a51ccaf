//! Finding versions among what was observed. A set is a version's if it has its hash or its content: the hash tells when
//! the API's new defaults changed a digest, the digest when a re-created Deployment changed the hash.

use super::{
    super::{
        observed::{Deployment, Observed, Owner, ReplicaSet, Template},
        status::Version,
    },
    pass::Pass,
};
use crate::digest::Digest;

/// Whether `set` runs `version`.
pub(super) fn is_of(set: &ReplicaSet, version: &Version) -> bool {
    set.hash == version.hash || set.template.digest == version.digest
}

/// Whether pods of `set` are wanted or still there.
pub(super) fn active(set: &ReplicaSet) -> bool {
    set.desired > 0 || set.total > 0
}

/// The version that `set` runs.
pub(super) fn version_of(set: &ReplicaSet) -> Version {
    Version {
        digest: set.template.digest.clone(),
        hash: set.hash.clone(),
        version: set.template.version.clone(),
        bare: bare_of(&set.template),
    }
}

/// The digest of the template as its author wrote it, where that is another.
pub(super) fn bare_of(template: &Template) -> Option<Digest> {
    (template.bare != template.digest).then(|| template.bare.clone())
}

impl Observed {
    /// ReplicaSets of the Deployment that are not being deleted.
    pub(super) fn native(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.sets
            .iter()
            .filter(|set| set.owner == Owner::Deployment && !set.terminating)
    }

    /// ReplicaSets of the Rollout, also those that are being deleted.
    pub(super) fn candidates(&self) -> impl Iterator<Item = &ReplicaSet> {
        self.sets.iter().filter(|set| set.owner == Owner::Rollout)
    }

    /// The Deployment's ReplicaSet with this content; the one with pods if there are two.
    pub(super) fn native_of(&self, digest: &Digest) -> Option<&ReplicaSet> {
        self.native()
            .filter(|set| set.template.digest == *digest)
            .max_by_key(|set| (set.desired, set.total))
    }
}

impl<'a> Pass<'a> {
    /// The stable version's ReplicaSet. Two can have its content: the one with pods is meant then, for the Deployment
    /// controller chose it.
    pub(super) fn stable_set(&self) -> Option<&'a ReplicaSet> {
        let stable = self.next.stable.as_ref()?;
        self.seen
            .native()
            .filter(|set| is_of(set, stable))
            .max_by_key(|set| (set.desired > 0, set.hash == stable.hash))
    }

    /// Pods that the stable ReplicaSet is to have.
    pub(super) fn stable_desired(&self) -> i32 {
        self.stable_set().map_or(0, |set| set.desired)
    }

    /// Whether the workload's template is the stable one.
    pub(super) fn asks_for_stable(&self, deployment: &Deployment) -> bool {
        let digest = &deployment.template.digest;
        self.next
            .stable
            .as_ref()
            .is_some_and(|stable| stable.digest == *digest)
            || self
                .stable_set()
                .is_some_and(|set| set.template.digest == *digest)
    }

    /// Whether the workload's template is this version's.
    pub(super) fn asks_for(&self, deployment: &Deployment, version: &Version) -> bool {
        let digest = &deployment.template.digest;
        version.digest == *digest
            || self
                .seen
                .sets
                .iter()
                .any(|set| set.hash == version.hash && set.template.digest == *digest)
    }

    /// Whether this content is quarantined.
    pub(super) fn quarantined(&self, digest: &Digest) -> bool {
        crate::quarantine::find(&self.next.quarantine, digest).is_some()
    }

    /// The verified version that the workload asks for, if it asks for one that ran before the stable one.
    pub(super) fn verified(&self, deployment: &Deployment) -> Option<&Version> {
        self.next
            .verified
            .iter()
            .find(|version| self.asks_for(deployment, version))
    }

    /// Active ReplicaSets of the Deployment beside the stable one.
    pub(super) fn others_active(&self) -> Vec<&'a ReplicaSet> {
        let stable = self.stable_set().map(|set| set.name.as_str());
        self.seen
            .native()
            .filter(|set| active(set) && Some(set.name.as_str()) != stable)
            .collect()
    }
}
