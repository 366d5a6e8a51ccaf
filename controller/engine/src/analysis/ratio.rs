//! Does the canary err more often than the stable pods do at the same time?
//!
//! Of all bad events of a tick, the share that falls on the canary tells. If the canary errs `R` times as often as the stable
//! pods, each bad event is the canary's with probability `θ(R) = nR/(nR + m)`, whatever the rate of errors itself is: it may
//! wander with the time of day, and the traffic may be shifted from tick to tick. For each alternative `g` the likelihood ratio
//! of `g·R0` against `R0` is a test martingale, see [`log_ratio`].
//!
//! Source: conditional test of two Poisson rates (Przyborowski and Wilenski 1940) as a sequential likelihood ratio, mixed over
//! alternatives; the idea of counting events of two arms sequentially is Lindon's and Malek's (arXiv 2011.03567).

use super::Count;

/// Alternatives of a growing rate, as multiples of the tolerated ratio. Many sizes, because none is known beforehand.
pub const INCREASE: [f64; 10] = [1.25, 1.5, 2.0, 3.0, 4.0, 6.0, 10.0, 20.0, 50.0, 100.0];

/// Alternatives of a falling rate: the same, turned over.
pub const DECREASE: [f64; 10] = [
    1.0 / 1.25,
    1.0 / 1.5,
    1.0 / 2.0,
    1.0 / 3.0,
    1.0 / 4.0,
    1.0 / 6.0,
    1.0 / 10.0,
    1.0 / 20.0,
    1.0 / 50.0,
    1.0 / 100.0,
];

/// Alternatives below an unacceptable ratio, for showing that the canary is not that bad.
pub const ACCEPTABLE: [f64; 8] = [0.9, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1];

/// `ln` of how much better the ratio `multiple · tolerated` explains where the bad events of one tick fell than `tolerated` does.
///
/// With `a = θ(gR0)/θ(R0)` and `b = (1−θ(gR0))/(1−θ(R0))` it is `k·ln a + j·ln b` for `k` bad events of the canary and `j` of
/// the stable pods. It is exact for independent requests without any approximation: the expectation of `a^K·b^J` is a product
/// of `1 + p(a−1)` and `1 + p(b−1)` over the requests, at most `exp(n·p_c·(a−1) + m·p_b·(b−1))`, whose exponent is zero at
/// `p_c = R0·p_b` and negative below. Without traffic on both sides it is zero: there is nothing to compare.
pub fn log_ratio(canary: Count, stable: Count, tolerated: f64, multiple: f64) -> f64 {
    let (n, m) = (canary.total(), stable.total());
    if !(n > 0.0 && m > 0.0 && tolerated > 0.0 && multiple > 0.0) {
        return 0.0;
    }
    // θ(gR0)/θ(R0) and its complement, written so that neither loses digits when one side has nearly all the traffic.
    let odds = n * tolerated / m;
    let total = ((odds + 1.0) / (odds * multiple + 1.0)).ln();
    let evidence = canary.bad() * (multiple.ln() + total) + stable.bad() * total;
    if evidence.is_finite() { evidence } else { 0.0 }
}

#[cfg(test)]
mod tests;
