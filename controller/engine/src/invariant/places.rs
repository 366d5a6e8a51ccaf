//! What decisions may do to pods that have places of their own while requests are led to them.

use super::{Case, traffic};
use crate::rollout::{
    Effect,
    observed::{Deployment, ReplicaSet, Workload},
    status::Phase,
};

/// Serving pods of a candidate are deleted only after the routes have left it, or, in mid-canary, while others of it serve; and while
/// routes lead by the pair of Services, the workload isn't let roll away from one of them.
pub(super) fn places_go_after_the_routes(case: Case<'_>) -> Result<(), String> {
    let Some(deployment) = in_place(case) else {
        return Ok(());
    };
    let leads = traffic::leads(case);
    if !leads.any() {
        return Ok(());
    }
    for effect in &case.decision.effects {
        match effect {
            Effect::RemovePod { uid, .. } => {
                let set = set_of_ready_pod(case, uid).filter(|set| traffic::is_canary(case, set));
                if set.is_some_and(|set| !stays_served(case, set)) {
                    return Err(format!("{effect:?} while requests come to its version"));
                }
            }
            Effect::Resume { digest, .. } | Effect::RestoreTemplate { digest, .. } => {
                let mut sets = case.observed.sets.iter();
                let goes = sets.any(|set| set.template.digest != *digest && set.total > 0);
                if goes && deployment.paused {
                    return Err(format!("{effect:?} while routes lead to the pair"));
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether the version keeps a pod that serves, which only a canary that goes on is meant to.
fn stays_served(case: Case<'_>, set: &ReplicaSet) -> bool {
    let removed = |uid: &str| {
        let mut effects = case.decision.effects.iter();
        effects.any(|effect| matches!(effect, Effect::RemovePod { uid: gone, .. } if gone == uid))
    };
    let mut pods = set.pods.iter();
    let serves = pods.any(|pod| pod.ready && !pod.terminating && !removed(&pod.uid));
    case.decision.status.phase == Phase::Progressing && serves
}

/// Where routes are led, the first place is given to a candidate only when the user's Service would not send it anything.
pub(super) fn first_place_is_unreached(case: Case<'_>) -> Result<(), String> {
    for effect in &case.decision.effects {
        let Effect::MovePartition { digest, .. } = effect else {
            continue;
        };
        let mut sets = case.observed.sets.iter();
        let runs =
            sets.any(|set| set.template.digest == *digest && (set.desired > 0 || set.total > 0));
        if !runs && traffic::is_reached(case) {
            return Err(format!("{effect:?} behind a Service that is open"));
        }
    }
    Ok(())
}

fn in_place(case: Case<'_>) -> Option<&Deployment> {
    match &case.observed.workload {
        Workload::Deployment(deployment) if deployment.kind.in_place() => Some(deployment),
        _ => None,
    }
}

fn set_of_ready_pod<'a>(case: Case<'a>, uid: &str) -> Option<&'a ReplicaSet> {
    let mut sets = case.observed.sets.iter();
    sets.find(|set| set.pods.iter().any(|pod| pod.uid == uid && pod.ready))
}
