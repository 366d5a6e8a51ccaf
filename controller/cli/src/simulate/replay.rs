//! A gate under the evaluator of the controller, look by look.
//!
//! Invariant: what is judged here goes through the same ledger and the same fold as in the controller; only the clock is that of the history.

use std::ops::RangeInclusive;

use belay_engine::{
    analysis::{
        combine::{self, Weighed},
        evidence::Evidence,
        ledger::{Ledger, Observation, Role, Rules, Tick},
    },
    gate::{GatePolicy, GateState, Reading, Result, Stable, Verdict, Window, fold},
};
use jiff::Timestamp;

use super::pods::Pods;

/// What one look gave.
#[derive(Clone, Debug)]
pub(super) enum Look {
    /// Increments of both sides.
    Tick(Tick),
    /// A finished reading, or why there is none.
    Reading(Timestamp, Result),
}

impl Look {
    fn at(&self) -> Timestamp {
        match self {
            Self::Tick(tick) => tick.to,
            Self::Reading(at, _) => *at,
        }
    }

    fn result(&self) -> Result {
        match self {
            Self::Tick(tick) => Result::Counted(tick.clone()),
            Self::Reading(_, result) => result.clone(),
        }
    }
}

/// The looks of a comparing gate at every `stride`-th point of `range`, whose first one is what is counted from; ends early when there is nothing left to compare
/// with.
pub(super) fn compare(
    pods: &Pods,
    rules: Rules,
    range: RangeInclusive<usize>,
    stride: usize,
    slower: f64,
    role: impl Fn(usize) -> Option<Role>,
) -> Vec<Look> {
    let (start, end) = range.into_inner();
    let mut ledger = Ledger::new(rules, pods.grid.time(start));
    let mut looks = Vec::new();
    let end = end.min(pods.grid.points().saturating_sub(1));
    for index in (start..=end).step_by(stride.max(1)) {
        match ledger.observe(&pods.look(index, slower, &role)) {
            Observation::Baseline | Observation::Unchanged => {}
            Observation::Tick(tick) => looks.push(Look::Tick(tick)),
            // Promotion has replaced the stable pods: the comparison is over.
            Observation::NoBaseline => break,
            without @ Observation::NoData { .. } => {
                looks.push(Look::Reading(pods.grid.time(index), without.into()));
            }
        }
    }
    looks
}

/// Evidence over time.
pub(super) type Course = Vec<(Timestamp, f64)>;

/// What a gate made of a window.
#[derive(Clone, Debug)]
pub(super) struct Judgement {
    /// Its last verdict.
    pub(super) verdict: Verdict,
    /// When it failed.
    pub(super) failed_at: Option<Timestamp>,
    /// When it passed first.
    pub(super) passed_at: Option<Timestamp>,
    /// What it weighed, if it compares.
    pub(super) evidence: Option<Evidence>,
    /// The logarithm of its evidence after each look, less what its own false-rollback rate asks for.
    pub(super) course: Course,
    /// Its last sentence.
    pub(super) message: Option<String>,
}

/// When the gates that compare reject the candidate together: the mean of their evidence, each by its own rate, as in the controller. With the place of the gate that has
/// most of it.
pub(super) fn together(courses: &[&Course], comparing: u32) -> Option<(Timestamp, usize)> {
    let mut events: Vec<(Timestamp, usize, f64)> = courses
        .iter()
        .enumerate()
        .flat_map(|(gate, course)| course.iter().map(move |(at, log)| (*at, gate, *log)))
        .collect();
    events.sort_by_key(|(at, ..)| *at);
    let weight = 1.0 / f64::from(comparing.max(1));
    let nothing = Weighed {
        weight,
        log_evidence: f64::NEG_INFINITY,
    };
    let mut gates = vec![nothing; courses.len()];
    events.into_iter().find_map(|(at, gate, log_evidence)| {
        if let Some(known) = gates.get_mut(gate) {
            known.log_evidence = log_evidence;
        }
        let rejected = combine::log_mean(&gates) >= 0.0;
        combine::worst(&gates)
            .filter(|_| rejected)
            .map(|worst| (at, worst))
    })
}

/// Folds looks as the controller does, until the gate fails. `comparing`: gates that share the rollout's false-rollback rate.
pub(super) fn judge(
    policy: &GatePolicy,
    comparing: u32,
    began: Timestamp,
    looks: &[Look],
) -> Judgement {
    let mut state = GateState::unmeasured(policy);
    let mut judgement = Judgement {
        verdict: state.verdict,
        failed_at: None,
        passed_at: None,
        evidence: None,
        course: Course::new(),
        message: None,
    };
    let mut waited = began.checked_add(policy.initial_delay).unwrap_or(began);
    // The engine takes only what is measured from the readiness on.
    waited = waited.max(began);
    for look in looks.iter().filter(|look| look.at() >= waited) {
        let at = look.at();
        let reading = Reading {
            gate: policy.name.clone(),
            at,
            result: look.result(),
        };
        let window = Window {
            ready_from: Some(began),
            passes_from: Some(began),
            now: at,
            comparing,
            stable: Stable::Expected,
        };
        state = fold(policy, &state, std::slice::from_ref(&reading), window).state;
        if let Some(evidence) = &state.evidence
            && let Some(rules) = policy.method.comparison()
        {
            let rate = rules.false_rollback_rate.get();
            let logarithm = evidence.log_evidence.get() + rate.ln();
            judgement.course.push((at, logarithm));
        }
        match state.verdict {
            Verdict::Fail => {
                judgement.failed_at = Some(at);
                break;
            }
            Verdict::Pass => judgement.passed_at = judgement.passed_at.or(Some(at)),
            Verdict::NoData | Verdict::Error | Verdict::Continue => {}
        }
    }
    judgement.verdict = state.verdict;
    judgement.evidence = state.evidence;
    judgement.message = state.message;
    judgement
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(logs: &[f64]) -> Course {
        let at = |second: usize| Timestamp::from_second(i64::try_from(second).unwrap()).unwrap();
        let logs = logs.iter().enumerate();
        logs.map(|(second, log)| (at(second), *log)).collect()
    }

    #[test]
    fn two_gates_that_each_say_half_say_it_together() {
        // Given evidence just below what each of two gates needs alone, which is twice the rate.
        let (one, other) = (course(&[-1.0, 0.5]), course(&[-1.0, -0.2, 0.1]));
        assert_eq!(
            together(&[&one, &other], 2).map(|(at, gate)| (at.as_second(), gate)),
            Some((1, 0))
        );
        assert_eq!(together(&[&one], 2), None);
        assert_eq!(together(&[], 0), None);
    }
}
