//! What the effects of a decision may do.

use super::{Case, nodes};
use crate::{
    digest::Digest,
    quarantine,
    rollout::{
        Effect, Observed,
        observed::{Owner, ReplicaSet, Workload},
        status::{Phase, RolloutStatus, Track, Version},
    },
};

/// Only ReplicaSets that the Rollout controls are scaled, deleted or handed over; only the Deployment's are taken back.
pub(super) fn only_own_sets_are_touched(case: Case<'_>) -> Result<(), String> {
    for effect in &case.decision.effects {
        let (name, owner) = match effect {
            Effect::ScaleCandidate { name, .. }
            | Effect::RemoveCandidate { name, .. }
            | Effect::HandOver { name, .. } => (name, Owner::Rollout),
            Effect::TakeBack { name, .. } => (name, Owner::Deployment),
            _ => continue,
        };
        if !case
            .observed
            .sets
            .iter()
            .any(|set| set.name == *name && set.owner == owner)
        {
            return Err(format!("{effect:?} is not about a ReplicaSet of {owner:?}"));
        }
    }
    Ok(())
}

/// The stable version's ReplicaSet is never touched, and nothing makes the workload leave it before a promotion.
pub(super) fn stable_at_strength(case: Case<'_>) -> Result<(), String> {
    let status = &case.decision.status;
    let stable = stable_set(status, case.observed);
    for effect in &case.decision.effects {
        match effect {
            Effect::TakeBack { name, .. } if stable.is_some_and(|set| set.name == *name) => {
                return Err(format!("{effect:?} takes the stable pods away"));
            }
            Effect::RemovePod { uid, .. }
                if !nodes::is_by_nodes(case.observed)
                    && stable.is_some_and(|set| set.pods.iter().any(|pod| pod.uid == *uid)) =>
            {
                return Err(format!("{effect:?} deletes a stable pod"));
            }
            Effect::Resume { digest, .. } if !may_roll_to(case, digest) => {
                return Err(format!(
                    "{effect:?} in {:?} leaves the stable version",
                    status.phase
                ));
            }
            Effect::RestoreTemplate { digest, .. }
                if !is_stable(status, case.observed, digest)
                    && !promotes(status, case.observed, digest) =>
            {
                return Err(format!("{effect:?} restores what is not stable"));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A stamp is put on a ReplicaSet's template only under a paused workload, whose controller else would take it for another version,
/// and never in exchange for another stamp: that would be a release past all gates.
pub(super) fn stamps_are_no_releases(case: Case<'_>) -> Result<(), String> {
    for effect in &case.decision.effects {
        let Effect::StampSet { name, stamp, .. } = effect else {
            continue;
        };
        let set = case.observed.sets.iter().find(|set| set.name == *name);
        let swaps = set.is_some_and(|set| set.template.stamp.is_some() && stamp.is_some());
        let paused = matches!(&case.observed.workload, Workload::Deployment(deployment) if deployment.paused);
        if swaps || !paused {
            return Err(format!("{effect:?}, paused: {paused}, of {set:?}"));
        }
    }
    Ok(())
}

/// Only a promotion hands over; it is entered from the last step, or by a track that says why not.
pub(super) fn no_unverified_promotion(case: Case<'_>) -> Result<(), String> {
    let status = &case.decision.status;
    for effect in &case.decision.effects {
        let Effect::HandOver { name, .. } = effect else {
            continue;
        };
        let digest = case
            .observed
            .sets
            .iter()
            .find(|set| set.name == *name)
            .map(|set| &set.template.digest);
        if !digest.is_some_and(|digest| promotes(status, case.observed, digest)) {
            return Err(format!("{effect:?} in {:?}", status.phase));
        }
    }
    let Some(candidate) = &status.candidate else {
        return Ok(());
    };
    let fast_for_a_reason = case
        .before
        .verified
        .iter()
        .chain(&case.before.stable)
        .any(|version| is_of(version, case.observed, &candidate.version.digest));
    if candidate.track == Track::Fast && !fast_for_a_reason {
        let went_on = case
            .before
            .candidate
            .as_ref()
            .is_some_and(|c| c.track == Track::Fast);
        if !went_on {
            return Err("a version that was never verified went the fast track".to_owned());
        }
    }
    Ok(())
}

/// Quarantined content is not started, let go or handed over by Belay, unless somebody let it go past the hold.
pub(super) fn quarantine_holds(case: Case<'_>) -> Result<(), String> {
    let status = &case.decision.status;
    let bypassed = status
        .candidate
        .as_ref()
        .is_some_and(|c| c.track == Track::Bypassed);
    for effect in &case.decision.effects {
        let digest = match effect {
            Effect::CreateCandidate { digest, .. }
            | Effect::MovePartition { digest, .. }
            | Effect::Resume { digest, .. } => digest,
            Effect::HandOver { name, .. } => {
                match case.observed.sets.iter().find(|set| set.name == *name) {
                    Some(set) => &set.template.digest,
                    None => continue,
                }
            }
            _ => continue,
        };
        let rejected = quarantine::find(&status.quarantine, digest).is_some();
        if rejected && !bypassed && !is_stable(status, case.observed, digest) {
            return Err(format!("{effect:?} is about quarantined content"));
        }
    }
    Ok(())
}

/// While rolling back or rejected, nothing of a candidate is made, grown or handed over.
pub(super) fn rollback_only_goes_back(case: Case<'_>) -> Result<(), String> {
    let status = &case.decision.status;
    if !matches!(
        status.phase,
        Phase::RollingBack | Phase::Rejected | Phase::Terminating
    ) {
        return Ok(());
    }
    for effect in &case.decision.effects {
        let forward = match effect {
            Effect::CreateCandidate { .. }
            | Effect::MovePartition { .. }
            | Effect::HandOver { .. } => true,
            Effect::ScaleCandidate { name, replicas, .. } => case
                .observed
                .sets
                .iter()
                .any(|set| set.name == *name && *replicas > set.desired),
            _ => false,
        };
        if forward {
            return Err(format!("{effect:?} in {:?}", status.phase));
        }
    }
    Ok(())
}

/// A candidate that takes places of stable pods has exactly those that its step gives it, and never all.
pub(super) fn places_follow_the_step(case: Case<'_>) -> Result<(), String> {
    let Workload::Deployment(workload) = &case.observed.workload else {
        return Ok(());
    };
    let status = &case.decision.status;
    for effect in &case.decision.effects {
        let Effect::MovePartition {
            digest, partition, ..
        } = effect
        else {
            continue;
        };
        let step = case.plan.ok().zip(status.step.as_ref());
        let step = step.and_then(|(plan, state)| plan.steps.get(state.index as usize));
        let places = step.map(|step| workload.step_pods(step));
        let is_step = places.is_some_and(|places| workload.replicas - places == *partition);
        let on_trial = status
            .candidate
            .as_ref()
            .is_some_and(|candidate| candidate.version.digest == *digest);
        if status.phase != Phase::Progressing || !is_step || !on_trial || *partition <= 0 {
            return Err(format!("{effect:?} in {:?}, step {step:?}", status.phase));
        }
    }
    Ok(())
}

/// Whether the workload may roll to this template: the stable one, one that is promoted, or any when nothing runs.
fn may_roll_to(case: Case<'_>, digest: &Digest) -> bool {
    let status = &case.decision.status;
    let Workload::Deployment(deployment) = &case.observed.workload else {
        return false;
    };
    let nothing_runs = deployment.replicas == 0
        || !case
            .observed
            .sets
            .iter()
            .any(|set| set.owner == Owner::Deployment && set.desired > 0);
    is_stable(status, case.observed, digest)
        || promotes(status, case.observed, digest)
        || nothing_runs
}

/// The content that is being promoted.
/// Whether this is the content that is being promoted.
fn promotes(status: &RolloutStatus, observed: &Observed, digest: &Digest) -> bool {
    let promoting = matches!(status.phase, Phase::Promoting | Phase::Baking);
    let candidate = status.candidate.as_ref().filter(|_| promoting);
    candidate.is_some_and(|candidate| is_of(&candidate.version, observed, digest))
}

/// Whether this is the version's content. A ReplicaSet keeps its hash when its template gets its first stamp, or loses its last one:
/// the same pods, by another digest.
fn is_of(version: &Version, observed: &Observed, digest: &Digest) -> bool {
    let mut sets = observed.sets.iter();
    version.digest == *digest
        || sets.any(|set| set.hash == version.hash && set.template.digest == *digest)
}

pub(super) fn stable_set<'a>(
    status: &RolloutStatus,
    observed: &'a Observed,
) -> Option<&'a ReplicaSet> {
    let stable = status.stable.as_ref()?;
    observed
        .sets
        .iter()
        .find(|set| set.owner == Owner::Deployment && set.hash == stable.hash)
}

fn is_stable(status: &RolloutStatus, observed: &Observed, digest: &Digest) -> bool {
    status
        .stable
        .as_ref()
        .is_some_and(|stable| stable.digest == *digest)
        || stable_set(status, observed).is_some_and(|set| set.template.digest == *digest)
}
