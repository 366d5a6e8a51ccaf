//! Mistakes in what is remembered.

use belay_engine::{
    quarantine,
    rollout::{
        Decision,
        observed::Workload,
        status::{Phase, Track},
    },
};

use crate::{Look, production};

pub(super) fn forgets_the_quarantine(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    decision.status.quarantine.clear();
    decision
}

pub(super) fn lifts_with_rejection(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    if decision.status.phase == Phase::Rejected
        && let Workload::Deployment(deployment) = &look.observed.workload
    {
        quarantine::lift(&mut decision.status.quarantine, &deployment.template.digest);
    }
    decision
}

pub(super) fn forgets_receipts(look: Look<'_>) -> Decision {
    let mut status = look.status.clone();
    status.actions.clear();
    production(Look {
        status: &status,
        ..look
    })
}

pub(super) fn writes_for_nothing(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    decision.status.phase_since = Some(look.now);
    decision
}

pub(super) fn never_bakes(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    if look.status.phase == Phase::Promoting && decision.status.phase != Phase::RollingBack {
        decision.status = look.status.clone();
    }
    decision
}

pub(super) fn calls_everything_verified(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    if let Some(candidate) = &mut decision.status.candidate
        && candidate.track == Track::Steps
    {
        candidate.track = Track::Fast;
    }
    decision
}
