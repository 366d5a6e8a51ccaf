use std::time::Duration;

use super::*;
use crate::gate::{Then, UnknownPolicy};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn policy(success_count: u32, failure_limit: u32) -> GatePolicy {
    let unknown = UnknownPolicy {
        then: Then::Hold,
        consecutive_limit: 3,
        deadline: Duration::from_mins(1),
    };
    GatePolicy {
        name: "errors".into(),
        interval: Duration::from_secs(10),
        initial_delay: Duration::ZERO,
        success_count,
        failure_limit,
        on_no_data: unknown,
        on_error: unknown,
        mode: Mode::Enforce,
        method: crate::gate::Method::Readings,
    }
}

fn reading(second: i64, result: Result) -> Reading {
    Reading::new("errors", at(second), result)
}

fn pass(second: i64) -> Reading {
    reading(second, Result::Pass { value: "1".into() })
}

fn fail(second: i64) -> Reading {
    reading(
        second,
        Result::Fail {
            value: "9".into(),
            why: "9 is above 5".into(),
        },
    )
}

fn no_data(second: i64) -> Reading {
    reading(
        second,
        Result::NoData {
            why: "the series is empty".into(),
        },
    )
}

fn whole() -> Window {
    Window {
        ready_from: Some(at(0)),
        passes_from: Some(at(0)),
        now: at(1_000),
        comparing: 0,
        stable: Stable::Expected,
    }
}

fn folded(policy: &GatePolicy, readings: &[Reading]) -> GateState {
    fold(policy, &GateState::unmeasured(policy), readings, whole()).state
}

#[test]
fn a_gate_passes_after_enough_passes_of_which_the_last_is_newest() {
    let policy = policy(2, 1);
    assert_eq!(folded(&policy, &[pass(1)]).verdict, Verdict::Continue);
    assert_eq!(folded(&policy, &[pass(1), pass(2)]).verdict, Verdict::Pass);
    assert_eq!(
        folded(&policy, &[pass(1), pass(2), fail(3)]).verdict,
        Verdict::Continue
    );
    assert_eq!(
        folded(&policy, &[pass(1), pass(2), fail(3), pass(4)]).verdict,
        Verdict::Pass
    );
}

#[test]
fn one_failure_more_than_the_limit_fails_for_good() {
    let policy = policy(1, 1);
    assert_eq!(folded(&policy, &[fail(1)]).verdict, Verdict::Continue);
    let state = folded(&policy, &[fail(1), pass(2), fail(3), pass(4), no_data(5)]);
    assert_eq!(
        (state.verdict, state.message.as_deref()),
        (Verdict::Fail, Some("9 is above 5"))
    );
}

#[test]
fn a_success_count_of_zero_still_wants_one_pass() {
    assert_eq!(folded(&policy(0, 0), &[]).verdict, Verdict::Continue);
}

#[test]
fn absent_data_is_counted_apart_and_never_passes() {
    let policy = policy(1, 0);
    let state = folded(&policy, &[pass(1), no_data(2), no_data(3)]);
    assert_eq!(
        (
            state.verdict,
            state.consecutive_unknown,
            state.unknown_since
        ),
        (Verdict::NoData, 2, Some(at(2)))
    );
    let state = folded(&policy, &[no_data(2), pass(3)]);
    assert_eq!(
        (
            state.verdict,
            state.consecutive_unknown,
            state.unknown_since
        ),
        (Verdict::Pass, 0, None)
    );
}

#[test]
fn passes_from_before_the_steps_readiness_do_not_count() {
    let policy = policy(1, 0);
    let mut window = Window {
        ready_from: Some(at(0)),
        passes_from: None,
        now: at(9),
        comparing: 0,
        stable: Stable::Expected,
    };
    let unmeasured = GateState::unmeasured(&policy);
    assert_eq!(
        fold(&policy, &unmeasured, &[pass(3)], window).state.verdict,
        Verdict::Continue
    );
    window.passes_from = Some(at(5));
    assert_eq!(
        fold(&policy, &unmeasured, &[pass(3)], window).state.verdict,
        Verdict::Continue
    );
    assert_eq!(
        fold(&policy, &unmeasured, &[pass(3), pass(5)], window)
            .state
            .verdict,
        Verdict::Pass
    );
}

#[test]
fn readings_that_were_counted_or_come_from_the_future_are_left_out() {
    let policy = policy(9, 9);
    let window = Window {
        ready_from: Some(at(0)),
        passes_from: Some(at(0)),
        now: at(9),
        comparing: 0,
        stable: Stable::Expected,
    };
    let first = fold(&policy, &GateState::unmeasured(&policy), &[pass(3)], window);
    let again = fold(&policy, &first.state, &[pass(3), pass(4), pass(10)], window);
    assert_eq!((again.state.passes, again.pending), (2, 1));
}

#[test]
fn a_clock_that_was_set_back_takes_the_passes_but_not_the_failures() {
    let policy = policy(1, 5);
    let late = folded(&policy, &[fail(899), pass(900)]);
    let window = Window {
        ready_from: Some(at(0)),
        passes_from: Some(at(0)),
        now: at(100),
        comparing: 0,
        stable: Stable::Expected,
    };
    let state = fold(&policy, &late, &[], window).state;
    assert_eq!(
        (state.verdict, state.passes, state.failures),
        (Verdict::Continue, 0, 1)
    );
    assert_eq!(
        fold(
            &policy,
            &state,
            &[pass(101)],
            Window {
                now: at(101),
                ..window
            }
        )
        .state
        .verdict,
        Verdict::Pass
    );
}

#[test]
fn an_edited_limit_applies_to_the_failures_that_were_counted_before() {
    let lenient = folded(&policy(1, 2), &[fail(1)]);
    let window = Window {
        ready_from: Some(at(0)),
        passes_from: Some(at(0)),
        now: at(9),
        comparing: 0,
        stable: Stable::Expected,
    };
    let strict = fold(&policy(1, 0), &lenient, &[], window).state;
    assert_eq!(strict.verdict, Verdict::Fail);
    assert_eq!(
        fold(&policy(1, 1), &strict, &[], window).state.verdict,
        Verdict::Continue
    );
}

#[test]
fn a_costly_measurement_is_taken_again_only_while_another_one_counts() {
    // Given a gate that needs two passes and tolerates one failure.
    let policy = policy(2, 1);
    let rounds: Vec<u32> = [
        vec![],
        vec![pass(1)],
        vec![pass(1), fail(2)],
        vec![pass(1), fail(2), pass(3)],
        vec![pass(1), fail(2), pass(3), pass(4)],
        vec![fail(1), fail(2), fail(3)],
    ]
    .iter()
    .map(|readings| folded(&policy, readings).round(&policy))
    .collect();
    // Then each that counts has a number of its own, and the last one stays.
    assert_eq!(rounds, [0, 1, 2, 2, 2, 1]);
}

#[test]
fn a_frozen_budget_stays_so_over_errors_and_steps_and_until_it_is_told_otherwise() {
    let policy = policy(1, 0);
    let frozen = |second| {
        let why = "12 % of the budget left".into();
        reading(second, Result::Frozen { why })
    };
    let state = folded(&policy, &[pass(1), frozen(2)]);
    assert_eq!(
        (state.verdict, state.budget_frozen),
        (Verdict::Continue, true)
    );
    // Kept where a restart finds it, whatever happens in between.
    let text = serde_json::to_string(&state.for_new_step()).unwrap();
    let kept: GateState = serde_json::from_str(&text).unwrap();
    let later = |readings: &[Reading]| fold(&policy, &kept, readings, whole()).state;
    assert!(kept.budget_frozen && later(&[no_data(3)]).budget_frozen);
    assert!(!later(&[no_data(3), pass(4)]).budget_frozen);
}

#[test]
fn what_was_found_out_about_the_series_stays_until_something_else_is() {
    let policy = policy(1, 0);
    let found = |second, found: Option<&str>| Reading {
        found: found.map(str::to_owned),
        ..pass(second)
    };
    let state = folded(
        &policy,
        &[found(1, Some("podLabel is kubernetes_pod_name")), pass(2)],
    );
    assert_eq!(
        state.found.as_deref(),
        Some("podLabel is kubernetes_pod_name")
    );
    let other = folded(&policy, &[found(1, Some("a")), found(2, Some("b"))]);
    assert_eq!(other.found.as_deref(), Some("b"));
}
