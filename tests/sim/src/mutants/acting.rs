//! Mistakes in what is done, or left undone.

use belay_engine::rollout::{
    Decision, Effect, Guard,
    observed::{Config, Owner, Workload},
    status::Phase,
};

use crate::{Look, production};

pub(super) fn scales_stable(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    let stable = decision.status.stable.as_ref().map(|stable| &stable.hash);
    if decision.status.phase == Phase::Progressing
        && let Some(set) = look
            .observed
            .sets
            .iter()
            .find(|set| Some(&set.hash) == stable)
    {
        decision.effects.push(Effect::ScaleCandidate {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
            replicas: set.desired - 1,
        });
    }
    decision
}

pub(super) fn deletes_handed_over(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    let hash = decision
        .status
        .candidate
        .as_ref()
        .map(|candidate| &candidate.version.hash);
    if decision.status.phase == Phase::RollingBack
        && let Some(set) = look
            .observed
            .sets
            .iter()
            .find(|set| Some(&set.hash) == hash)
    {
        decision.effects.insert(
            0,
            Effect::RemoveCandidate {
                name: set.name.clone(),
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
            },
        );
    }
    decision
}

pub(super) fn without(look: Look<'_>, dropped: fn(&Effect) -> bool) -> Decision {
    let mut decision = production(look);
    decision.effects.retain(|effect| !dropped(effect));
    decision
}

pub(super) fn drops_resume(look: Look<'_>) -> Decision {
    without(look, |effect| matches!(effect, Effect::Resume { .. }))
}

pub(super) fn drops_hand_over(look: Look<'_>) -> Decision {
    without(look, |effect| matches!(effect, Effect::HandOver { .. }))
}

pub(super) fn drops_remove(look: Look<'_>) -> Decision {
    without(look, |effect| {
        matches!(effect, Effect::RemoveCandidate { .. })
    })
}

pub(super) fn drops_stamps(look: Look<'_>) -> Decision {
    without(look, |effect| matches!(effect, Effect::Stamp { .. }))
}

/// The stable ReplicaSet gets the first stamp without a pause: its controller would take it for another version's.
pub(super) fn stamps_running(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    let Config::Live(live) = &look.observed.config else {
        return decision;
    };
    let sets = &look.observed.sets;
    if let Some(set) = sets.iter().find(|set| set.template.stamp != live.stamp)
        && decision
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Pause { .. }))
    {
        decision.effects = vec![Effect::StampSet {
            name: set.name.clone(),
            stamp: live.stamp.clone(),
            resource_version: set.resource_version.clone(),
        }];
    }
    decision
}

pub(super) fn drops_restore(look: Look<'_>) -> Decision {
    without(look, |effect| {
        matches!(effect, Effect::RestoreTemplate { .. })
    })
}

pub(super) fn drops_take_back(look: Look<'_>) -> Decision {
    without(look, |effect| matches!(effect, Effect::TakeBack { .. }))
}

pub(super) fn drops_scale(look: Look<'_>) -> Decision {
    without(look, |effect| {
        matches!(effect, Effect::ScaleCandidate { .. })
    })
}

fn resuming_in(look: Look<'_>, phase: Phase) -> Decision {
    let mut decision = production(look);
    if decision.status.phase == phase
        && let Workload::Deployment(deployment) = &look.observed.workload
        && deployment.paused
    {
        decision.effects.push(Effect::Resume {
            digest: deployment.template.digest.clone(),
            resource_version: deployment.resource_version.clone(),
            guard: Guard::Template,
        });
    }
    decision
}

pub(super) fn resumes_rejected(look: Look<'_>) -> Decision {
    resuming_in(look, Phase::Rejected)
}

pub(super) fn resumes_during_canary(look: Look<'_>) -> Decision {
    resuming_in(look, Phase::Progressing)
}

pub(super) fn resumes_new(look: Look<'_>) -> Decision {
    resuming_in(look, Phase::RollingBack)
}

pub(super) fn hands_over_early(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    if decision.status.phase == Phase::Progressing
        && let Some(set) = look
            .observed
            .sets
            .iter()
            .find(|set| set.owner == Owner::Rollout)
    {
        decision.effects.push(Effect::HandOver {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
        });
    }
    decision
}

pub(super) fn finishes_early(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    if decision.status.phase == Phase::Terminating && !decision.effects.contains(&Effect::Finish) {
        decision.effects.insert(0, Effect::Finish);
    }
    decision
}

pub(super) fn takes_stable(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    if decision.status.phase == Phase::Progressing
        && let Some(set) = look
            .observed
            .sets
            .iter()
            .find(|set| set.owner == Owner::Deployment && set.desired > 0)
    {
        decision.effects.push(Effect::TakeBack {
            name: set.name.clone(),
            resource_version: set.resource_version.clone(),
        });
    }
    decision
}
