use super::*;
use crate::analysis::{Real, mixture, ratio};

fn classic() -> Vec<Bucket> {
    [
        (0.1, 60.0),
        (0.2, 90.0),
        (0.4, 98.0),
        (f64::INFINITY, 100.0),
    ]
    .into_iter()
    .map(|(bound, cumulative)| Bucket { bound, cumulative })
    .collect()
}

fn native() -> Native {
    Native {
        schema: 0,
        zero: 5.0,
        spans: vec![
            Span {
                first: -2,
                counts: vec![10.0, 20.0],
            },
            Span {
                first: 1,
                counts: vec![30.0, 0.0, 35.0],
            },
        ],
    }
}

#[test]
fn the_reference_exceedances_give_the_reference_evidence() {
    let canary = [520.0, 190.0, 45.0, 9.0];
    let stable = [9500.0, 3000.0, 400.0, 20.0];
    let expected = [-16.601_148, -1.396_818, 6.378_187, 8.059_080];
    let mut buckets = Vec::new();
    for ((k, j), expected) in canary.into_iter().zip(stable).zip(expected) {
        let (canary, stable) = (Count::new(k, 750.0), Count::new(j, 14250.0));
        let logs = ratio::INCREASE
            .map(|multiple| Real::new(ratio::log_ratio(canary, stable, 1.05, multiple)));
        let log = mixture::log_mean(&logs);
        assert!((log - expected).abs() < 1e-6, "{log} is not {expected}");
        buckets.push(Real::new(log));
    }
    assert!((mixture::log_mean(&buckets) - 6.843_613).abs() < 1e-6);
}

#[test]
fn requests_over_a_bound_are_counted_exactly_on_a_bucket_and_evenly_between_two() {
    let buckets = classic();
    assert_eq!(exceedance(&buckets, 0.2), Some(Count::new(10.0, 100.0)));
    assert_eq!(exceedance(&buckets, 0.3), Some(Count::new(6.0, 100.0)));
    assert_eq!(exceedance(&buckets, 0.05), Some(Count::new(70.0, 100.0)));
}

#[test]
fn nothing_is_known_beyond_the_last_finite_bucket() {
    assert_eq!(exceedance(&classic(), 0.5), None);
    assert_eq!(exceedance(&[], 0.5), None);
    let no_total = &classic()[..3];
    assert_eq!(exceedance(no_total, 0.2), None);
    assert_eq!(exceedances(&classic(), &[9.0]), [Count::new(0.0, 100.0)]);
}

#[test]
fn order_and_lag_of_the_buckets_do_not_matter() {
    let mut buckets = classic();
    buckets.reverse();
    assert_eq!(exceedance(&buckets, 0.2), Some(Count::new(10.0, 100.0)));
    buckets.push(Bucket {
        bound: 0.15,
        cumulative: 10.0,
    });
    assert_eq!(exceedance(&buckets, 0.15), Some(Count::new(40.0, 100.0)));
}

#[test]
fn a_shift_within_the_tolerated_growth_is_no_evidence() {
    // Given a canary that is exactly 1.25 times as slow.
    let bounds = [0.1, 0.2, 0.4];
    let slower: Vec<Bucket> = classic()
        .into_iter()
        .map(|bucket| Bucket {
            bound: bucket.bound * 1.25,
            ..bucket
        })
        .collect();
    let canary = exceedances(&slower, &stretched(&bounds, 0.25));
    assert_eq!(canary, exceedances(&classic(), &bounds));
    assert_eq!(comparable(&bounds, 0.25), [0.1, 0.2]);
}

#[test]
fn bounds_are_chosen_evenly_when_there_are_too_many() {
    let buckets: Vec<Bucket> = (1..=100)
        .map(|number| Bucket {
            bound: f64::from(number),
            cumulative: f64::from(number),
        })
        .collect();
    assert_eq!(bounds(&buckets, 4), [13.0, 38.0, 63.0, 88.0]);
    assert_eq!(bounds(&classic(), 9), [0.1, 0.2, 0.4]);
}

#[test]
fn a_native_histogram_is_as_its_cumulative_buckets() {
    let native = native();
    let buckets = native.cumulative(&[-2, -1, 1, 3]);
    let counts: Vec<f64> = buckets.iter().map(|bucket| bucket.cumulative).collect();
    assert_eq!(counts, [15.0, 35.0, 65.0, 100.0, 100.0]);
    assert_eq!(exceedance(&buckets, 2.0), Some(Count::new(35.0, 100.0)));
    assert_eq!(native.bounds(20), [-2, -1, 1, 3]);
}

#[test]
fn a_growth_of_a_native_histogram_is_a_shift_by_whole_buckets() {
    let fine = Native {
        schema: 3,
        ..native()
    };
    let (shift, growth) = fine.shift(0.2);
    assert_eq!(shift, 2);
    assert!((growth - (2.0_f64.powf(0.25) - 1.0)).abs() < 1e-12);
    // A canary that is slower by exactly that shift looks the same at the shifted bounds.
    let slower = Native {
        spans: fine
            .spans
            .iter()
            .map(|span| Span {
                first: span.first + shift,
                counts: span.counts.clone(),
            })
            .collect(),
        ..fine.clone()
    };
    for number in fine.bounds(20) {
        let here = fine.cumulative(&[number]);
        let there = slower.cumulative(&[number + shift]);
        assert!((here[0].cumulative - there[0].cumulative).abs() < 1e-12);
    }
}
