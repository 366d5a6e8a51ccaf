//! How often the series of a gate are scraped, and whether its ranges are long enough for that.
//!
//! A range needs four scrapes: two for a rate, one may be late, one may be lost. The time between two scrapes is seen in the samples
//! of one series, once for each gate and trial.
//!
//! Invariant: what is not known is not doubted.

use std::time::Duration;

use belay_promql::{
    Code, Role, ScrapeInterval, Settings, lint,
    selector::{Selector, selectors},
};
use jiff::Timestamp;

use super::{Asker, access::Whom};
use crate::{
    gates::measure::memory::Memory,
    prometheus::{About, Data},
};

/// Time over which samples are looked at.
const LOOKED_AT: &str = "10m";

/// Samples from which on the time between two of them is known.
const SAMPLES: usize = 4;

/// Times that it is tried: a series that is new has too few samples.
const TRIES: u32 = 20;

/// Scrapes are a whole number of these apart; the samples differ by some milliseconds.
const GRAIN_MILLISECONDS: i64 = 100;

impl Asker {
    /// Looks once whether the ranges of `query`, whose holes are filled, hold enough scrapes, and remembers what is doubtful.
    pub(super) async fn doubt_ranges(&self, whom: &Whom, query: &str, role: Role, memory: &Memory) {
        if memory.doubts().is_some() || memory.tried_scrapes() >= TRIES {
            return;
        }
        let ranged = selectors(query)
            .into_iter()
            .filter(|one| one.range.is_some());
        let Some(shortest) = ranged.min_by_key(|one| one.range) else {
            memory.doubt(Vec::new());
            return;
        };
        let Some(interval) = self.scrape_interval(whom, &shortest).await else {
            return;
        };
        memory.doubt(short_ranges(query, role, interval));
    }

    /// Time between two samples of a series that `selector` selects, the one with most of them.
    async fn scrape_interval(&self, whom: &Whom, selector: &Selector) -> Option<Duration> {
        let about = About::Now {
            not_before: Timestamp::now(),
        };
        let best = format!("topk(1, count_over_time({}[{LOOKED_AT}]))", selector.text);
        let reply = self.put(whom, best, about).await;
        let Ok(Data::Vector(series)) = reply.whole().map(AsRef::as_ref) else {
            return None;
        };
        let mut labels = series.first()?.metric.clone();
        // A function drops the name, and leaves it out of the answer.
        labels.insert("__name__".to_owned(), selector.metric.clone()?);
        let matchers: Vec<String> = labels
            .iter()
            .map(|(name, value)| Some(format!("{name}={}", quoted(value)?)))
            .collect::<Option<_>>()?;
        let samples = format!("{{{}}}[{LOOKED_AT}]", matchers.join(","));
        let reply = self.put(whom, samples, about).await;
        let Ok(Data::Matrix(series)) = reply.whole().map(AsRef::as_ref) else {
            return None;
        };
        let one = series.first()?;
        let numbers = one.values.iter().map(|sample| sample.0);
        middle(
            numbers
                .chain(one.histograms.iter().map(|sample| sample.0))
                .collect(),
        )
    }
}

/// A text as PromQL has it: JSON's quotes are the same.
fn quoted(text: &str) -> Option<String> {
    serde_json::to_string(text).ok()
}

/// The middle of the times between these, in whole grains.
fn middle(mut times: Vec<f64>) -> Option<Duration> {
    if times.len() < SAMPLES {
        return None;
    }
    times.sort_by(f64::total_cmp);
    let pairs = times.iter().zip(times.iter().skip(1));
    let mut between: Vec<f64> = pairs.map(|(one, next)| next - one).collect();
    between.sort_by(f64::total_cmp);
    let seconds = *between.get(between.len() / 2)?;
    let span = jiff::SignedDuration::try_from_secs_f64(seconds).ok()?;
    let grains = span
        .as_millis()
        .saturating_add(i128::from(GRAIN_MILLISECONDS / 2))
        / i128::from(GRAIN_MILLISECONDS);
    let milliseconds = u64::try_from(grains.max(1)).ok()? * GRAIN_MILLISECONDS.unsigned_abs();
    Some(Duration::from_millis(milliseconds))
}

/// What is doubtful in the ranges of `query` where scrapes are `interval` apart.
fn short_ranges(query: &str, role: Role, interval: Duration) -> Vec<String> {
    let settings = Settings {
        scrape_interval: ScrapeInterval::Known(interval),
        pod_label: None,
    };
    let findings = lint(query, role, &settings).into_iter();
    findings
        .filter(|finding| finding.code == Code::ShortRange)
        .map(|finding| finding.message)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_the_times_between_samples_is_the_interval() {
        let seconds = |seconds: f64| Some(Duration::from_secs_f64(seconds));
        assert_eq!(
            middle(vec![0.0, 15.003, 29.998, 45.0, 75.001]),
            seconds(15.0)
        );
        assert_eq!(middle(vec![3.0, 2.0, 1.0, 0.0]), seconds(1.0));
        assert_eq!(middle(vec![0.0, 15.0, 30.0]), None);
        assert_eq!(middle(vec![0.0; 9]), seconds(0.1));
    }

    #[test]
    fn a_range_of_fewer_than_four_scrapes_is_doubtful_and_one_of_four_is_not() {
        let doubts = |range: &str| {
            let query = format!("sum(rate(a_total[{range}]))");
            short_ranges(&query, Role::Threshold, Duration::from_secs(15))
        };
        assert_eq!(doubts("1m"), Vec::<String>::new());
        let doubtful = doubts("45s");
        assert!(doubtful[0].contains("write [1m] or longer"), "{doubtful:?}");
    }
}
