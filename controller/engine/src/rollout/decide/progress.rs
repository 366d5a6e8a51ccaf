//! A candidate runs beside the untouched stable version, or waits to be promoted at once.

use super::{
    super::{
        observed::{Deployment, Group},
        reason,
        status::{Candidate, Phase, RollbackReason, Track},
    },
    begin, gates, idle,
    pass::Pass,
    promote, rollback, step, traffic,
};

pub(super) fn go(pass: &mut Pass<'_>, deployment: &Deployment) {
    let Some(candidate) = pass.next.candidate.clone() else {
        return pass.enter(Phase::Healthy);
    };
    if let Some((why, message)) = ended_by_the_workload(pass, deployment, &candidate) {
        return rollback::begin(pass, &candidate.version, why, message, false);
    }
    if !deployment.paused && pass.next.released_generation.is_some() {
        // Let go for an earlier promotion of the same content, and seen only now.
        return idle::hold(pass, deployment);
    }
    if !deployment.paused {
        return bypass(pass, &candidate);
    }
    if let Some((why, message)) = gates::against(pass) {
        return rollback::begin(pass, &candidate.version, why, message, false);
    }
    if let Err(why) = &pass.plan {
        let why = why.clone();
        if deployment.kind.in_place() && deployment.replicas < 2 {
            // The candidate's places are gone, and nothing may lead there.
            traffic::retreat(pass, Some(deployment));
        }
        return pass.stall(reason::SPEC_REFUSED, why);
    }
    match candidate.track {
        Track::Forced => promote::begin(pass),
        Track::Fast => promote_with_group(pass),
        Track::Steps | Track::Bypassed => step::go(pass, deployment, &candidate),
    }
}

/// What is asked for is no longer this candidate, or can't be verified any more.
fn ended_by_the_workload(
    pass: &Pass<'_>,
    deployment: &Deployment,
    candidate: &Candidate,
) -> Option<(RollbackReason, String)> {
    let version = &candidate.version.version;
    if pass.asks_for(deployment, &candidate.version) {
        // Stable without pods was scaled to zero too, and woken or not: the workload's own controller chooses what wakes. Or the
        // version rolled before the hold was in force.
        let lost = pass.stable_set().is_some_and(|set| set.desired == 0);
        let ends = (deployment.replicas == 0 || lost) && candidate.track != Track::Fast;
        return ends.then(|| {
            let how = if deployment.replicas == 0 {
                "was scaled to zero"
            } else {
                "was scaled to zero and woken, or rolled before it was held,"
            };
            let message = format!("The workload {how} during the canary of {version}.");
            (RollbackReason::ScaledToZero, message)
        });
    }
    if pass.asks_for_stable(deployment) {
        let message = format!(
            "The workload was set back to its stable template during the canary of {version}."
        );
        return Some((RollbackReason::Reverted, message));
    }
    let message = format!(
        "{} took the place of {version}.",
        deployment.template.version
    );
    Some((RollbackReason::Superseded, message))
}

fn bypass(pass: &mut Pass<'_>, candidate: &Candidate) {
    pass.warning(
        reason::HOLD_BYPASSED,
        format!(
            "The workload was un-paused during the canary of {}; it is watched, and taken back if a gate fails.",
            candidate.version.version,
        ),
    );
    if let Some(candidate) = &mut pass.next.candidate {
        candidate.track = Track::Bypassed;
    }
    promote::begin(pass);
}

/// The candidate may be promoted: at once, or with the others of its Release.
pub(super) fn promote_with_group(pass: &mut Pass<'_>) {
    if let Some(paused) = &pass.next.paused {
        let message = format!("{} paused the Rollout; a resume ends this.", paused.by);
        return pass.wait(reason::PAUSED, message);
    }
    match &pass.seen.group {
        Group::Alone | Group::Go => promote::begin(pass),
        Group::Waiting { message } => pass.wait(reason::TOGETHER, message.clone()),
    }
}

pub(super) fn restart_steps(pass: &mut Pass<'_>) {
    pass.next.step = Some(begin::first_step(pass));
}
