//! Where a rate really lies, for display and for low traffic: an interval that is valid at every look.
//!
//! A uniform prior over rates is a mixture of likelihood ratios against any one rate `p`. The interval keeps every `p` against
//! which the mixture has not grown to `1/α`; with probability `1−α` it holds the true rate at all times (Robbins 1970; Darling
//! and Robbins 1967).

use super::Count;

/// Rounds of bisection; beyond these a double has no more digits.
const ROUNDS: u32 = 100;

/// The least and the greatest rate of bad events that `count` does not contradict at the error rate `alpha`.
pub fn interval(count: Count, alpha: f64) -> (f64, f64) {
    let (bad, total) = (count.bad(), count.total());
    let valid = total > 0.0 && alpha > 0.0 && alpha < 1.0;
    if !valid {
        return (0.0, 1.0);
    }
    let observed = bad / total;
    let kept = |rate: f64| log_mixture(bad, total, rate) < -alpha.ln();
    let low = if bad > 0.0 {
        bisect(observed, 0.0, kept)
    } else {
        0.0
    };
    let high = if bad < total {
        bisect(observed, 1.0, kept)
    } else {
        1.0
    };
    (low, high)
}

/// The end of the rates that are `kept`, between `inside` and `outside`.
fn bisect(mut inside: f64, mut outside: f64, kept: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..ROUNDS {
        let middle = f64::midpoint(inside, outside);
        if kept(middle) {
            inside = middle;
        } else {
            outside = middle;
        }
    }
    f64::midpoint(inside, outside)
}

/// `ln` of the uniform mixture's likelihood over that of `rate`.
fn log_mixture(bad: f64, total: f64, rate: f64) -> f64 {
    let good = total - bad;
    let beta = libm::lgamma(1.0 + bad) + libm::lgamma(1.0 + good) - libm::lgamma(2.0 + total);
    // Zero times minus infinity is zero here.
    let part = |number: f64, log: f64| if number > 0.0 { number * log } else { 0.0 };
    beta - part(bad, rate.ln()) - part(good, (-rate).ln_1p())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_counts_have_the_reference_intervals() {
        let cases = [
            (100.0, 0.0, 0.0, 0.088_079_904),
            (1000.0, 1.0, 9.990e-9, 0.014_072_355),
            (1000.0, 10.0, 0.001_702_820_5, 0.030_321_704),
            (10000.0, 10.0, 0.000_129_529_53, 0.003_392_432_9),
            (750.0, 8.0, 0.001_413_083_1, 0.035_535_653),
        ];
        for (total, bad, low, high) in cases {
            let (least, most) = interval(Count::new(bad, total), 0.01);
            assert!((least - low).abs() < 1e-9, "{least} is not {low}");
            assert!((most - high).abs() < 1e-7, "{most} is not {high}");
        }
    }

    #[test]
    fn nothing_contradicts_no_rate() {
        assert_eq!(interval(Count::ZERO, 0.01), (0.0, 1.0));
        assert_eq!(interval(Count::new(1.0, 2.0), 0.0), (0.0, 1.0));
        assert_eq!(interval(Count::new(1.0, 2.0), f64::NAN), (0.0, 1.0));
    }
}
