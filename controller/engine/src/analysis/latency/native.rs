//! Native histograms: exponential buckets, whose bounds grow by the same factor each.
//!
//! Stretching all bounds by a growth that is a power of that factor is a shift of bucket numbers: exact, without interpolation.

use super::Bucket;

/// Coarsest and finest schema that Prometheus knows.
const SCHEMAS: std::ops::RangeInclusive<i32> = -4..=8;

/// Consecutive buckets.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Number of the first bucket. Bucket `i` holds what is above `factor^(i-1)` and at most `factor^i`.
    pub first: i32,
    /// Requests in each bucket, not cumulative.
    pub counts: Vec<f64>,
}

/// A native histogram of durations: no negative observations.
#[derive(Clone, Debug, PartialEq)]
pub struct Native {
    /// Bounds grow by `2^(2^-schema)`.
    pub schema: i32,
    /// Requests that took no time to speak of.
    pub zero: f64,
    /// The buckets with requests.
    pub spans: Vec<Span>,
}

impl Native {
    /// The factor between two bounds.
    pub fn factor(&self) -> f64 {
        2.0_f64.powf(2.0_f64.powi(-self.schema.clamp(*SCHEMAS.start(), *SCHEMAS.end())))
    }

    /// The whole number of buckets that comes nearest to a growth, and the growth that it stands for: at least one bucket.
    pub fn shift(&self, growth: f64) -> (i32, f64) {
        let buckets = ((1.0 + growth.max(0.0)).ln() / self.factor().ln())
            .round()
            .max(1.0);
        let mut shift = 1;
        while f64::from(shift) < buckets && shift < 1024 {
            shift += 1;
        }
        (shift, self.factor().powi(shift) - 1.0)
    }

    /// The same histogram as cumulative buckets at the bounds numbered `bounds`, with the infinite one.
    pub fn cumulative(&self, bounds: &[i32]) -> Vec<Bucket> {
        let mut buckets: Vec<Bucket> = bounds
            .iter()
            .map(|number| Bucket {
                bound: self.factor().powi(*number),
                cumulative: self.at_most(*number),
            })
            .collect();
        buckets.push(Bucket {
            bound: f64::INFINITY,
            cumulative: self.at_most(i32::MAX),
        });
        buckets
    }

    /// Numbers of the buckets with requests, at most `most` of them, evenly chosen.
    pub fn bounds(&self, most: usize) -> Vec<i32> {
        let mut numbers: Vec<i32> = self
            .spans
            .iter()
            .flat_map(|span| {
                let numbers = span.first..i32::MAX;
                numbers.zip(&span.counts).filter(|(_, count)| **count > 0.0)
            })
            .map(|(number, _)| number)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        if numbers.len() <= most {
            return numbers;
        }
        (0..most)
            .filter_map(|place| {
                numbers
                    .get((place * 2 + 1) * numbers.len() / (most * 2))
                    .copied()
            })
            .collect()
    }

    /// Requests in buckets up to `number`.
    fn at_most(&self, number: i32) -> f64 {
        let in_spans: f64 = self
            .spans
            .iter()
            .flat_map(|span| (span.first..i32::MAX).zip(&span.counts))
            .filter(|(bucket, _)| *bucket <= number)
            .map(|(_, count)| count)
            .sum();
        self.zero + in_spans
    }
}
