//! Clearing the deck: taking away pods of versions that must not run beside the stable one.
//!
//! Before a candidate runs, the Deployment controls exactly one active ReplicaSet, the stable one, which the paused
//! Deployment keeps at full strength by itself. Others are first taken back by the Rollout, and then shrink as stable pods
//! become available. Invariant: only ReplicaSets that the Rollout controls are ever deleted.

use std::time::Duration;

use jiff::Timestamp;

use super::{
    super::{
        Effect,
        observed::{Deployment, ReplicaSet},
        reason,
        status::Version,
    },
    clock::after,
    in_place,
    lookup::{active, is_of},
    pass::Pass,
    traffic,
};
use crate::digest::Digest;

/// How a ReplicaSet of the Rollout goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// With all its pods: stable is at full strength, or what runs must not serve any longer.
    AtOnce,
    /// As stable pods become available, since its pods still carry load; at once from the given time on.
    Gently {
        /// When patience ends.
        until: Timestamp,
    },
}

/// Removes every ReplicaSet of the Rollout at once; says whether there is none left.
pub(super) fn remove_all(pass: &mut Pass<'_>) -> bool {
    remove(pass, None, None, Manner::AtOnce)
}

/// Removes the Rollout's ReplicaSets except that of `keep`; says whether there is none left.
pub(super) fn remove(
    pass: &mut Pass<'_>,
    deployment: Option<&Deployment>,
    keep: Option<&Digest>,
    manner: Manner,
) -> bool {
    if let Some(deployment) = deployment.filter(|deployment| deployment.kind.in_place()) {
        return in_place::remove(pass, deployment, keep);
    }
    let going: Vec<&ReplicaSet> = pass
        .seen
        .candidates()
        .filter(|set| Some(&set.template.digest) != keep)
        .collect();
    let mut spare = match (manner, deployment) {
        (Manner::Gently { until }, Some(deployment)) if pass.now < until && !going.is_empty() => {
            pass.wake(until);
            missing_stable(pass, deployment)
        }
        _ => 0,
    };
    for set in &going {
        let needed = set.desired.min(spare);
        spare -= needed;
        // Pods that have a place of their own go with their workload, if that is not there or has none.
        if !set.terminating && set.pods.is_empty() && traffic::may_lose(pass, set) {
            shrink(pass, set, needed);
        }
    }
    going.is_empty()
}

/// Stable pods that are wanted and not available.
fn missing_stable(pass: &Pass<'_>, deployment: &Deployment) -> i32 {
    let available = pass.stable_set().map_or(0, |set| set.available);
    deployment.replicas.saturating_sub(available).max(0)
}

fn shrink(pass: &mut Pass<'_>, set: &ReplicaSet, needed: i32) {
    // Where routers lead, the Services must not take in pods that are about to go: first they go, then their ReplicaSet.
    let empties = pass.next.traffic.is_some() && active(set);
    if needed == 0 && !empties {
        pass.effect(Effect::RemoveCandidate {
            name: set.name.clone(),
            uid: set.uid.clone(),
            resource_version: set.resource_version.clone(),
        });
    } else if needed < set.desired {
        pass.effect(Effect::ScaleCandidate {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
            replicas: needed,
        });
    }
}

/// Takes every active ReplicaSet but the stable one back from the paused Deployment; says whether there was none. Only while stable has
/// pods: without any, the Deployment controller would pick a ReplicaSet by itself.
pub(super) fn take_back_others(pass: &mut Pass<'_>, deployment: &Deployment) -> bool {
    let others = pass.others_active();
    if deployment.paused && pass.stable_desired() > 0 && !deployment.kind.in_place() {
        for set in &others {
            take_back(pass, set);
        }
    }
    others.is_empty()
}

/// Takes one ReplicaSet back.
pub(super) fn take_back(pass: &mut Pass<'_>, set: &ReplicaSet) {
    pass.effect(Effect::TakeBack {
        name: set.name.clone(),
        resource_version: set.resource_version.clone(),
    });
}

/// Rejected pods go at once; others carry load until stable does, for at most one progress deadline.
pub(super) fn patience(pass: &Pass<'_>) -> Manner {
    if pass
        .seen
        .candidates()
        .any(|set| pass.quarantined(&set.template.digest))
    {
        return Manner::AtOnce;
    }
    let waiting = pass.before.waiting_for.as_ref();
    let since = waiting
        .filter(|waiting| waiting.reason == reason::CLEARING)
        .map_or(pass.now, |waiting| waiting.since);
    Manner::Gently {
        until: after(since, progress_deadline(pass)),
    }
}

/// How long pods may take to become ready; also known while the plan is refused.
pub(super) fn progress_deadline(pass: &Pass<'_>) -> Duration {
    const WITHOUT_PLAN: Duration = Duration::from_mins(10);
    pass.plan()
        .map_or(WITHOUT_PLAN, |plan| plan.progress_deadline)
}

/// States that other versions' pods are in the way.
pub(super) fn wait(pass: &mut Pass<'_>) {
    let message =
        "Pods of other versions are being taken away until only the stable version's are left.";
    pass.wait(reason::CLEARING, message.to_owned());
}

/// The workload's own ReplicaSets without pods, other than the stable version's.
fn idle_revisions<'a>(pass: &Pass<'a>) -> Vec<&'a ReplicaSet> {
    let stable = pass.stable_set().map(|set| set.name.as_str());
    let native = pass.seen.native();
    native
        .filter(|set| !active(set) && Some(set.name.as_str()) != stable)
        .collect()
}

/// Takes back the ReplicaSets without pods that hold quarantined content: neither the Deployment controller nor a
/// `kubectl rollout undo` shall find them.
pub(super) fn take_back_rejected(pass: &mut Pass<'_>, deployment: &Deployment) {
    if deployment.kind.in_place() {
        // A revision is no object that could be owned by another, and the partition holds whatever it is rolled to.
        return;
    }
    let rejected: Vec<&ReplicaSet> = idle_revisions(pass)
        .into_iter()
        .filter(|set| pass.quarantined(&set.template.digest))
        // The un-paused Deployment would make the one that it rolls to anew.
        .filter(|set| deployment.paused || set.template.digest != deployment.template.digest)
        .collect();
    for set in rejected {
        take_back(pass, set);
    }
}

/// Makes room for the stable version among the revisions without pods that the Deployment controller keeps, for it cleans the oldest
/// ones up and going back needs that one; says whether there is room. Those that nobody may want back go first.
pub(super) fn make_room(pass: &mut Pass<'_>, deployment: &Deployment, candidate: &Version) -> bool {
    let mut others: Vec<&ReplicaSet> = idle_revisions(pass)
        .into_iter()
        .filter(|set| !is_of(set, candidate))
        .collect();
    let verified = |set: &&ReplicaSet| pass.next.verified.iter().any(|known| is_of(set, known));
    others.sort_by_key(verified);
    let kept = usize::try_from(deployment.revision_history_limit).unwrap_or(0);
    let surplus = (others.len() + 1).saturating_sub(kept.max(1));
    for set in others.iter().take(surplus) {
        take_back(pass, set);
    }
    surplus == 0
}
