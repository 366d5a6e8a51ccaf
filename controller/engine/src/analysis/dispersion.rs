//! Do bad events come one by one, or in clumps?
//!
//! The guarantee of [`super::ratio`] rests on independent requests. Errors that come in clumps of four (retries, one bad
//! connection, one client) look like evidence four times over. The stable pods tell: within one tick they serve alike, so the
//! spread of their bad events beyond chance is the clumps' size. All evidence is divided by it.
//!
//! Source: Pearson's dispersion of a binomial, as in Nelder's book on generalised linear models (1989, section 4.5). `E^(1/φ)` of a supermartingale is one
//! (Jensen); with an estimated `φ` the guarantee is approximate, and is checked by simulation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Count, Real, mixture};

/// Bounds of the estimate: less than one would make evidence out of nothing, and above twenty no gate ever decided.
pub const LIMITS: (f64, f64) = (1.0, 20.0);

/// Sums from which the dispersion is estimated. They add up over ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// Sum of squared Pearson residuals.
    pub chi_square: Real,
    /// Degrees of freedom: pods beyond the first, over all ticks with a bad event.
    pub degrees: Real,
}

impl Spread {
    /// Nothing seen.
    pub const NONE: Self = Self {
        chi_square: Real::ZERO,
        degrees: Real::ZERO,
    };

    /// The spread of one tick over `pods`. Ticks without a bad event, or without a good one, say nothing.
    pub fn of(pods: &[Count]) -> Self {
        let all: Count = pods.iter().copied().sum();
        let Some(rate) = all.rate().filter(|rate| *rate > 0.0 && *rate < 1.0) else {
            return Self::default();
        };
        let served = pods.iter().filter(|pod| pod.total() > 0.0);
        let chi_square: f64 = served
            .clone()
            .map(|pod| {
                let expected = pod.total() * rate;
                (pod.bad() - expected).powi(2) / (expected * (1.0 - rate))
            })
            .sum();
        let degrees = mixture::count(served.count()) - 1.0;
        if degrees > 0.0 && chi_square.is_finite() {
            Self {
                chi_square: Real::new(chi_square),
                degrees: Real::new(degrees),
            }
        } else {
            Self::default()
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            chi_square: Real::new(self.chi_square.get() + other.chi_square.get()),
            degrees: Real::new(self.degrees.get() + other.degrees.get()),
        }
    }

    /// The estimate as it is, within [`LIMITS`]; `None` without any degree of freedom.
    pub fn estimate(self) -> Option<f64> {
        let (least, most) = LIMITS;
        (self.degrees.get() > 0.0)
            .then(|| (self.chi_square.get() / self.degrees.get()).clamp(least, most))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tick(bad: [f64; 4]) -> Vec<Count> {
        bad.into_iter().map(|bad| Count::new(bad, 1000.0)).collect()
    }

    #[test]
    fn the_reference_ticks_give_the_reference_dispersion() {
        let spread = [
            tick([4.0, 0.0, 8.0, 0.0]),
            tick([0.0, 4.0, 0.0, 0.0]),
            tick([12.0, 0.0, 0.0, 4.0]),
        ]
        .iter()
        .map(|pods| Spread::of(pods))
        .fold(Spread::default(), Spread::plus);
        assert!((spread.estimate().unwrap() - 5.646_577_4).abs() < 1e-6);
    }

    #[test]
    fn what_says_nothing_gives_no_estimate() {
        for pods in [
            vec![],
            tick([0.0; 4]),
            vec![Count::new(3.0, 100.0)],
            vec![Count::new(5.0, 5.0), Count::new(7.0, 7.0)],
        ] {
            assert_eq!(Spread::of(&pods).estimate(), None, "{pods:?}");
        }
    }

    #[test]
    fn an_even_spread_is_not_taken_for_less_than_chance() {
        assert_eq!(Spread::of(&tick([5.0; 4])).estimate(), Some(1.0));
    }
}
