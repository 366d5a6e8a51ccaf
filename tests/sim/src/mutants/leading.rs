//! Mistakes in how requests are led.

use belay_engine::{
    rollout::{
        Decision, Effect, Guard, RolloutStatus,
        observed::{Owner, Workload},
        status::Phase,
    },
    traffic::{RouteState, Split, plan::SETTLE},
};

use super::acting::without;
use crate::{Look, production};

/// Splits every route of the plan at once, whatever the pods do.
pub(super) fn raises_before_pods_are_ready(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    let Some(traffic) = &decision.status.traffic else {
        return decision;
    };
    if decision.status.phase != Phase::Progressing {
        return decision;
    }
    for route in &look.observed.traffic.routes {
        if route.state == RouteState::Home {
            decision.effects.push(Effect::SetRoute {
                id: route.id.clone(),
                service: traffic.service.clone(),
                split: Split::share(1),
                resource_version: route.resource_version.clone(),
            });
        }
    }
    decision
}

fn removing_at_once(decision: &mut Decision, look: Look<'_>) {
    for set in &look.observed.sets {
        if set.owner == Owner::Rollout && !set.terminating {
            decision.effects.push(Effect::RemoveCandidate {
                name: set.name.clone(),
                uid: set.uid.clone(),
                resource_version: set.resource_version.clone(),
            });
        }
    }
}

pub(super) fn does_not_wait_for_the_drain(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    let away = look
        .observed
        .traffic
        .routes
        .iter()
        .all(|route| route.state == RouteState::Home);
    if decision.status.phase == Phase::RollingBack && away && decision.status.traffic.is_some() {
        removing_at_once(&mut decision, look);
    }
    decision
}

pub(super) fn leads_away_and_removes_in_one_pass(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    let home = |effect: &Effect| matches!(effect, Effect::SendRouteHome { .. });
    if decision.status.phase == Phase::RollingBack && decision.effects.iter().any(home) {
        removing_at_once(&mut decision, look);
    }
    decision
}

/// Believes every router at once.
pub(super) fn asks_no_router(look: Look<'_>) -> Decision {
    let mut seen = look.observed.clone();
    for route in &mut seen.traffic.routes {
        route.acknowledged = belay_engine::traffic::Acknowledgement::Given;
    }
    production(Look {
        observed: &seen,
        ..look
    })
}

/// Gives routers no time between their word and the deed: to it, they gave it that much earlier.
pub(super) fn takes_the_word_for_the_deed(look: Look<'_>) -> Decision {
    let mut status = look.status.clone();
    let reached = |status: &RolloutStatus| status.traffic.as_ref()?.reached_at;
    let known = reached(&status);
    let earlier = known.and_then(|at| at.checked_sub(SETTLE).ok());
    if let Some(traffic) = &mut status.traffic {
        traffic.reached_at = earlier;
    }
    let mut decision = production(Look {
        status: &status,
        ..look
    });
    if reached(&decision.status) == earlier
        && let Some(traffic) = &mut decision.status.traffic
    {
        traffic.reached_at = known;
    }
    decision
}

pub(super) fn leaves_the_route_behind(look: Look<'_>) -> Decision {
    without(look, |effect| {
        matches!(effect, Effect::SendRouteHome { .. })
    })
}

pub(super) fn forgets_to_unpin(look: Look<'_>) -> Decision {
    without(look, |effect| matches!(effect, Effect::UnpinService { .. }))
}

pub(super) fn forgets_the_pair(look: Look<'_>) -> Decision {
    without(look, |effect| {
        matches!(effect, Effect::RemoveService { .. })
    })
}

pub(super) fn forgets_to_lead(look: Look<'_>) -> Decision {
    without(look, |effect| matches!(effect, Effect::SetRoute { .. }))
}

/// Takes the user's Service for pinned.
pub(super) fn does_not_pin(look: Look<'_>) -> Decision {
    without(look, |effect| matches!(effect, Effect::PinService { .. }))
}

/// Lets the workload roll while routes still lead to its stable pods alone.
pub(super) fn hands_over_under_the_routes(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    if decision.status.phase == Phase::Promoting
        && let Workload::Deployment(deployment) = &look.observed.workload
        && deployment.paused
        && !decision
            .effects
            .iter()
            .any(|effect| matches!(effect, Effect::Resume { .. }))
    {
        decision.effects.insert(
            0,
            Effect::Resume {
                digest: deployment.template.digest.clone(),
                resource_version: deployment.resource_version.clone(),
                guard: Guard::Template,
            },
        );
    }
    decision
}

/// Gives the candidate a little more than its step says.
pub(super) fn gives_more_than_the_step(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    for effect in &mut decision.effects {
        if let Effect::SetRoute { split, .. } = effect {
            split.canary_percent = split.canary_percent.saturating_add(1);
        }
    }
    decision
}

/// Lets a cookie mean the same whatever is on trial.
pub(super) fn keeps_another_trials_cookie(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    for effect in &mut decision.effects {
        if let Effect::SetRoute { split, .. } = effect
            && let Some(sessions) = &mut split.sessions
        {
            "always-1".clone_into(&mut sessions.trial);
        }
    }
    decision
}

/// Writes shares without the cookies that they are to have.
pub(super) fn keeps_no_client(look: Look<'_>) -> Decision {
    let mut decision = production(look);
    for effect in &mut decision.effects {
        if let Effect::SetRoute { split, .. } = effect {
            split.sessions = None;
        }
    }
    decision
}
