use super::*;
use crate::analysis::{Real, mixture};

/// Rows of `k, n, j, m`.
type Rows<'a> = &'a [[f64; 4]];

fn logs(rows: Rows<'_>, tolerated: f64, alternatives: &[f64]) -> Vec<Real> {
    alternatives
        .iter()
        .map(|multiple| {
            let sum: f64 = rows
                .iter()
                .map(|[k, n, j, m]| {
                    log_ratio(Count::new(*k, *n), Count::new(*j, *m), tolerated, *multiple)
                })
                .sum();
            Real::new(sum)
        })
        .collect()
}

#[track_caller]
fn assert_log(rows: Rows<'_>, tolerated: f64, alternatives: &[f64], expected: f64) {
    let log = mixture::log_mean(&logs(rows, tolerated, alternatives));
    assert!((log - expected).abs() < 1e-6, "{log} is not {expected}");
}

#[test]
fn the_reference_rows_give_the_reference_evidence() {
    assert_log(&[[0.0, 750.0, 0.0, 14250.0]], 1.2, &INCREASE, 0.0);
    let rows = [
        [1.0, 750.0, 14.0, 14250.0],
        [0.0, 750.0, 15.0, 14250.0],
        [6.0, 750.0, 13.0, 14250.0],
        [9.0, 750.0, 14.0, 14250.0],
    ];
    let expected = [-0.955_310, -1.652_479, 1.065_134, 8.818_459];
    for (length, expected) in (1..=4).zip(expected) {
        assert_log(&rows[..length], 1.2, &INCREASE, expected);
    }
}

#[test]
fn each_alternative_of_the_reference_row_has_its_reference_logarithm() {
    let expected = [
        0.002_009,
        -0.033_591,
        -0.172_478,
        -0.585_397,
        -1.073_750,
        -2.109_393,
        -4.121_984,
        -8.337_030,
        -16.544_456,
        -24.326_700,
    ];
    let logs = logs(&[[1.0, 750.0, 14.0, 14250.0]], 1.2, &INCREASE);
    for (log, expected) in logs.iter().zip(expected) {
        assert!(
            (log.get() - expected).abs() < 1e-6,
            "{log:?} is not {expected}"
        );
    }
}

#[test]
fn errors_against_none_give_the_reference_evidence_at_any_share() {
    let at_five_percent = [
        1.766_566, 4.012_216, 6.466_751, 9.006_686, 11.587_497, 14.191_360, 16.809_876,
    ];
    let at_half = [
        0.419_252, 0.864_779, 1.333_051, 1.820_507, 2.323_855, 2.840_223, 3.367_213,
    ];
    for (errors, (small, half)) in at_five_percent.into_iter().zip(at_half).enumerate() {
        let errors = f64::from(u32::try_from(errors + 1).unwrap());
        assert_log(&[[errors, 750.0, 0.0, 14250.0]], 1.2, &INCREASE, small);
        assert_log(&[[errors, 750.0, 0.0, 750.0]], 1.2, &INCREASE, half);
    }
}

#[test]
fn missing_successes_give_the_reference_evidence() {
    assert_log(&[[15.0, 750.0, 570.0, 14250.0]], 0.8, &DECREASE, 0.454_500);
    assert_log(&[[30.0, 750.0, 570.0, 14250.0]], 0.8, &DECREASE, -4.022_755);
}

#[test]
fn equal_arms_give_the_reference_reassurance() {
    let equal = [[14.0, 15000.0, 285.0, 285_000.0]];
    assert_log(&equal, 2.0, &ACCEPTABLE, 3.938_863);
    let none = [[0.0, 15000.0, 285.0, 285_000.0]];
    assert_log(&none, 2.0, &ACCEPTABLE, 23.513_689);
}
