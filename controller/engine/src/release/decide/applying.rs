//! Bringing content in: recorded in the inventory first, then applied.

use super::{
    failing,
    pass::{Pass, after, brief},
    verifying,
};
use crate::release::{
    Effect, OnFailure,
    observed::{Fault, Task, Trouble},
    status::{FailureReason, Phase, Target},
};

/// New content: applied, or failed when the API server refuses the real thing after it took the rehearsal.
pub(super) fn drive(pass: &mut Pass<'_>) {
    let Some(target) = pass.status.target.clone() else {
        pass.enter(Phase::Pending);
        return;
    };
    if applied(pass, &target) {
        pass.enter(Phase::Verifying);
        return;
    }
    if let Some(trouble) = trouble(pass, &target) {
        let late = pass.plan.is_ok_and(|plan| {
            after(
                target.started_at.max(pass.observed.acting_since),
                plan.timeout,
            ) <= pass.now
        });
        match trouble.fault {
            Fault::Content => {
                return failing::fail(pass, FailureReason::ApplyFailed, trouble.message.clone());
            }
            Fault::Environment if late => {
                return failing::fail(pass, FailureReason::ApplyFailed, trouble.message.clone());
            }
            Fault::Waiting if late => {
                let message = format!(
                    "Not healthy in time (verification.timeout): {}",
                    trouble.message
                );
                return failing::fail(pass, FailureReason::DeadlineExceeded, message);
            }
            Fault::Waiting => {
                pass.wait(
                    "Wave",
                    format!("Applies {}; {}", brief(&target.content), trouble.message),
                );
            }
            Fault::Environment | Fault::Passing => {}
        }
        pass.wait(
            "ApplyFailing",
            format!(
                "{} can't be applied: {}; tried again soon",
                brief(&target.content),
                trouble.message
            ),
        );
    }
    pass.wait("Applying", format!("Applies {}", brief(&target.content)));
    bring_in(pass, &target, OnFailure::Stop);
}

/// The last verified version: applied as far as possible, and tried again for as long as it takes.
pub(super) fn drive_rollback(pass: &mut Pass<'_>) {
    let Some(target) = pass.status.target.clone() else {
        pass.enter(Phase::Pending);
        return;
    };
    if target.applied_at.is_none() && !applied(pass, &target) {
        if let Some(trouble) = trouble(pass, &target) {
            pass.wait(
                "RollbackFailing",
                format!(
                    "{} can't be brought back yet: {}; tried again soon",
                    brief(&target.content),
                    trouble.message
                ),
            );
        }
        pass.wait(
            "RollingBack",
            format!("Brings {} back", brief(&target.content)),
        );
        bring_in(pass, &target, OnFailure::GoOn);
        return;
    }
    verifying::drive_rollback(pass);
}

fn trouble<'a>(pass: &Pass<'a>, target: &Target) -> Option<&'a Trouble> {
    pass.trouble(Task::Apply, Some(&target.content.digest))
}

/// Whether this attempt was carried out; if so, that goes on record with the workloads in it.
fn applied(pass: &mut Pass<'_>, target: &Target) -> bool {
    let Some(applied) = pass.observed.applied.as_ref().filter(|applied| {
        applied.attempt == target.started_at && applied.digest == target.content.digest
    }) else {
        return false;
    };
    pass.status.workloads.clone_from(&applied.workloads);
    if let Some(target) = &mut pass.status.target {
        target.applied_at = Some(pass.now);
    }
    true
}

fn bring_in(pass: &mut Pass<'_>, target: &Target, on_failure: OnFailure) {
    let digest = &target.content.digest;
    if !pass.observed.inventory.contents.contains(digest) {
        let record = Effect::RecordInventory {
            content: target.content.clone(),
        };
        pass.attempt(Task::Apply, Some(digest), record);
    }
    let apply = Effect::Apply {
        content: target.content.clone(),
        attempt: target.started_at,
        on_failure,
    };
    pass.attempt(Task::Apply, Some(digest), apply);
}
