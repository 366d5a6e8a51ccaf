//! Events: how many there were, and how many of them were bad.
//!
//! Invariant: both numbers are finite and not negative, and no more events are bad than there were.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Real;

/// Bad events among all events. Fractions are allowed: a histogram's bucket may be split in proportion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// Bad events.
    bad: Real,
    /// All events, the bad ones among them.
    total: Real,
}

impl Count {
    /// Nothing.
    pub const ZERO: Self = Self {
        bad: Real::ZERO,
        total: Real::ZERO,
    };

    /// `bad` events among `total`. Negative numbers and what is no number count as zero; a `total` below `bad` (the two may be
    /// read a moment apart) is raised to it, so that no bad event is lost.
    pub fn new(bad: f64, total: f64) -> Self {
        let sane = |number: f64| {
            if number.is_finite() {
                number.max(0.0)
            } else {
                0.0
            }
        };
        let bad = Real::new(sane(bad));
        Self {
            bad,
            total: Real::new(sane(total)).max(bad),
        }
    }

    /// Bad events.
    pub const fn bad(self) -> f64 {
        self.bad.get()
    }

    /// All events.
    pub const fn total(self) -> f64 {
        self.total.get()
    }

    /// Events that were not bad.
    pub fn good(self) -> f64 {
        self.total() - self.bad()
    }

    /// Share of bad events; `None` without events.
    pub fn rate(self) -> Option<f64> {
        (self.total() > 0.0).then(|| self.bad() / self.total())
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self::new(self.bad() + other.bad(), self.total() + other.total())
    }
}

impl std::iter::Sum for Count {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::ZERO, Self::plus)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_counts_as_nothing() {
        for (bad, total) in [(f64::NAN, -3.0), (-1.0, f64::INFINITY), (-0.0, f64::NAN)] {
            assert_eq!(Count::new(bad, total), Count::ZERO);
        }
    }

    #[test]
    fn no_bad_event_is_lost_when_the_total_lags_behind() {
        let count = Count::new(3.0, 2.0);
        assert_eq!((count.bad(), count.total()), (3.0, 3.0));
    }

    #[test]
    fn there_is_no_rate_without_events() {
        assert_eq!(Count::ZERO.rate(), None);
        assert_eq!(Count::new(1.0, 4.0).rate(), Some(0.25));
    }
}
