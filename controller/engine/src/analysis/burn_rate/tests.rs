use super::{
    Admission::{Frozen, Open},
    *,
};

const DAY: u64 = 24 * 3600;

const OBJECTIVE: Objective = Objective {
    good_share: 0.999,
    period: Duration::from_secs(30 * DAY),
};

fn ratio(bad_share: f64) -> Ratio {
    Ratio {
        bad_share: Some(bad_share),
        total: None,
    }
}

/// The same ratios in all four pairs.
fn judged(long: Ratio, short: Ratio) -> Result {
    let measured = OBJECTIVE.pairs().map(|pair| (pair, long, short));
    OBJECTIVE.judge(&measured)
}

#[test]
fn thirty_days_have_the_reference_rates() {
    let rates = OBJECTIVE.pairs().map(|pair| pair.burn_rate);
    for (rate, expected) in rates.into_iter().zip([14.4, 6.0, 3.0, 1.0]) {
        assert!((rate - expected).abs() < 1e-9, "{rate} is not {expected}");
    }
    for pair in OBJECTIVE.pairs() {
        assert_eq!(pair.long, pair.short * 12);
    }
}

#[test]
fn both_windows_of_a_pair_must_exceed_its_rate() {
    let fast = ratio(0.0145);
    assert!(matches!(judged(fast, fast), Result::Fail { .. }));
    assert!(matches!(judged(fast, ratio(0.0009)), Result::Pass { .. }));
    assert!(matches!(judged(ratio(0.0009), fast), Result::Pass { .. }));
    let first = OBJECTIVE.pairs()[0];
    let slow = OBJECTIVE.judge(&[(first, ratio(0.0143), ratio(0.0143))]);
    assert!(matches!(slow, Result::Pass { .. }), "{slow:?}");
}

#[test]
fn a_failure_names_windows_and_limit() {
    let Result::Fail { why, .. } = judged(ratio(0.02), ratio(0.03)) else {
        panic!("20 times is too fast");
    };
    assert_eq!(
        why,
        "the error budget is spent 20.0 times too fast over 1h and 30.0 times over 5m; 14.4 is the limit"
    );
}

#[test]
fn absent_ratios_are_no_data_and_hide_no_failure() {
    let none = Ratio {
        bad_share: Some(f64::NAN),
        total: None,
    };
    assert!(matches!(judged(none, none), Result::NoData { .. }));
    assert!(matches!(OBJECTIVE.judge(&[]), Result::NoData { .. }));
    let [first, second, ..] = OBJECTIVE.pairs();
    let mixed = [(first, none, none), (second, ratio(0.5), ratio(0.5))];
    assert!(matches!(OBJECTIVE.judge(&mixed), Result::Fail { .. }));
}

#[test]
fn a_single_error_in_little_traffic_is_no_burn() {
    let one_of_forty = Ratio {
        bad_share: Some(1.0 / 40.0),
        total: Some(40.0),
    };
    assert!(matches!(
        judged(one_of_forty, one_of_forty),
        Result::Pass { .. }
    ));
    let many = Ratio {
        bad_share: Some(1.0 / 40.0),
        total: Some(40_000.0),
    };
    assert!(matches!(judged(many, many), Result::Fail { .. }));
}

#[test]
fn what_a_rollout_spends_is_its_excess_over_its_time() {
    // Half an hour of 2 % beyond the ordinary: 20 times the budget for 1/1440 of the period.
    let spent = OBJECTIVE.spent(0.0205, 0.0005, Duration::from_mins(30));
    assert!((spent - 20.0 / 1440.0).abs() < 1e-12, "{spent}");
    assert!(matches!(
        Objective::judge_spent(spent, 0.02),
        Result::Pass { .. }
    ));
    assert!(matches!(
        Objective::judge_spent(spent, 0.01),
        Result::Fail { .. }
    ));
    let better = OBJECTIVE.spent(0.0001, 0.0005, Duration::from_mins(30));
    assert!(better.abs() < 1e-12);
}

#[test]
fn an_exhausted_budget_holds_until_it_has_recovered_by_five_points() {
    let mut admission = Admission::Open;
    let mut states = Vec::new();
    for remaining in [0.3, 0.24, 0.26, 0.29, 0.301, 0.26] {
        admission = admission.next(remaining, 0.25);
        states.push(admission);
    }
    assert_eq!(states, [Open, Frozen, Frozen, Frozen, Open, Open]);
}

#[test]
fn an_admission_never_fails_a_change() {
    let overdrawn = OBJECTIVE.remaining(0.004).unwrap();
    assert!((overdrawn + 3.0).abs() < 1e-9);
    let judged = Admission::Open.next(overdrawn, 0.0).judge(overdrawn, 0.0);
    assert!(matches!(judged, Result::Frozen { .. }), "{judged:?}");
}

#[test]
fn nonsense_neither_passes_nor_fails() {
    let impossible = Objective {
        good_share: 1.0,
        ..OBJECTIVE
    };
    let judged = impossible.judge(&[(OBJECTIVE.pairs()[0], ratio(0.1), ratio(0.1))]);
    assert!(matches!(judged, Result::Error { .. }));
    assert_eq!(impossible.remaining(0.0), None);
    assert!(impossible.spent(f64::NAN, 0.0, Duration::MAX).abs() < 1e-12);
    assert_eq!(Admission::Open.next(f64::NAN, 0.1), Admission::Frozen);
}
