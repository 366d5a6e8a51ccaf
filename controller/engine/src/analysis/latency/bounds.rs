//! Histograms of pods as counted events: at which bounds they are looked at, for each way to compare them.
//!
//! Invariant: the bounds depend on the question and on what the stable pods expose, never on what was observed, so that each series
//! of a comparison is the same thing from look to look and across restarts.

use super::{Bucket, Native};
use crate::analysis::{Count, evidence::MAX_SERIES, ledger::Role};

/// Powers of two at which native histograms are looked at, for durations in seconds: from a millisecond to nine minutes. They are
/// bounds of every native histogram that is fine enough to compare.
const NATIVE_SECONDS: std::ops::Range<i32> = -10..10;

/// The same for durations in milliseconds.
const NATIVE_MILLISECONDS: std::ops::Range<i32> = 0..20;

/// What of a histogram is compared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Measure {
    /// Requests that took longer than this, in the histogram's unit.
    SlowerThan(f64),
    /// Requests that took longer than each of the bounds.
    EveryBucket,
    /// Requests that took longer than each of the bounds, which lie further out for the canary by this share.
    MaxGrowth(f64),
}

/// A native histogram as Prometheus answers it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// All requests.
    pub count: f64,
    /// Lower end, upper end and requests of each bucket that is not empty, in rising order.
    pub buckets: Vec<(f64, f64, f64)>,
}

/// Bounds at which both sides are counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bounds {
    canary: Vec<f64>,
    stable: Vec<f64>,
}

impl Bounds {
    /// The bounds for `measure`, where the stable pods have `classic` buckets, or native ones whose widest has this factor
    /// ([`Observed::widest`]). `selector` is what selects the histogram: its name tells its unit.
    pub fn new(measure: Measure, selector: &str, classic: &[Bucket], native: Option<f64>) -> Self {
        let all = match native {
            Some(_) => powers_of_two(selector),
            None => super::bounds(classic, usize::MAX),
        };
        let same = |bounds: Vec<f64>| Self {
            canary: bounds.clone(),
            stable: bounds,
        };
        match measure {
            Measure::SlowerThan(bound) => same(vec![bound]),
            Measure::EveryBucket => same(few(&all)),
            Measure::MaxGrowth(growth) => {
                let growth = native
                    .and_then(|widest| shift(widest, growth))
                    .unwrap_or(growth);
                let stable = match native {
                    Some(_) => few(&all),
                    None => few(&super::comparable(&all, growth)),
                };
                Self {
                    canary: super::stretched(&stable, growth),
                    stable,
                }
            }
        }
    }

    /// Whether there is nothing to count.
    pub fn is_empty(&self) -> bool {
        self.stable.is_empty()
    }

    /// Number of bounds.
    pub fn len(&self) -> usize {
        self.stable.len()
    }

    /// The requests of one pod that took longer than each of the bounds.
    pub fn count(&self, role: Role, buckets: &[Bucket]) -> Vec<Count> {
        self.count_slower(role, buckets, 1.0)
    }

    /// The same as if requests had taken so many times as long.
    pub fn count_slower(&self, role: Role, buckets: &[Bucket], times: f64) -> Vec<Count> {
        let bounds = match role {
            Role::Canary => &self.canary,
            Role::Stable => &self.stable,
        };
        let shifted: Vec<f64> = bounds.iter().map(|bound| bound / times).collect();
        super::exceedances(buckets, &shifted)
    }
}

impl Observed {
    /// The histogram as cumulative buckets. Both ends of each bucket are told, so that nothing is spread over a gap between two.
    pub fn cumulative(&self) -> Vec<Bucket> {
        let mut buckets = Vec::with_capacity(self.buckets.len() * 2 + 1);
        let mut sum = 0.0;
        for (lower, upper, count) in &self.buckets {
            buckets.push(Bucket {
                bound: *lower,
                cumulative: sum,
            });
            sum += count;
            buckets.push(Bucket {
                bound: *upper,
                cumulative: sum,
            });
        }
        buckets.push(Bucket {
            bound: f64::INFINITY,
            cumulative: self.count,
        });
        buckets
    }

    /// How many times as long as its lower end the upper end of the widest bucket is; zero if there is none. The widest: a sum of
    /// histograms has the coarsest of their resolutions, and rounding makes others look finer.
    pub fn widest(&self) -> f64 {
        let widths = self.buckets.iter().filter(|(lower, ..)| *lower > 0.0);
        widths
            .map(|(lower, upper, _)| upper / lower)
            .fold(0.0, f64::max)
    }
}

/// The growth by whole buckets that comes nearest to `growth`, so that it is measured exactly, where buckets grow by `factor`.
fn shift(factor: f64, growth: f64) -> Option<f64> {
    if factor <= 1.0 {
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a logarithm of a logarithm is small, and `Native` clamps it"
    )]
    let schema = -factor.log2().log2().round() as i32;
    let like = Native {
        schema,
        zero: 0.0,
        spans: Vec::new(),
    };
    Some(like.shift(growth).1)
}

fn powers_of_two(selector: &str) -> Vec<f64> {
    let milliseconds = selector.contains("milliseconds") || selector.contains("_ms");
    let powers = if milliseconds {
        NATIVE_MILLISECONDS
    } else {
        NATIVE_SECONDS
    };
    powers.map(|power| 2.0_f64.powi(power)).collect()
}

fn few(bounds: &[f64]) -> Vec<f64> {
    let buckets: Vec<Bucket> = bounds
        .iter()
        .map(|bound| Bucket {
            bound: *bound,
            cumulative: 0.0,
        })
        .collect();
    super::bounds(&buckets, MAX_SERIES)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classic(bounds: &[(f64, f64)]) -> Vec<Bucket> {
        bounds
            .iter()
            .map(|(bound, cumulative)| Bucket {
                bound: *bound,
                cumulative: *cumulative,
            })
            .collect()
    }

    fn native() -> Observed {
        Observed {
            count: 10.0,
            buckets: vec![(0.5, 1.0, 4.0), (4.0, 8.0, 6.0)],
        }
    }

    #[test]
    fn requests_over_a_bound_are_counted_on_both_sides_alike() {
        let buckets = classic(&[(0.1, 6.0), (0.5, 9.0), (f64::INFINITY, 10.0)]);
        let bounds = Bounds::new(Measure::SlowerThan(0.5), "h", &buckets, None);
        for role in [Role::Canary, Role::Stable] {
            assert_eq!(bounds.count(role, &buckets), [Count::new(1.0, 10.0)]);
        }
        let every = Bounds::new(Measure::EveryBucket, "h", &buckets, None);
        assert_eq!(
            every.count(Role::Canary, &buckets),
            [Count::new(4.0, 10.0), Count::new(1.0, 10.0)]
        );
    }

    #[test]
    fn a_canary_that_is_slower_by_what_is_tolerated_counts_the_same() {
        let stable = classic(&[(0.1, 6.0), (0.2, 8.0), (0.4, 9.0), (f64::INFINITY, 10.0)]);
        let canary = classic(&[(0.2, 6.0), (0.4, 8.0), (0.8, 9.0), (f64::INFINITY, 10.0)]);
        let bounds = Bounds::new(Measure::MaxGrowth(1.0), "h", &stable, None);
        let of_stable = bounds.count(Role::Stable, &stable);
        assert_eq!(of_stable, [Count::new(4.0, 10.0), Count::new(2.0, 10.0)]);
        assert_eq!(bounds.count(Role::Canary, &canary), of_stable);
    }

    #[test]
    fn native_buckets_are_exact_at_their_bounds_and_empty_between_them() {
        let buckets = native().cumulative();
        let bounds = Bounds::new(
            Measure::EveryBucket,
            "request_seconds",
            &[],
            Some(native().widest()),
        );
        let counted = bounds.count(Role::Stable, &buckets);
        let at = |power: i32| counted[usize::try_from(power + 10).unwrap()].bad();
        assert_eq!(
            [at(-1), at(0), at(1), at(2), at(3)].map(f64::to_bits),
            [10.0, 6.0, 6.0, 6.0, 0.0].map(f64::to_bits)
        );
    }

    #[test]
    fn growth_is_rounded_to_whole_buckets_of_a_native_histogram() {
        let growth = shift(native().widest(), 0.9).unwrap();
        assert!((growth - 1.0).abs() < 1e-12, "{growth}");
    }

    #[test]
    fn bounds_do_not_depend_on_what_was_observed() {
        let of = |observed: &Observed| {
            Bounds::new(
                Measure::EveryBucket,
                "request_ms",
                &[],
                Some(observed.widest()),
            )
        };
        let one = Observed {
            count: 1.0,
            buckets: vec![(64.0, 128.0, 1.0)],
        };
        assert_eq!(of(&native()), of(&one));
    }

    #[test]
    fn slower_requests_exceed_more_bounds() {
        let buckets = classic(&[(0.1, 6.0), (0.2, 9.0), (f64::INFINITY, 10.0)]);
        let bounds = Bounds::new(Measure::SlowerThan(0.2), "h", &buckets, None);
        assert_eq!(bounds.len(), 1);
        assert_eq!(
            bounds.count_slower(Role::Canary, &buckets, 2.0),
            [Count::new(4.0, 10.0)]
        );
    }
}
