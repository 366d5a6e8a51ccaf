//! What a Rollout says about the very pod template that the Release applied.
//!
//! Invariant: a verdict counts only for the digest that it names. What the Rollout says about an older template is not a
//! verdict on this one.

use super::pass::Pass;
use crate::{
    digest::Digest,
    quarantine::Entry,
    release::{
        observed::{ObjectKey, RolloutView},
        status::Workload,
    },
    rollout::{
        reason::CONFIG,
        status::{Phase, RolloutStatus},
    },
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
    let waits_for = |reason: &str| {
        let waiting = status.waiting_for.as_ref();
        waiting.is_some_and(|waiting| waiting.reason == reason)
    };
    let is_stable = status
        .stable
        .as_ref()
        .is_some_and(|stable| stable.is_of_template(digest));
    let candidate = status.candidate.as_ref();
    let is_candidate = candidate.is_some_and(|candidate| candidate.version.is_of_template(digest));
    if status.stable.is_none() {
        return Standing::Starting(message(status));
    }
    if is_candidate && waits_for(PROMOTION_REASON) {
        return Standing::Promotable;
    }
    // With other configuration than the stable version, the same template can be on trial, or rejected.
    let on_trial = candidate.filter(|_| is_candidate);
    let rejected = rejected(status, digest)
        .filter(|_| !is_stable || status.phase == Phase::Rejected)
        .filter(|_| !waits_for(CONFIG))
        .filter(|entry| on_trial.is_none_or(|trial| trial.version.digest == entry.digest));
    match (status.phase, rejected) {
        (_, Some(entry)) => Standing::Rejected(entry.reason.clone()),
        (Phase::Healthy, _) if is_stable && !waits_for(CONFIG) => Standing::Verified,
        (Phase::Pending, _) if is_stable => Standing::Starting(message(status)),
        _ => Standing::Moving(message(status)),
    }
}

/// The newest rejection of this template, with whatever configuration, that is not the stable version's own.
pub(super) fn rejected<'a>(status: &'a RolloutStatus, digest: &Digest) -> Option<&'a Entry> {
    let stable = status.stable.as_ref().map(|stable| &stable.digest);
    let entries = status.quarantine.iter().rev();
    entries
        .filter(|entry| stable != Some(&entry.digest))
        .find(|entry| entry.bare.as_ref().unwrap_or(&entry.digest) == digest)
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
        rollout.kind == workload.kind
            && rollout.namespace == workload.namespace
            && rollout.workload == workload.name
    })
}

/// Whether an object's health is a Rollout's business: the Rollouts themselves, and the workloads that they govern.
pub(super) fn is_governed(pass: &Pass<'_>, object: &ObjectKey) -> bool {
    match (object.group.as_str(), object.kind.as_str()) {
        ("belay.dev", "Rollout") => true,
        ("apps", kind) => pass.observed.rollouts.iter().any(|rollout| {
            rollout.kind.name() == kind
                && object.namespace.as_ref() == Some(&rollout.namespace)
                && rollout.workload == object.name
        }),
        _ => false,
    }
}
