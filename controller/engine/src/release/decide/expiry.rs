//! The end of a quarantine by time, where the spec sets one.
//!
//! Invariant: only content that is still asked for is tried again, and only at rest: never while a version comes or goes. A failure puts
//! it back into quarantine for as long again.

use jiff::Timestamp;

use super::pass::{self, Pass, brief};
use crate::{
    quarantine::{self, Cause, Entry},
    release::status::{Content, Phase, Purpose, Target},
};

/// Who retried, as Rollouts and people are told.
const BY_TIME: &str = "the end of its quarantine";

/// When the quarantine of an entry is over, if it ends by time: what a person took back only a person lets in again.
pub(super) fn ends_at(pass: &Pass<'_>, entry: &Entry) -> Option<Timestamp> {
    let length = pass.plan.ok()?.quarantine_ends_after?;
    (entry.cause == Cause::Failure).then(|| pass::after(entry.since, length))
}

/// Tries content again whose quarantine is over.
pub(super) fn take_up(pass: &mut Pass<'_>) {
    if !matches!(pass.status.phase, Phase::Rejected | Phase::Failed) {
        return;
    }
    let Some(asked) = pass.status.asked.clone() else {
        return;
    };
    let entry = pass.quarantined(&asked.digest);
    let Some(ends_at) = entry.and_then(|entry| ends_at(pass, entry)) else {
        return;
    };
    if ends_at > pass.now {
        return pass.wake(ends_at);
    }
    pass.normal(
        "QuarantineEnded",
        format!(
            "The quarantine of {} is over; it is applied again",
            brief(&asked)
        ),
    );
    again(pass, asked, BY_TIME);
}

/// Lifts the quarantine of `asked` and applies it again; says whether there was one.
pub(super) fn again(pass: &mut Pass<'_>, asked: Content, by: &str) -> bool {
    if !quarantine::lift(&mut pass.status.quarantine, &asked.digest) {
        return false;
    }
    let target = Target {
        content: asked,
        purpose: Purpose::Release,
        started_at: pass.now,
        applied_at: None,
        healthy_at: None,
        retried_by: Some(by.to_owned()),
    };
    pass.status.refused = None;
    pass.forgive();
    pass.begin(target, Phase::Applying);
    true
}
