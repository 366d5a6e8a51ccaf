//! From an observation to the next status and the effects that lead there.
//!
//! One pass looks at the phase, and moves at most one transition further. Passes repeat, on the same observation, until the
//! status stays the same; the effects are those of the last pass. So a decision is a fixed point of itself: deciding again
//! on the same observation changes nothing, and every effect follows from the settled status and the observation alone.
//!
//! What the shell owes in return: it writes a changed status under its resource version before any effect, and when that
//! write fails, or when it begins to act under a new lease, it reads the Rollout (a consistent read, not a watch's state)
//! before it decides again. An unchanged status is not written, so nothing else would tell that it is out of date.
//!
//! Deliberately absent: any memory besides the status, and any trust in effects having been carried out.

mod actions;
mod adopt;
mod bake;
mod begin;
mod clear;
mod clock;
mod compare;
mod conditions;
mod config;
mod copies;
mod delete;
mod gates;
mod idle;
mod in_place;
mod lookup;
mod nodes;
mod pass;
mod pods;
mod progress;
mod promote;
mod rekey;
mod rollback;
mod step;
mod toward;
mod traffic;
mod zero;

use jiff::Timestamp;

use self::pass::Pass;
use super::{
    Decision, Observed, Plan, RolloutStatus,
    observed::{Lifecycle, Workload},
    reason,
    status::{Asked, Phase},
};

/// Transitions that one decision makes at most: more than a plan's steps with nothing to wait for and a rollback.
const MAX_PASSES: usize = 128;

/// Decides about one Rollout. `plan` is the validated spec, or the sentence that says why it is refused.
pub fn decide(
    plan: Result<&Plan, &str>,
    status: &RolloutStatus,
    observed: &Observed,
    now: Timestamp,
) -> Decision {
    let mut status_now = rekey::same_content(status, observed);
    let mut events = Vec::new();
    for _ in 0..MAX_PASSES {
        let mut pass = Pass::new(plan, &status_now, observed, now);
        run(&mut pass);
        let Pass {
            next,
            effects,
            measures,
            events: news,
            wake_at,
            ..
        } = pass;
        events.extend(news);
        if next == status_now {
            return Decision {
                status: remember_asked(status, next, observed),
                effects,
                measures,
                events,
                wake_at,
            };
        }
        status_now = next;
    }
    // Not reached with plans of a sane number of steps: write what was decided so far and go on at once.
    Decision {
        status: status_now,
        effects: Vec::new(),
        measures: Vec::new(),
        events,
        wake_at: Some(now),
    }
}

fn run(pass: &mut Pass<'_>) {
    pass.next.observed_generation = Some(pass.seen.generation);
    match (pass.seen.lifecycle, &pass.seen.workload) {
        (Lifecycle::Deleting, _) => delete::go(pass),
        (Lifecycle::Live, Workload::Missing) => missing(pass),
        (Lifecycle::Live, Workload::Refused(why)) => refused(pass, why),
        (Lifecycle::Live, Workload::Deployment(deployment)) => {
            if !deployment.labelled {
                pass.adopt();
            }
            note_hold(pass, deployment);
            gates::fold(pass);
            actions::take_up(pass, Some(deployment));
            by_phase(pass, deployment);
            copies::keep(pass);
        }
    }
    actions::acknowledge(pass);
    conditions::finish(pass);
}

/// Seen paused after Belay let it go: from here on, un-pausing it is somebody else's doing.
fn note_hold(pass: &mut Pass<'_>, deployment: &super::observed::Deployment) {
    let released = pass.next.released_generation;
    if deployment.paused && released.is_some_and(|released| deployment.generation > released) {
        pass.next.released_generation = None;
    }
}

fn by_phase(pass: &mut Pass<'_>, deployment: &super::observed::Deployment) {
    let phase = pass.next.phase;
    let at_rest = matches!(
        phase,
        Phase::Pending | Phase::Healthy | Phase::Rejected | Phase::Terminating
    );
    if !at_rest && config::lost(pass, deployment) == config::Course::Busy {
        return;
    }
    match phase {
        Phase::Pending | Phase::Healthy | Phase::Rejected | Phase::Terminating => {
            idle::go(pass, deployment);
        }
        Phase::Progressing => {
            progress::go(pass, deployment);
            if pass.next.phase == Phase::Progressing {
                config::newer(pass, deployment);
            }
        }
        Phase::Promoting => promote::go(pass, deployment),
        Phase::Baking => bake::go(pass, deployment),
        Phase::RollingBack => rollback::go(pass, deployment),
    }
}

/// The workload is gone, and with it whatever was on trial; what was verified stays on record for its return.
fn missing(pass: &mut Pass<'_>) {
    actions::take_up(pass, None);
    traffic::retreat(pass, None);
    clear::remove_all(pass);
    if pass.next.phase != Phase::Pending {
        pass.enter(Phase::Pending);
    }
    pass.drop_candidate();
    pass.wait(
        reason::WORKLOAD_MISSING,
        "The workload does not exist; create it, or correct spec.workloadRef.".to_owned(),
    );
}

/// The workload can't be governed: nothing new begins, what is being taken back goes on.
fn refused(pass: &mut Pass<'_>, why: &str) {
    actions::take_up(pass, None);
    if pass.next.phase == Phase::RollingBack {
        traffic::retreat(pass, None);
        clear::remove_all(pass);
    }
    pass.stall(reason::WORKLOAD_REFUSED, why.to_owned());
}

/// Records the judged template beside a status that is written anyway; by itself it is not worth a write.
fn remember_asked(
    before: &RolloutStatus,
    mut decided: RolloutStatus,
    observed: &Observed,
) -> RolloutStatus {
    if decided != *before
        && let Workload::Deployment(deployment) = &observed.workload
    {
        decided.asked = Some(Asked {
            digest: deployment.template.digest.clone(),
            uid: deployment.uid.clone(),
            generation: deployment.generation,
        });
    }
    decided
}

#[cfg(test)]
mod tests;
