//! Latency as counted events: requests that took longer than a bound.
//!
//! A histogram's bucket counts are counters like any other, so a canary's latency is judged by the same evidence as its errors,
//! three ways:
//!
//! - one bound, the one of the service's objective: [`exceedance`];
//! - all bounds together: [`exceedances`], one series each; the mean of their evidence is valid whatever depends on what;
//! - "no quantile grows by more than δ": the canary's requests over `x·(1+δ)` against the stable pods' over `x`, which
//!   [`exceedances`] gives with the bounds of [`stretched`] and a tolerated change of zero.
//!
//! Invariant: for buckets that only ever grow, so do the counts given here; they may be differenced like any counter. Between
//! two bounds the requests are taken to lie evenly, as `histogram_quantile` does.

mod bounds;
mod native;

use super::Count;

pub use bounds::{Bounds, Measure, Observed};
pub use native::{Native, Span};

/// One cumulative bucket of a classic histogram.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bucket {
    /// Upper bound, the `le` label; infinite for the last.
    pub bound: f64,
    /// Requests that took this long at most, ever.
    pub cumulative: f64,
}

/// Requests that took longer than `bound`, among all; `None` if there is no bucket for all requests (`le="+Inf"`), or if `bound`
/// is beyond the last finite bucket, where nothing is known.
///
/// `buckets` may come in any order.
pub fn exceedance(buckets: &[Bucket], bound: f64) -> Option<Count> {
    let sorted = sorted(buckets);
    let total = sorted
        .last()
        .filter(|last| last.bound.is_infinite())?
        .cumulative;
    let within = cumulative_at(&sorted, bound)?;
    Some(Count::new(total - within.min(total), total))
}

/// [`exceedance`] of each of `bounds`. A bound of which nothing is known gives no bad request, on any pod alike.
pub fn exceedances(buckets: &[Bucket], bounds: &[f64]) -> Vec<Count> {
    let all = exceedance(buckets, 0.0).map_or(0.0, Count::total);
    let count = |bound: &f64| exceedance(buckets, *bound).unwrap_or(Count::new(0.0, all));
    bounds.iter().map(count).collect()
}

/// Finite bounds of `buckets`, at most `most` of them, evenly chosen by rank.
pub fn bounds(buckets: &[Bucket], most: usize) -> Vec<f64> {
    let sorted = sorted(buckets);
    let finite: Vec<f64> = sorted
        .iter()
        .map(|bucket| bucket.bound)
        .filter(|bound| bound.is_finite() && *bound > 0.0)
        .collect();
    if finite.len() <= most {
        return finite;
    }
    (0..most)
        .filter_map(|place| {
            finite
                .get((place * 2 + 1) * finite.len() / (most * 2))
                .copied()
        })
        .collect()
}

/// The canary's bounds for "no quantile grows by more than `growth`": each of `bounds` times `1 + growth`. Those beyond the last
/// one are left out on both sides by the caller, who takes [`comparable`] bounds.
pub fn stretched(bounds: &[f64], growth: f64) -> Vec<f64> {
    bounds.iter().map(|bound| bound * (1.0 + growth)).collect()
}

/// The bounds that can be stretched by `growth` without leaving the finite buckets.
pub fn comparable(bounds: &[f64], growth: f64) -> Vec<f64> {
    let largest = bounds.iter().copied().fold(0.0, f64::max);
    let fits = |bound: &f64| bound * (1.0 + growth) <= largest;
    bounds.iter().copied().filter(fits).collect()
}

/// In order of bounds, without nonsense, and never falling: a bucket that was read a moment earlier may lag behind.
fn sorted(buckets: &[Bucket]) -> Vec<Bucket> {
    let mut sorted: Vec<Bucket> = buckets
        .iter()
        .copied()
        .filter(|bucket| !bucket.bound.is_nan() && bucket.cumulative.is_finite())
        .collect();
    sorted.sort_by(|a, b| a.bound.total_cmp(&b.bound));
    let mut most = 0.0_f64;
    for bucket in &mut sorted {
        most = most.max(bucket.cumulative);
        bucket.cumulative = most;
    }
    sorted
}

/// Requests of at most `bound`, from sorted buckets.
fn cumulative_at(sorted: &[Bucket], bound: f64) -> Option<f64> {
    let mut below = Bucket {
        bound: 0.0,
        cumulative: 0.0,
    };
    for bucket in sorted {
        if close(bucket.bound, bound) {
            return Some(bucket.cumulative);
        }
        if bucket.bound > bound {
            if bucket.bound.is_infinite() {
                return None;
            }
            let width = bucket.bound - below.bound;
            let part = ((bound - below.bound) / width).clamp(0.0, 1.0);
            return Some(below.cumulative + part * (bucket.cumulative - below.cumulative));
        }
        below = *bucket;
    }
    None
}

/// Whether two bounds are the same one, written differently.
fn close(one: f64, other: f64) -> bool {
    one.is_finite() && (one - other).abs() <= 1e-9 * one.abs().max(other.abs())
}

#[cfg(test)]
mod tests;
