//! What a Rollout says about the very pod template that the Release applied.
//!
//! Invariant: a verdict counts only for the digest that it names. What the Rollout says about an older template is not a
//! verdict on this one.

use super::pass::Pass;
use crate::{
    digest::Digest,
    quarantine,
    release::{
        observed::{ObjectKey, RolloutView},
        status::Workload,
    },
    rollout::status::{Phase, RolloutStatus},
};

/// Reason that a Rollout gives while it waits, verified, for the others of its Release.
pub use crate::rollout::reason::TOGETHER as PROMOTION_REASON;

/// What a Rollout says about one template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It runs and is verified.
    Verified,
    /// Every step is passed; only the Release's word is missing.
    Promotable,
    /// The workload's first version, which has no older one beside it, is not up yet; the Release's timeout holds for it.
    Starting(String),
    /// Not decided yet; the Rollout has deadlines of its own.
    Moving(String),
    /// Rejected.
    Rejected(String),
}

/// What `status` says about the template with this digest.
pub fn standing(status: &RolloutStatus, digest: &Digest) -> Standing {
    let is_stable = status
        .stable
        .as_ref()
        .is_some_and(|stable| &stable.digest == digest);
    if is_stable {
        return match status.phase {
            Phase::Healthy => Standing::Verified,
            Phase::Pending => Standing::Starting(message(status)),
            _ => Standing::Moving(message(status)),
        };
    }
    if status.stable.is_none() {
        return Standing::Starting(message(status));
    }
    if let Some(entry) = quarantine::find(&status.quarantine, digest) {
        return Standing::Rejected(entry.reason.clone());
    }
    let is_candidate = status
        .candidate
        .as_ref()
        .is_some_and(|candidate| &candidate.version.digest == digest);
    let waits = status
        .waiting_for
        .as_ref()
        .is_some_and(|waiting| waiting.reason == PROMOTION_REASON);
    if is_candidate && waits {
        return Standing::Promotable;
    }
    Standing::Moving(message(status))
}

fn message(status: &RolloutStatus) -> String {
    status.waiting_for.as_ref().map_or_else(
        || "it has not looked at the new template yet".to_owned(),
        |waiting| waiting.message.clone(),
    )
}

/// The Rollout of a workload.
pub(super) fn rollout_of<'a>(pass: &Pass<'a>, workload: &Workload) -> Option<&'a RolloutView> {
    pass.observed.rollouts.iter().find(|rollout| {
        rollout.namespace == workload.namespace && rollout.workload == workload.name
    })
}

/// Whether an object's health is a Rollout's business: the Rollouts themselves, and the workloads that they govern.
pub(super) fn is_governed(pass: &Pass<'_>, object: &ObjectKey) -> bool {
    match (object.group.as_str(), object.kind.as_str()) {
        ("belay.dev", "Rollout") => true,
        ("apps", "Deployment" | "StatefulSet") => pass.observed.rollouts.iter().any(|rollout| {
            object.namespace.as_ref() == Some(&rollout.namespace) && rollout.workload == object.name
        }),
        _ => false,
    }
}
