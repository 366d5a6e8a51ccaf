//! What a share that was counted says about the share behind it.

use serde::Serialize;
use statrs::distribution::{Beta, ContinuousCDF as _};

/// Two sides together leave out five in a hundred.
const OUTSIDE: f64 = 0.05;

/// A counted share with its exact (Clopper-Pearson) 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Share {
    /// How many of them.
    pub(super) count: usize,
    /// Of how many.
    pub(super) of: usize,
    /// How many of them are independent: windows that overlap see the same requests.
    pub(super) effective: f64,
    /// The share; nothing of nothing is 0.
    #[serde(rename = "share")]
    pub(super) value: f64,
    /// Lower end of the interval.
    pub(super) low: f64,
    /// Upper end of the interval.
    pub(super) high: f64,
}

impl Share {
    /// `count` of `of`, where only `effective` of them are independent.
    ///
    /// The interval is that of Clopper and Pearson (1934): the shares under which a count as far out has a chance of at least 2.5 %. Its ends are quantiles of
    /// beta distributions, which take the fractional counts that an effective number gives.
    pub(super) fn new(count: usize, of: usize, effective: f64) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of windows are far below 2^52"
        )]
        let (counted, all) = (count as f64, of as f64);
        let share = if of == 0 { 0.0 } else { counted / all };
        let effective = effective.clamp(0.0, all);
        let hits = share * effective;
        let misses = effective - hits;
        let quantile =
            |a: f64, b: f64, p: f64| Beta::new(a, b).ok().map(|beta| beta.inverse_cdf(p));
        let low = if hits <= 0.0 {
            None
        } else {
            quantile(hits, misses + 1.0, OUTSIDE / 2.0)
        };
        let high = if misses <= 0.0 {
            None
        } else {
            quantile(hits + 1.0, misses, 1.0 - OUTSIDE / 2.0)
        };
        Self {
            count,
            of,
            effective,
            value: share,
            low: low.unwrap_or(0.0),
            high: high.unwrap_or(1.0),
        }
    }

    /// All of them independent.
    pub(super) fn independent(count: usize, of: usize) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts of windows are far below 2^52"
        )]
        let effective = of as f64;
        Self::new(count, of, effective)
    }
}

/// The value below which a share `p` of `values` lies (nearest rank); `values` need not be sorted.
pub(super) fn percentile(values: &[f64], p: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank within a list"
    )]
    let rank = (p * sorted.len() as f64).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-6
    }

    /// The ends solve the definition: the binomial tail at each of them is 2.5 %.
    #[test]
    fn the_interval_is_the_one_of_clopper_and_pearson() {
        // R: binom.test(k, n)$conf.int
        for (count, of, low, high) in [
            (0, 10, 0.0, 0.308_497_1),
            (1, 10, 0.002_528_578, 0.445_016_1),
            (5, 100, 0.016_431_88, 0.112_834_9),
            (10, 10, 0.691_502_9, 1.0),
        ] {
            let share = Share::independent(count, of);
            assert!(
                (share.low - low).abs() < 1e-5 && (share.high - high).abs() < 1e-5,
                "{share:?}"
            );
        }
    }

    #[test]
    fn windows_that_overlap_make_the_interval_wider() {
        let (all, few) = (Share::independent(50, 1000), Share::new(50, 1000, 100.0));
        assert!(few.low < all.low && few.high > all.high);
        assert!(close(few.value, all.value));
    }

    #[test]
    fn nothing_at_all_says_nothing() {
        let share = Share::independent(0, 0);
        assert!(close(share.low, 0.0) && close(share.high, 1.0) && close(share.value, 0.0));
    }

    #[test]
    fn percentiles_are_values_that_occur() {
        let values = [40.0, 10.0, 30.0, 20.0];
        assert_eq!(percentile(&values, 0.5), Some(20.0));
        assert_eq!(percentile(&values, 0.95), Some(40.0));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
