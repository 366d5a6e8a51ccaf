//! The verdict of a gate that compares, from the events that were counted.
//!
//! Invariant: a rejection stands. The candidate is held to one false-rollback rate from its first pods to the end of its bake,
//! and nothing that is counted later takes a crossing of it back.

use super::{
    GateState, Reading, Result, Stable, Verdict, Window,
    fold::{known, unknown},
};
use crate::analysis::{
    evidence::{Evidence, OnInconclusive, Policy},
    ledger::Tick,
};

/// The rules may have been edited since the evidence was weighed.
pub(super) fn under_present_rules(rules: &Policy, state: &mut GateState, window: Window) {
    if rejected(rules, state, window) {
        state.verdict = Verdict::Fail;
        state.failures = state.failures.max(1);
    } else if state.verdict == Verdict::Fail {
        state.verdict = Verdict::Continue;
    }
}

/// Counts one reading.
pub(super) fn count(rules: &Policy, state: &mut GateState, reading: &Reading, window: Window) {
    state.measured_at = Some(reading.at);
    if state.verdict == Verdict::Fail {
        // Failed for good: the evidence of the failure stays readable.
        return;
    }
    state.verdict = match &reading.result {
        Result::Counted(tick) => weigh(rules, state, tick, window),
        Result::Unchanged => state.verdict,
        Result::NoBaseline if window.stable == Stable::MayBeGone => nothing_left(state, "pods"),
        Result::NoBaseline => {
            let why = "there are no stable pods to compare with";
            unknown(state, reading.at, why, Verdict::NoData)
        }
        Result::Continue { why } => {
            known(state, None, Some(why));
            Verdict::Continue
        }
        Result::NoData { why } => unknown(state, reading.at, why, Verdict::NoData),
        Result::Pass { .. } | Result::Fail { .. } | Result::Frozen { .. } => {
            let why = "a single number was given for a gate that compares";
            unknown(state, reading.at, why, Verdict::Error)
        }
        Result::Error { why } => unknown(state, reading.at, why, Verdict::Error),
    };
}

/// After the promotion everything is the new version's: what was found before stands.
fn nothing_left(state: &mut GateState, of_stable: &str) -> Verdict {
    let why = format!(
        "there are no stable {of_stable} left to compare with; what was found before stands"
    );
    known(state, None, Some(&why));
    state.passes = state.passes.saturating_add(1);
    Verdict::Pass
}

/// Whether the canary served, and nobody else.
fn is_alone(tick: &Tick) -> bool {
    let mut series = tick.series.iter();
    let canary = series.clone().any(|one| one.canary.total() > 0.0);
    canary && series.all(|one| one.stable.total() <= 0.0)
}

fn weigh(rules: &Policy, state: &mut GateState, tick: &Tick, window: Window) -> Verdict {
    let evidence = state
        .evidence
        .get_or_insert_with(|| Evidence::none(tick.from));
    if !evidence.count(rules, tick) {
        return state.verdict;
    }
    if window.passes_from.is_some_and(|from| tick.from >= from) {
        evidence.count_for_step(tick);
    }
    let verdict = verdict(rules, evidence, window);
    // A baseline that proxies count has no pods that could be missed: after the promotion its counters stand still.
    if verdict == Verdict::Continue && window.stable == Stable::MayBeGone && is_alone(tick) {
        return nothing_left(state, "requests");
    }
    let value = evidence.value();
    let message = evidence.sentence(rules);
    known(state, Some(&value), Some(&message));
    match verdict {
        Verdict::Fail => state.failures = state.failures.saturating_add(1),
        Verdict::Pass => state.passes = state.passes.saturating_add(1),
        _ => {}
    }
    verdict
}

fn verdict(rules: &Policy, evidence: &Evidence, window: Window) -> Verdict {
    let requests = evidence.step_requests.get();
    let enough = requests > 0.0 && requests >= f64::from(rules.min_requests);
    let advances = rules.on_inconclusive == OnInconclusive::Advance && !evidence.suspects(rules);
    if evidence.rejects(rules, window.comparing) {
        Verdict::Fail
    } else if enough && (advances || evidence.reassures(rules)) {
        Verdict::Pass
    } else {
        Verdict::Continue
    }
}

fn rejected(rules: &Policy, state: &GateState, window: Window) -> bool {
    state
        .evidence
        .as_ref()
        .is_some_and(|evidence| evidence.rejects(rules, window.comparing))
}

#[cfg(test)]
mod tests;
