//! Gates that compare, together: one false-rollback rate for the whole rollout.
//!
//! Each of `M` gates rolls back by itself when its evidence reaches `M/α`. Beside that the mean of all their evidence is looked
//! at, which reaches `1/α` at least as early: two gates that each say half of it say it together.

use jiff::Timestamp;

use super::{
    super::status::{Phase, RollbackReason},
    clock::after,
    gates::{Live, hold_until},
    pass::Pass,
};
use crate::{
    analysis::{
        combine::{self, Weighed},
        evidence::{Evidence, OnInconclusive, Policy},
    },
    gate::{GatePolicy, Mode, Result, Verdict},
    rollout::plan::End,
};

/// Enforced gates of the whole plan that compare: each has its part of the rollout's false-rollback rate, whether its step
/// comes or not.
pub(super) fn gates(pass: &Pass<'_>) -> u32 {
    let gates = pass.plan().into_iter().flat_map(|plan| {
        let own = plan.steps.iter().flat_map(|step| &step.gates);
        plan.gates.iter().chain(own)
    });
    let comparing = gates.filter(|gate| gate.mode == Mode::Enforce && rules(gate).is_some());
    u32::try_from(comparing.count()).unwrap_or(u32::MAX)
}

fn rules(gate: &GatePolicy) -> Option<&Policy> {
    gate.method.comparison()
}

/// Enforced gates that have counted something, with their rules.
fn counted<'a, 'p>(
    pass: &'p Pass<'a>,
) -> impl Iterator<Item = (&'p Live<'a>, &'p Policy, &'p Evidence)> {
    pass.live
        .iter()
        .filter(|live| live.enforced())
        .filter_map(|live| Some((live, rules(live.policy)?, live.state.evidence.as_ref()?)))
}

/// The evidence of all gates, each as a multiple of what its own rate asks for; gates that have nothing count as nothing.
fn weighed(pass: &Pass<'_>) -> Vec<Weighed> {
    let weight = 1.0 / f64::from(gates(pass).max(1));
    counted(pass)
        .map(|(_, rules, evidence)| Weighed {
            weight,
            log_evidence: evidence.log_evidence.get() + rules.false_rollback_rate.get().ln(),
        })
        .collect()
}

/// The gate with most of the evidence, if all of them together reject the candidate.
pub(super) fn worst_of_failing<'a, 'p>(pass: &'p Pass<'a>) -> Option<&'p Live<'a>> {
    let weighed = weighed(pass);
    let rejected = combine::log_mean(&weighed) >= 0.0;
    let worst = combine::worst(&weighed).filter(|_| rejected)?;
    counted(pass).nth(worst).map(|(live, ..)| live)
}

/// Why the candidate must go, if all gates say so together.
pub(super) fn against_together(pass: &Pass<'_>) -> Option<(RollbackReason, String)> {
    let live = worst_of_failing(pass)?;
    let others = counted(pass)
        .filter(|(other, ..)| other.policy.name != live.policy.name)
        .filter(|(_, rules, evidence)| evidence.suspects(rules))
        .map(|(other, ..)| other.policy.name.as_str());
    let others: Vec<&str> = others.collect();
    let beside = if others.is_empty() {
        String::new()
    } else {
        format!(
            " Beside it speak against the candidate: {}.",
            others.join(", ")
        )
    };
    let message = format!(
        "The gates that compare failed together, most of all {}: {}.{beside}",
        live.policy.name,
        said(live)
    );
    Some((RollbackReason::GateFailed, message))
}

/// What a gate that compares has found, when it failed.
pub(super) fn failure(live: &Live<'_>) -> Option<String> {
    rules(live.policy)?;
    Some(format!("Gate {}: {}.", live.policy.name, said(live)))
}

fn said<'a>(live: &'a Live<'_>) -> &'a str {
    let message = live.state.message.as_deref();
    message.unwrap_or("the canary does worse than the stable pods")
}

/// How old a gate's verdict is: a look that found no newer samples makes that of a comparison no younger.
pub(super) fn measured_at(pass: &Pass<'_>, live: &Live<'_>) -> Option<Timestamp> {
    let measured_at = live.state.measured_at;
    let newest = pass
        .seen
        .readings
        .iter()
        .rfind(|reading| reading.gate == live.policy.name && Some(reading.at) == measured_at);
    let found_nothing = newest.is_some_and(|reading| reading.result == Result::Unchanged);
    let counted = live
        .state
        .evidence
        .as_ref()
        .map(|evidence| evidence.counted_through);
    if found_nothing { counted } else { measured_at }
}

/// What a gate that compares is waited for.
pub(super) fn waiting(pass: &Pass<'_>, live: &Live<'_>) -> String {
    let name = &live.policy.name;
    let Some(rules) = rules(live.policy) else {
        return String::new();
    };
    let counts = match rules.min_requests {
        0 | 1 => "must count requests of the canary and of the stable pods in this step".to_owned(),
        wanted => format!("must count {wanted} requests of the canary in this step"),
    };
    let shown = format!(
        "show the canary to be less than {} times as bad as the stable pods",
        rules.unacceptable_ratio.get()
    );
    match rules.on_inconclusive {
        OnInconclusive::Advance => {
            format!("Gate {name} {counts}, with no evidence building up against it.")
        }
        OnInconclusive::Hold => format!("Gate {name} {counts}, and {shown}."),
        OnInconclusive::RollBack => {
            let until = if ends_by_evidence(pass) {
                "when it looks next"
            } else {
                "before the progress deadline is over"
            };
            format!("Gate {name} {counts}, and {shown} {until}.")
        }
    }
}

/// Whether the present step ends by evidence.
fn ends_by_evidence(pass: &Pass<'_>) -> bool {
    let index = pass.next.step.as_ref().map(|step| step.index as usize);
    let step = pass.plan().zip(index);
    let step = step.and_then(|(plan, index)| plan.steps.get(index));
    step.is_some_and(|step| step.end == End::Evidence)
}

/// Whether the present step may end before its time: every gate that compares, and there is one, has shown the candidate to be good
/// enough.
pub(super) fn shown_good_enough(pass: &Pass<'_>) -> bool {
    let mut comparing = pass
        .live
        .iter()
        .filter(|live| live.enforced())
        .filter_map(|live| Some((rules(live.policy)?, live.state.evidence.as_ref())))
        .peekable();
    ends_by_evidence(pass)
        && comparing.peek().is_some()
        && comparing
            .all(|(rules, evidence)| evidence.is_some_and(|evidence| evidence.reassures(rules)))
}

/// When a gate that is still undecided rolls back, if that is its rule: a progress deadline after the step's own time; in a step that
/// ends by evidence, after one more look.
pub(super) fn deadline(pass: &Pass<'_>, live: &Live<'_>) -> Option<Timestamp> {
    let rules = rules(live.policy)?;
    let undecided = live.enforced()
        && rules.on_inconclusive == OnInconclusive::RollBack
        && live.state.verdict == Verdict::Continue
        && pass.next.phase == Phase::Progressing
        && pass.next.paused.is_none();
    let since = hold_until(pass).filter(|_| undecided)?;
    let since = since.max(pass.seen.acting_since);
    let grace = if ends_by_evidence(pass) {
        live.policy.interval.saturating_mul(2)
    } else {
        pass.plan()?.progress_deadline
    };
    Some(after(since, grace))
}

/// Why an undecided gate rolls back.
pub(super) fn undecided_for_too_long(
    pass: &Pass<'_>,
    live: &Live<'_>,
) -> Option<(RollbackReason, String)> {
    (pass.now >= deadline(pass, live)?).then(|| {
        let message = format!(
            "Gate {} has not shown the canary to be good enough in time: {}.",
            live.policy.name,
            live.state
                .message
                .as_deref()
                .unwrap_or("nothing was counted"),
        );
        (RollbackReason::DeadlineExceeded, message)
    })
}
