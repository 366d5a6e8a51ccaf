//! What a decision may forget.

use super::{Case, same_trial};
use crate::{
    action::{Outcome, Verb},
    quarantine::{self, LIMIT},
};

/// Every act has at most one receipt, and the receipt stays while the act is seen.
pub(super) fn one_receipt_an_act(case: Case<'_>) -> Result<(), String> {
    let after = &case.decision.status.actions;
    for (index, receipt) in after.iter().enumerate() {
        if after
            .iter()
            .skip(index + 1)
            .any(|other| other.uid == receipt.uid)
        {
            return Err(format!("{} has two receipts", receipt.uid));
        }
    }
    for receipt in &case.before.actions {
        let seen = case
            .observed
            .actions
            .iter()
            .any(|request| request.uid == receipt.uid);
        let kept = after.contains(receipt);
        if seen && !kept {
            return Err(format!(
                "the receipt of {} was lost or changed before it was acknowledged",
                receipt.uid
            ));
        }
    }
    Ok(())
}

/// Quarantined content stays quarantined until a person retries it, it is promoted after all, or newer entries need the room.
pub(super) fn quarantine_is_kept(case: Case<'_>) -> Result<(), String> {
    let status = &case.decision.status;
    let acted = status.actions.iter().any(|receipt| {
        receipt.outcome == Outcome::Accepted
            && receipt.verb == Verb::Retry
            && !case.before.actions.contains(receipt)
    });
    let way_back_failed = case
        .before
        .candidate
        .as_ref()
        .is_some_and(|c| c.replaces.is_some());
    for entry in &case.before.quarantine {
        let kept = status.quarantine.iter().any(|after| after.digest == entry.digest)
            // The same content may have a new digest under new defaults of the API.
            || status.quarantine.iter().any(|after| after.since == entry.since && after.reason == entry.reason);
        let promoted = status
            .stable
            .as_ref()
            .is_some_and(|stable| stable.digest == entry.digest);
        if !kept && !acted && !promoted && !way_back_failed && status.quarantine.len() < LIMIT {
            return Err(format!("the quarantine of {} was lost", entry.version));
        }
    }
    if status.quarantine.len() > LIMIT {
        return Err(format!("{} quarantine entries", status.quarantine.len()));
    }
    let repeated = status
        .quarantine
        .iter()
        .find(|entry| quarantine::find(&status.quarantine, &entry.digest) != Some(entry));
    repeated.map_or(Ok(()), |entry| {
        Err(format!("{} is quarantined twice", entry.version))
    })
}

/// Failed measurements count against a candidate for its whole life.
pub(super) fn failures_are_kept(case: Case<'_>) -> Result<(), String> {
    let (Some(before), Some(after)) = (&case.before.candidate, &case.decision.status.candidate)
    else {
        return Ok(());
    };
    if !same_trial(before, after) {
        return Ok(());
    }
    for state in &case.decision.status.gates {
        let known = case
            .before
            .gates
            .iter()
            .find(|known| known.name == state.name);
        if let Some(known) = known.filter(|known| known.failures > state.failures) {
            return Err(format!(
                "gate {} forgot {} failures",
                state.name,
                known.failures - state.failures
            ));
        }
    }
    Ok(())
}
