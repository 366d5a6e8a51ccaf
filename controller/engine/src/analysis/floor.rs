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
