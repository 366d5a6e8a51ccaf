//! The Release's own gates: they must pass after everything is healthy.

use jiff::Timestamp;

use super::pass::{Pass, after};
use crate::{
    gate::{Folded, GatePolicy, GateState, Mode, Stable, Then, Verdict, Window, fold},
    release::{plan::Plan, status::FailureReason},
    rollout::effect::Measure,
};

pub(super) enum Outcome {
    Passed,
    Waiting(String),
    Failed(FailureReason, String),
}

/// Folds the newest measurements in, asks for the next ones, and says what the gates add up to.
pub(super) fn judge(pass: &mut Pass<'_>, plan: &Plan) -> Outcome {
    let Some(healthy_at) = pass
        .status
        .target
        .as_ref()
        .and_then(|target| target.healthy_at)
    else {
        return Outcome::Waiting("Waits for health".to_owned());
    };
    let mut outcome = Outcome::Passed;
    let mut states = Vec::with_capacity(plan.gates.len());
    for policy in &plan.gates {
        let known = known(pass, policy);
        let folded = standing(pass, policy, &known, healthy_at);
        pass.measures
            .push(next_measure(policy, &folded.state, healthy_at));
        let state = if folded.is_worth_writing(&known) {
            folded.state.clone()
        } else {
            known
        };
        if policy.mode == Mode::Enforce {
            outcome = worse(outcome, verdict(pass, policy, &folded.state));
        }
        states.push(state);
    }
    pass.status.verdict = worst(&states);
    pass.status.gates = states;
    outcome
}

fn known(pass: &Pass<'_>, policy: &GatePolicy) -> GateState {
    pass.status
        .gates
        .iter()
        .find(|state| state.name == policy.name)
        .cloned()
        .unwrap_or_else(|| GateState::unmeasured(policy))
}

/// Passes count from health on, and only those measured by the present holder of the lease.
fn standing(
    pass: &Pass<'_>,
    policy: &GatePolicy,
    known: &GateState,
    healthy_at: Timestamp,
) -> Folded {
    let window = Window {
        ready_from: Some(healthy_at),
        passes_from: Some(healthy_at.max(pass.observed.acting_since)),
        now: pass.now,
        // A Release has no stable pods beside the new ones, so its gates don't compare.
        comparing: 0,
        stable: Stable::Expected,
    };
    fold(policy, known, &pass.observed.readings, window)
}

fn next_measure(policy: &GatePolicy, state: &GateState, healthy_at: Timestamp) -> Measure {
    let first = after(healthy_at, policy.initial_delay);
    let due_at = state
        .measured_at
        .map_or(first, |last| after(last, policy.interval));
    Measure {
        gate: policy.name.clone(),
        due_at,
        round: Some(state.round(policy)),
    }
}

fn verdict(pass: &mut Pass<'_>, policy: &GatePolicy, state: &GateState) -> Outcome {
    let said = state.message.clone().unwrap_or_default();
    match state.verdict {
        Verdict::Pass => Outcome::Passed,
        Verdict::Fail => Outcome::Failed(
            FailureReason::GateFailed,
            format!("Gate {} failed: {said}", policy.name),
        ),
        Verdict::Continue => Outcome::Waiting(format!(
            "Waits for gate {} to pass {} times",
            policy.name,
            policy.success_count.max(1)
        )),
        Verdict::NoData => unknown(
            pass,
            policy,
            state,
            FailureReason::NoData,
            &format!("has no data: {said}"),
        ),
        Verdict::Error => unknown(
            pass,
            policy,
            state,
            FailureReason::ProviderError,
            &format!("can't be measured: {said}"),
        ),
    }
}

/// Nothing is known: hold, until the gate's own policy says otherwise.
fn unknown(
    pass: &mut Pass<'_>,
    policy: &GatePolicy,
    state: &GateState,
    reason: FailureReason,
    said: &str,
) -> Outcome {
    let rules = match reason {
        FailureReason::NoData => &policy.on_no_data,
        _ => &policy.on_error,
    };
    let message = format!("Gate {} {said}", policy.name);
    let since = state
        .unknown_since
        .unwrap_or(pass.now)
        .max(pass.observed.acting_since);
    let deadline = after(since, rules.deadline);
    if rules.then == Then::Hold {
        return Outcome::Waiting(format!("{message}; held until it answers"));
    }
    if deadline <= pass.now && state.consecutive_unknown >= rules.consecutive_limit {
        return Outcome::Failed(reason, message);
    }
    if deadline > pass.now {
        pass.wake(deadline);
    }
    Outcome::Waiting(format!("{message}; held, and rolled back if it stays so"))
}

fn worse(left: Outcome, right: Outcome) -> Outcome {
    match (&left, &right) {
        (Outcome::Failed(..), _) => left,
        (_, Outcome::Failed(..)) => right,
        (Outcome::Waiting(_), _) => left,
        _ => right,
    }
}

fn worst(states: &[GateState]) -> Option<Verdict> {
    let rank = |verdict: Verdict| match verdict {
        Verdict::Pass => 0,
        Verdict::Continue => 1,
        Verdict::NoData => 2,
        Verdict::Error => 3,
        Verdict::Fail => 4,
    };
    states
        .iter()
        .filter(|state| !state.dry_run)
        .map(|state| state.verdict)
        .max_by_key(|verdict| rank(*verdict))
}
