//! A sample of durations and what is said of it.

use std::time::Duration;

use serde::Serialize;

/// Median, 95th percentile and maximum of a sample, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Figures {
    /// Number of values.
    pub samples: usize,
    /// Half of the values are not above this.
    pub p50_ms: f64,
    /// 95 of 100 values are not above this.
    pub p95_ms: f64,
    /// The largest value.
    pub max_ms: f64,
}

impl Figures {
    /// The figures of a sample (nearest rank); `None` when it is empty.
    pub fn of(sample: &[Duration]) -> Option<Self> {
        let mut sorted: Vec<f64> = sample
            .iter()
            .map(|value| value.as_secs_f64() * 1000.0)
            .collect();
        sorted.sort_by(f64::total_cmp);
        Some(Self {
            samples: sorted.len(),
            p50_ms: rank(&sorted, 50)?,
            p95_ms: rank(&sorted, 95)?,
            max_ms: sorted.last().copied()?,
        })
    }
}

fn rank(sorted: &[f64], percent: usize) -> Option<f64> {
    let position = (sorted.len() * percent).div_ceil(100).max(1) - 1;
    sorted.get(position).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_values_of_the_sample() {
        let sample: Vec<Duration> = (1..=20).map(Duration::from_millis).collect();
        let figures = Figures::of(&sample).unwrap();
        assert_eq!(
            (
                figures.samples,
                figures.p50_ms,
                figures.p95_ms,
                figures.max_ms
            ),
            (20, 10.0, 19.0, 20.0)
        );
        assert!(Figures::of(&[]).is_none());
    }
}
