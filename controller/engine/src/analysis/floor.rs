//! Is the canary's own rate of bad events above what is negligible?
//!
//! A ratio alone would roll back for three errors in a million. So that tiny harm is ignored, evidence that the canary's rate
//! exceeds `p0` is asked for as well. Rolling back needs both: the smaller of two e-processes is one for the union of their
//! null hypotheses, so `α` is not split.
//!
//! Source: binomial likelihood ratios (Wald 1945), mixed over alternatives.

use super::Count;

/// Alternatives above the floor, as multiples of it.
pub const ABOVE: [f64; 6] = [1.5, 2.0, 3.0, 5.0, 10.0, 20.0];

/// Alternatives below the floor, for showing that the canary's rate is negligible.
pub const BELOW: [f64; 8] = super::ratio::ACCEPTABLE;

/// `ln` of how much better the rate `multiple · floor` explains the canary's events than `floor` does:
/// `k·ln g + (n−k)·ln((1−g·p0)/(1−p0))`.
///
/// An alternative of one or more is no rate; it is taken for the largest below one that makes sense, so that a high floor keeps
/// a test with power.
pub fn log_ratio(canary: Count, floor: f64, multiple: f64) -> f64 {
    if !(floor > 0.0 && floor < 1.0 && multiple > 0.0) {
        return 0.0;
    }
    let rate = (floor * multiple).min(f64::midpoint(floor, 1.0));
    let good = ((1.0 - rate) / (1.0 - floor)).ln();
    let evidence = canary.bad() * (rate / floor).ln() + canary.good() * good;
    if evidence.is_finite() { evidence } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::{Real, mixture};

    #[test]
    fn the_reference_counts_give_the_reference_evidence() {
        let cases = [
            (750.0, 8.0, 0.833_988_22),
            (750.0, 20.0, 15.641_532),
            (750.0, 1.0, -3.081_235_8),
            (3000.0, 30.0, 4.359_817_7),
        ];
        for (total, bad, expected) in cases {
            let canary = Count::new(bad, total);
            let logs = ABOVE.map(|multiple| Real::new(log_ratio(canary, 0.005, multiple)));
            let log = mixture::log_mean(&logs);
            assert!((log - expected).abs() < 1e-6, "{log} is not {expected}");
        }
    }

    #[test]
    fn a_high_floor_keeps_a_test_with_power() {
        let all_bad = Count::new(50.0, 50.0);
        let best = ABOVE
            .into_iter()
            .map(|multiple| log_ratio(all_bad, 0.4, multiple))
            .fold(f64::NEG_INFINITY, f64::max);
        assert!(best > 25.0, "{best}");
    }

    #[test]
    fn a_floor_that_is_no_rate_gives_no_evidence() {
        for floor in [0.0, -1.0, 1.0, 2.0, f64::NAN] {
            assert!(log_ratio(Count::new(5.0, 9.0), floor, 2.0).abs() < 1e-12);
        }
    }
}
