//! Everything runs the new version; gates stay on until the bake is over, and then it is the stable one.

use super::{
    super::{
        observed::Deployment,
        reason,
        status::{Candidate, Phase, Version},
    },
    adopt,
    clock::{after, show},
    gates,
    lookup::is_of,
    pass::{Pass, Why},
    promote, rollback,
    toward::{self, Course},
    traffic,
};
use crate::traffic::plan::Standing;

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment) {
    let Some(candidate) = pass.next.candidate.clone() else {
        return pass.enter(Phase::Healthy);
    };
    promote::note_readiness(pass, &candidate);
    if let Some((why, message)) = gates::against(pass) {
        return rollback::begin(pass, &candidate.version, why, message, true);
    }
    let course = toward::go(pass, deployment, &candidate);
    if course == Course::Left {
        return;
    }
    if !promote::settled(pass, deployment, &candidate, course) {
        if !promote::stuck(pass, &candidate) {
            let problem = deployment
                .problem
                .as_deref()
                .map(|why| format!(" ({why})"))
                .unwrap_or_default();
            let message = format!(
                "All pods of {} must be available again{problem}.",
                candidate.version.version
            );
            pass.wait(reason::PODS, message);
        }
        return;
    }
    match blocked(pass) {
        Some(why) => pass.wait(why.reason, why.message),
        None if pass.next.traffic.is_some() => traffic::wait(pass, &Standing::Reached),
        None => finish(pass, &candidate),
    }
}

fn blocked(pass: &mut Pass<'_>) -> Option<Why> {
    let bake = match &pass.plan {
        Ok(plan) => plan.bake,
        Err(why) => {
            let why = why.clone();
            pass.stall(reason::SPEC_REFUSED, why.clone());
            return Some(Why {
                reason: reason::SPEC_REFUSED,
                message: why,
            });
        }
    };
    if let Some(paused) = &pass.next.paused {
        let message = format!("{} paused the Rollout; a resume ends this.", paused.by);
        return Some(Why {
            reason: reason::PAUSED,
            message,
        });
    }
    let until = after(pass.next.phase_since.unwrap_or(pass.now), bake);
    if pass.now < until && pass.next.bake_skipped_by.is_none() {
        pass.wake(until);
        let message = format!(
            "The new version bakes until {}; a skip ends this.",
            show(until)
        );
        return Some(Why {
            reason: reason::HOLD,
            message,
        });
    }
    gates::blocking(pass)
}

/// The candidate becomes the stable version.
fn finish(pass: &mut Pass<'_>, candidate: &Candidate) {
    let hash = pass
        .seen
        .native()
        .filter(|set| is_of(set, &candidate.version))
        .max_by_key(|set| set.desired)
        .map_or_else(|| candidate.version.hash.clone(), |set| set.hash.clone());
    let version = Version {
        hash,
        ..candidate.version.clone()
    };
    pass.normal(
        reason::PROMOTED,
        format!("{} is the stable version now.", version.version),
    );
    crate::quarantine::lift(&mut pass.next.quarantine, &version.digest);
    adopt::remember(pass, &version);
    pass.drop_candidate();
    pass.next.released_generation = None;
    pass.enter(Phase::Healthy);
}
