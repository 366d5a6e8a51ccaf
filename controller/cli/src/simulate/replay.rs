//! A gate under the evaluator of the controller, look by look.
//!
//! Invariant: what is judged here goes through the same ledger and the same fold as in the controller; only the clock is that of the history.

use std::{ops::RangeInclusive, time::Duration};

use belay_engine::{
    analysis::{
        combine::{self, Weighed},
        evidence::Evidence,
        ledger::{Ledger, Lessons, Observation, Role, Rules, Snapshot, Tick},
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
/// with. What the stable pods did before is learnt from, as far as the history goes back.
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
    ledger.learn(&lessons(pods, start, stride, &role));
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

/// Looks from before point `start` at the stable pods that were there then.
fn lessons(
    pods: &Pods,
    start: usize,
    stride: usize,
    role: impl Fn(usize) -> Option<Role>,
) -> Vec<Snapshot> {
    let stride = u32::try_from(stride.max(1)).unwrap_or(u32::MAX);
    let step = u64::try_from(pods.grid.step()).unwrap_or(1);
    let interval = Duration::from_millis(step).saturating_mul(stride);
    let there = pods.there(start);
    let stable = |place: usize| {
        there
            .contains(&place)
            .then(|| role(place))
            .flatten()
            .filter(|role| *role == Role::Stable)
    };
    let lessons = Lessons::before(pods.grid.time(start), interval);
    let times = lessons.into_iter().flat_map(Lessons::times);
    times
        .filter_map(|at| pods.grid.index_from(at.as_millisecond()))
        .map(|index| pods.look(index, 1.0, stable))
        // An answer without any of these pods teaches nothing.
        .filter(|look| look.pods.iter().any(|pod| pod.sampled_at.is_some()))
        .collect()
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
        let reading = Reading::new(&policy.name, at, look.result());
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
    use super::{
        super::{history::Grid, pods::tests::pods},
        *,
    };

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

    /// Four pods whose errors came in clumps up to point 50: eight at once, each time on another one.
    fn clumped() -> Pods {
        let grid = Grid::new(0, 990_000, 10_000).unwrap();
        let counters = |pod: usize| -> Vec<(f64, f64)> {
            let mut bad = 0.0;
            let values = (0..100_usize).map(|look| {
                if look <= 50 && look % 4 == pod {
                    bad += 8.0;
                }
                (bad, 100.0 * f64::from(u32::try_from(look).unwrap()))
            });
            values.collect()
        };
        let names = ["web-b-aaaa0", "web-b-aaaa1", "web-b-aaaa2", "web-b-aaaa3"];
        let list: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(pod, name)| (*name, 0, counters(pod)))
            .collect();
        pods(grid, &list)
    }

    #[test]
    fn clumps_from_before_a_window_weigh_in_it_as_they_do_in_the_controller() {
        let rules = Rules {
            warmup: Duration::ZERO,
            stale_after: Duration::from_mins(5),
        };
        let (start, stride) = (60, 2);
        let role = |place: usize| {
            Some(if place == 0 {
                Role::Canary
            } else {
                Role::Stable
            })
        };
        let clumped = clumped();
        // When the looks of a quiet time are replayed, and the controller learns what its one range query gives.
        let looks = compare(&clumped, rules, start..=90, stride, 1.0, role);
        let lessons = Lessons::before(clumped.grid.time(start), Duration::from_secs(20)).unwrap();
        let times = lessons
            .times()
            .filter_map(|at| clumped.grid.index_from(at.as_millisecond()));
        let answers: Vec<_> = times.map(|index| clumped.look(index, 1.0, role)).collect();
        let mut controller = Ledger::new(rules, clumped.grid.time(start));
        controller.learn(&answers);
        controller.observe(&clumped.look(start, 1.0, role));
        let observed = controller.observe(&clumped.look(start + stride, 1.0, role));
        // Then the first tick is the same, and has seen the clumps.
        let (Some(Look::Tick(first)), Observation::Tick(expected)) = (looks.first(), observed)
        else {
            panic!("two ticks");
        };
        assert_eq!(*first, expected);
        let spread = first.series[0].spread;
        assert!(spread.estimate() > Some(4.0), "{spread:?}");
    }
}
