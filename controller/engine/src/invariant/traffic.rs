//! What the writes to routes, Services and pods of one decision may do together.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Case;
use crate::{
    rollout::{
        Effect,
        observed::{Owner, ReplicaSet, Workload},
        status::{Phase, Version},
    },
    traffic::{RouteId, RouteState, Sessions, Split, Traffic, UserService},
};

/// How long a router that does not answer may keep pods, while there is no plan that says it.
const WITHOUT_PLAN: Duration = Duration::from_mins(10);

/// A share is raised only onto enough ready pods, which the Service leads to.
pub(super) fn no_empty_destination(case: Case<'_>) -> Result<(), String> {
    for effect in &case.decision.effects {
        let Effect::SetRoute { id, split, .. } = effect else {
            continue;
        };
        if !raises(case, id, split) {
            continue;
        }
        let canary = case.observed.traffic.services.canary.as_ref();
        let set = canary.and_then(|canary| set_with(case, &canary.hash));
        let (Some(canary), Some(set)) = (canary, set) else {
            return Err(format!("{effect:?} onto no pods"));
        };
        let needed = needed(case, split);
        if set.available.min(canary.ready_endpoints) < needed {
            return Err(format!(
                "{effect:?} onto {} ready pods and {} endpoints instead of {needed}",
                set.available, canary.ready_endpoints
            ));
        }
    }
    Ok(())
}

fn raises(case: Case<'_>, id: &RouteId, split: &Split) -> bool {
    let routes = &case.observed.traffic.routes;
    let seen = routes.iter().find(|route| route.id == *id);
    match seen.map(|route| &route.state) {
        Some(RouteState::Split(before)) => split.load_percent() > before.load_percent(),
        Some(RouteState::Mixed) => false,
        _ => split.reaches_candidate(),
    }
}

fn needed(case: Case<'_>, split: &Split) -> i32 {
    let Workload::Deployment(deployment) = &case.observed.workload else {
        return 0;
    };
    // A promotion takes away what routes lead to already.
    if case.decision.status.phase == Phase::Promoting {
        return 1;
    }
    deployment.kind.routed_pods(split, deployment.replicas)
}

/// The parts of every split make a hundred.
pub(super) fn weights_sum_to_hundred(case: Case<'_>) -> Result<(), String> {
    let splits = case
        .decision
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::SetRoute { split, .. } => Some(split),
            _ => None,
        });
    for split in splits {
        if split.canary_percent > 100 || split.mirror_percent.is_some_and(|percent| percent > 100) {
            return Err(format!("{split:?}"));
        }
    }
    Ok(())
}

/// No route gives the candidate more than its step says, and none gives it anything when nothing is on trial.
pub(super) fn weight_never_exceeds_step(case: Case<'_>) -> Result<(), String> {
    let status = &case.decision.status;
    for effect in &case.decision.effects {
        let Effect::SetRoute { split, .. } = effect else {
            continue;
        };
        let most = match status.phase {
            Phase::Progressing => {
                let index = status.step.as_ref().map(|step| step.index as usize);
                let steps = case.plan.ok().map(|plan| &plan.steps);
                steps
                    .zip(index)
                    .and_then(|(steps, index)| steps.get(..=index))
                    .into_iter()
                    .flatten()
                    .filter_map(|step| step.split.as_ref())
                    .map(|split| split.canary_percent)
                    .max()
            }
            // All of it goes to the candidate before stable goes.
            Phase::Promoting | Phase::Baking => Some(100),
            _ => None,
        };
        if most.is_none_or(|most| split.canary_percent > most) {
            return Err(format!("{effect:?} in {:?}", status.phase));
        }
    }
    Ok(())
}

/// A cookie that keeps clients on the candidate names the candidate that the Service leads to, as the trial that is on.
pub(super) fn cookies_name_the_trial(case: Case<'_>) -> Result<(), String> {
    for effect in &case.decision.effects {
        let Effect::SetRoute { split, .. } = effect else {
            continue;
        };
        let Some(sessions) = &split.sessions else {
            continue;
        };
        let candidate = case.decision.status.candidate.as_ref();
        let trial = candidate
            .map(|candidate| Sessions::trial(&candidate.version.hash, candidate.started_at));
        let grows = sessions
            .earlier_percent
            .is_none_or(|earlier| earlier < split.canary_percent);
        if trial.as_ref() != Some(&sessions.trial) || !grows {
            return Err(format!("{effect:?} while {trial:?} is on trial"));
        }
    }
    Ok(())
}

/// Pods that requests come to are not taken away, and no decision leads requests away and takes the pods, too.
pub(super) fn pods_go_after_the_routes(case: Case<'_>) -> Result<(), String> {
    let leads = leads(case);
    for effect in &case.decision.effects {
        let (Effect::RemoveCandidate { name, .. }
        | Effect::ScaleCandidate {
            name, replicas: 0, ..
        }) = effect
        else {
            continue;
        };
        let set = case.observed.sets.iter().find(|set| set.name == *name);
        let served = set.is_some_and(|set| is_canary(case, set) && set.total > 0);
        if served && leads.any() {
            return Err(format!("{effect:?} while requests come to its pods"));
        }
    }
    Ok(())
}

/// What routes do before and in a decision.
#[derive(Clone, Copy)]
pub(super) struct Leads {
    /// They lead to a candidate, as far as they were seen.
    to_candidate: bool,
    /// They are being written.
    now: bool,
}

impl Leads {
    pub(super) const fn any(self) -> bool {
        self.to_candidate || self.now
    }
}

/// What the routes of a Rollout do, unless routers were waited for as long as they may be.
pub(super) fn leads(case: Case<'_>) -> Leads {
    let status = &case.decision.status;
    let memory = status.traffic.as_ref().or(case.before.traffic.as_ref());
    let Some(memory) = memory.filter(|memory| !patience_is_over(case, memory)) else {
        return Leads {
            to_candidate: false,
            now: false,
        };
    };
    let led = |route: &&crate::traffic::RouteSeen| memory.routes.contains(&route.id);
    let routes = &case.observed.traffic.routes;
    Leads {
        to_candidate: routes.iter().filter(led).any(|route| {
            matches!(&route.state, RouteState::Split(split) if split.reaches_candidate())
                || route.state == RouteState::Mixed
        }),
        now: case.decision.effects.iter().any(|effect| {
            matches!(
                effect,
                Effect::SetRoute { .. } | Effect::SendRouteHome { .. }
            )
        }),
    }
}

/// Whether `<service>-canary` leads to this set.
pub(super) fn is_canary(case: Case<'_>, set: &ReplicaSet) -> bool {
    let canary = case.observed.traffic.services.canary.as_ref();
    canary.is_some_and(|canary| canary.hash == set.hash)
}

fn patience_is_over(case: Case<'_>, memory: &Traffic) -> bool {
    let limit = case.plan.map_or(WITHOUT_PLAN, |plan| {
        plan.progress_deadline.min(WITHOUT_PLAN)
    });
    let until = SignedDuration::try_from(limit)
        .ok()
        .and_then(|limit| memory.aimed_at.checked_add(limit).ok())
        .unwrap_or(Timestamp::MAX);
    case.now >= until
}

/// Where routes are led, a canary begins only when the user's Service would not send it anything, if there is something else to send to.
pub(super) fn canary_begins_unreached(case: Case<'_>) -> Result<(), String> {
    for effect in &case.decision.effects {
        if let Effect::CreateCandidate { .. } = effect
            && is_reached(case)
        {
            return Err(format!("{effect:?} behind a Service that is open"));
        }
    }
    Ok(())
}

/// Whether a canary that routes are to be led to would get requests by the user's own Service.
pub(super) fn is_reached(case: Case<'_>) -> bool {
    let status = &case.decision.status;
    let stable = status.stable.as_ref();
    let routed = status.traffic.is_some()
        && stable.is_some_and(|stable| runs(case, stable))
        && case.plan.is_ok_and(|plan| plan.routing.is_some())
        && status.phase == Phase::Progressing;
    let split = status
        .step
        .as_ref()
        .zip(case.plan.ok())
        .is_some_and(|(step, plan)| {
            plan.steps
                .get(step.index as usize)
                .is_some_and(|step| step.split.is_some())
        });
    let is_pinned = matches!(case.observed.traffic.services.user, UserService::Pinned(_));
    routed && split && !is_pinned
}

fn runs(case: Case<'_>, version: &Version) -> bool {
    case.observed.sets.iter().any(|set| {
        let same = set.hash == version.hash || set.template.digest == version.digest;
        set.owner == Owner::Deployment && same
    })
}

fn set_with<'a>(case: Case<'a>, hash: &str) -> Option<&'a ReplicaSet> {
    let sets = case.observed.sets.iter();
    sets.filter(|set| set.hash == hash && !set.terminating)
        .max_by_key(|set| (set.owner == Owner::Rollout, set.desired))
}
