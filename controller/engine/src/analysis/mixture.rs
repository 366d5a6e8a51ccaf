//! Sums of evidence in logarithms.
//!
//! A mixture spreads a capital of one over alternatives that each multiply their share by a likelihood ratio. As long as the
//! null hypothesis holds, no share grows on average, so the sum stays a nonnegative supermartingale that began at one, and
//! exceeds `1/α` with probability `α` at most, however often it is looked at (Ville 1939; Robbins 1970; the reading as capital
//! is Shafer's and Vovk's).
//!
//! Invariant: every function here is total; an infinite or missing logarithm never becomes a `NaN`.

use super::Real;

/// `ln(Σ exp(x))`, without overflow. Of nothing: minus infinity.
pub fn log_sum(logs: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = logs.clone().fold(f64::NEG_INFINITY, f64::max);
    if !largest.is_finite() {
        return largest;
    }
    largest + logs.map(|log| (log - largest).exp()).sum::<f64>().ln()
}

/// `ln` of the mean of `exp(x)`. Of nothing: zero, for nothing is no evidence.
pub fn log_mean(logs: &[Real]) -> f64 {
    if logs.is_empty() {
        return 0.0;
    }
    log_sum(logs.iter().map(|log| log.get())) - count(logs.len()).ln()
}

/// How many, as a number to calculate with.
pub(crate) fn count(number: usize) -> f64 {
    u32::try_from(number).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_logarithms_do_not_overflow() {
        let logs = [Real::new(2000.0), Real::new(1999.0)];
        let expected = 2000.0 + (1.0 + (-1.0_f64).exp()).ln() - 2.0_f64.ln();
        assert!((log_mean(&logs) - expected).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_no_evidence() {
        assert!(log_mean(&[]).abs() < 1e-12);
        assert!(log_sum([].into_iter()).is_infinite());
    }
}
