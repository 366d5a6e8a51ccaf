//! The decision about a Release, in the order in which it is made: take in what the source asks for, take up what people
//! asked for, choose the content to bring in, drive it on, and say what is waited for.
//!
//! The status is the only memory. Effects are derived from status and observation on every pass, and emitted again until the
//! observation shows that they are done.

mod acts;
mod applying;
mod choose;
mod cluster;
mod conditions;
mod dependencies;
mod expiry;
mod failing;
mod gates;
mod governed;
mod leaving;
mod pass;
mod promotion;
mod publish;
mod requested;
mod settled;
mod source;
mod verifying;

use jiff::Timestamp;

use self::pass::Pass;
use super::{
    Decision, Observed, Plan, ReleaseStatus, observed::Lifecycle, plan::Suspension, status::Phase,
};

pub use governed::{PROMOTION_REASON, Standing, standing};

/// What to do about a Release now. `plan` is the validated spec, or why it can't be carried out.
pub fn decide(
    plan: Result<&Plan, &str>,
    status: &ReleaseStatus,
    observed: &Observed,
    now: Timestamp,
) -> Decision {
    let mut pass = Pass::new(plan, status, observed, now);
    acts::acknowledge(&mut pass);
    cluster::take_in(&mut pass);
    if let Lifecycle::Deleting { since, policy } = observed.lifecycle {
        leaving::drive(&mut pass, since, policy);
        return pass.finish();
    }
    source::take_in(&mut pass);
    requested::take_up(&mut pass);
    acts::take_up(&mut pass);
    if !held(&mut pass) {
        expiry::take_up(&mut pass);
        choose::choose(&mut pass);
        drive(&mut pass);
    }
    conditions::set(&mut pass);
    pass.finish()
}

/// Whether a person or the spec says that nothing is to be written, or nothing can be.
fn held(pass: &mut Pass<'_>) -> bool {
    if pass
        .plan
        .is_ok_and(|plan| plan.suspension == Suspension::Suspended)
    {
        pass.wait(
            "Suspended",
            "suspended by spec.suspend; nothing is written until it is taken away",
        );
        return true;
    }
    if let Some(paused) = pass.status.paused.clone() {
        pass.wait(
            "Paused",
            format!(
                "paused by {}; nothing is written until somebody resumes it",
                paused.by
            ),
        );
        return true;
    }
    if let Some(barred) = pass.barred.clone() {
        pass.wait(barred.reason(), barred.message());
        return true;
    }
    false
}

/// Drives the target on. A step that changes the phase hands over to the next one in the same pass, so that every effect
/// that follows from the new status is emitted with it.
fn drive(pass: &mut Pass<'_>) {
    for _ in 0..4 {
        let phase = pass.status.phase;
        match phase {
            Phase::Pending | Phase::Failed | Phase::Terminating => settled::unverified(pass),
            Phase::Applying => applying::drive(pass),
            Phase::Verifying => verifying::drive(pass),
            Phase::RollingBack => applying::drive_rollback(pass),
            Phase::Waiting
            | Phase::Rehearsing
            | Phase::Verified
            | Phase::Rejected
            | Phase::Refused => {
                settled::drive(pass);
            }
        }
        if pass.status.phase == phase {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
