use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::{
    analysis::{
        Count, Real,
        dispersion::Spread,
        evidence::Dispersion,
        ledger::{SeriesTick, Tick},
    },
    gate::{GatePolicy, Method, Mode, Then, UnknownPolicy, fold},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn rules() -> Policy {
    Policy {
        min_absolute: Real::ZERO,
        dispersion: Dispersion::Fixed(Real::new(1.0)),
        ..Policy::default()
    }
}

fn gate(rules: Policy) -> GatePolicy {
    let unknown = UnknownPolicy {
        then: Then::Hold,
        consecutive_limit: 3,
        deadline: Duration::from_mins(1),
    };
    GatePolicy {
        name: "errors".into(),
        interval: Duration::from_secs(15),
        initial_delay: Duration::ZERO,
        success_count: 1,
        failure_limit: 0,
        on_no_data: unknown,
        on_error: unknown,
        mode: Mode::Enforce,
        method: Method::Compare(rules),
    }
}

fn window() -> Window {
    Window {
        ready_from: Some(at(0)),
        passes_from: Some(at(0)),
        now: at(10_000),
        comparing: 1,
        stable: Stable::Expected,
    }
}

fn reading(second: i64, result: Result) -> Reading {
    Reading::new("errors", at(second), result)
}

/// The events of the 15 seconds before.
fn counted(second: i64, [k, n, j, m]: [f64; 4]) -> Reading {
    let series = SeriesTick {
        canary: Count::new(k, n),
        stable: Count::new(j, m),
        spread: Spread::NONE,
        worst_pods: Vec::new(),
    };
    let tick = Tick {
        from: at(second - 15),
        to: at(second),
        series: vec![series],
        canary_pods: 1,
        stable_pods: 10,
        skipped: Vec::new(),
    };
    reading(second, Result::Counted(tick))
}

const EQUAL: [f64; 4] = [1.0, 750.0, 19.0, 14250.0];
const WORSE: [f64; 4] = [8.0, 750.0, 14.0, 14250.0];

fn folded(rules: Policy, readings: &[Reading], window: Window) -> GateState {
    let policy = gate(rules);
    fold(&policy, &GateState::unmeasured(&policy), readings, window).state
}

#[test]
fn a_healthy_canary_goes_on_once_its_requests_were_counted() {
    let wanted = Policy {
        min_requests: 1000,
        ..rules()
    };
    let one = folded(wanted.clone(), &[counted(15, EQUAL)], window());
    assert_eq!(one.verdict, Verdict::Continue);
    let two = folded(wanted, &[counted(15, EQUAL), counted(30, EQUAL)], window());
    assert_eq!(two.verdict, Verdict::Pass);
    assert!(two.message.unwrap().contains("2 of"));
}

#[test]
fn a_bad_canary_fails_for_good_and_keeps_its_evidence_readable() {
    let state = folded(
        rules(),
        &[counted(15, WORSE), counted(30, WORSE), counted(45, EQUAL)],
        window(),
    );
    assert_eq!((state.verdict, state.failures), (Verdict::Fail, 1));
    let evidence = state.evidence.unwrap();
    assert!(evidence.p_value <= Real::new(0.01));
}

#[test]
fn growing_evidence_against_the_canary_holds_it() {
    let state = folded(
        rules(),
        &[counted(15, [2.0, 750.0, 1.0, 14250.0])],
        window(),
    );
    let evidence = state.evidence.unwrap();
    assert!(evidence.suspects(&rules()) && !evidence.rejects(&rules(), 1));
    assert_eq!(state.verdict, Verdict::Continue);
}

#[test]
fn who_wants_proof_waits_until_the_canary_is_shown_to_be_good_enough() {
    let strict = Policy {
        on_inconclusive: OnInconclusive::Hold,
        ..rules()
    };
    let mut readings = vec![counted(15, EQUAL)];
    assert_eq!(
        folded(strict.clone(), &readings, window()).verdict,
        Verdict::Continue
    );
    readings.extend((2..60).map(|index| counted(15 * index, EQUAL)));
    assert_eq!(folded(strict, &readings, window()).verdict, Verdict::Pass);
}

#[test]
fn the_next_step_needs_its_own_requests_and_keeps_the_evidence() {
    let policy = gate(rules());
    let first = folded(rules(), &[counted(15, EQUAL)], window());
    let next = first.clone().for_new_step();
    assert_eq!(next.verdict, Verdict::Continue);
    let step = Window {
        passes_from: Some(at(20)),
        ..window()
    };
    let across = fold(&policy, &next, &[counted(30, EQUAL)], step).state;
    assert_eq!(
        across.verdict,
        Verdict::Continue,
        "its tick began before the step"
    );
    assert_eq!(
        across.evidence.as_ref().unwrap().canary,
        Count::new(2.0, 1500.0)
    );
    let inside = fold(&policy, &across, &[counted(45, EQUAL)], step).state;
    assert_eq!(inside.verdict, Verdict::Pass);
}

#[test]
fn an_event_counts_once_even_if_a_tick_comes_twice() {
    let policy = gate(rules());
    let once = folded(rules(), &[counted(15, EQUAL)], window());
    let again = Reading {
        at: at(20),
        ..counted(15, EQUAL)
    };
    let twice = fold(&policy, &once, &[again], window()).state;
    assert_eq!(twice.evidence, once.evidence);
}

#[test]
fn without_stable_pods_nothing_is_known_before_the_promotion_and_all_is_said_after_it() {
    let alone = [counted(15, EQUAL), reading(30, Result::NoBaseline)];
    assert_eq!(folded(rules(), &alone, window()).verdict, Verdict::NoData);
    let promoted = Window {
        stable: Stable::MayBeGone,
        ..window()
    };
    assert_eq!(folded(rules(), &alone, promoted).verdict, Verdict::Pass);
}

#[test]
fn after_the_promotion_a_baseline_that_proxies_count_may_stand_still() {
    let alone = [counted(15, EQUAL), counted(30, [0.0, 750.0, 0.0, 0.0])];
    let rules = Policy {
        min_requests: 10_000,
        ..rules()
    };
    let before = folded(rules.clone(), &alone, window());
    assert_eq!(before.verdict, Verdict::Continue);
    let promoted = Window {
        stable: Stable::MayBeGone,
        ..window()
    };
    let after = folded(rules.clone(), &alone, promoted);
    assert_eq!((after.verdict, after.passes), (Verdict::Pass, 1));
    let silent = [counted(15, EQUAL), counted(30, [0.0; 4])];
    assert_eq!(folded(rules, &silent, promoted).verdict, Verdict::Continue);
}

#[test]
fn a_gap_is_neither_a_pass_nor_a_failure() {
    let why = || "no canary pod has a newer sample".to_owned();
    let gap = [
        counted(15, EQUAL),
        reading(30, Result::NoData { why: why() }),
        reading(45, Result::Error { why: why() }),
    ];
    assert_eq!(
        folded(rules(), &gap[..2], window()).verdict,
        Verdict::NoData
    );
    let state = folded(rules(), &gap, window());
    assert_eq!(
        (state.verdict, state.consecutive_unknown, state.failures),
        (Verdict::Error, 2, 0)
    );
}

#[test]
fn a_rate_that_was_edited_applies_to_what_was_counted_before() {
    let failed = folded(rules(), &[counted(15, WORSE)], window());
    assert_eq!(failed.verdict, Verdict::Fail);
    let patient = gate(Policy {
        false_rollback_rate: Real::new(1e-7),
        ..rules()
    });
    let state = fold(&patient, &failed, &[], window()).state;
    assert_eq!(state.verdict, Verdict::Continue);
}
