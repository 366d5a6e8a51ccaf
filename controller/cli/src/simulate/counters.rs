//! Raw counters of one pod, and what they say of each side of a comparison.

use std::{collections::BTreeMap, sync::Arc};

use belay_engine::analysis::{
    Count,
    latency::{self, Bounds, Bucket, Measure},
    ledger::Role,
};

use super::{
    error::SimulateError,
    history::{Series, answer::WIDEST},
};

/// A pod's counters.
#[derive(Clone, Debug)]
pub(super) enum Counters {
    /// Events that count, and all events.
    Pair {
        /// Absent: there was none so far.
        bad: Option<Series>,
        total: Series,
    },
    /// A histogram.
    Buckets {
        /// By upper bound, the infinite one among them.
        buckets: Vec<(f64, Series)>,
        bounds: Arc<Bounds>,
    },
}

impl Counters {
    /// The counters at a point in time, if there was a sample. `slower`: as if the canary's events took so many times as long.
    pub(super) fn at(&self, index: usize, role: Role, slower: f64) -> Option<Vec<Count>> {
        match self {
            Self::Pair { bad, total } => {
                let total = total.get(index)?;
                let bad = bad.as_ref().and_then(|bad| bad.get(index));
                Some(vec![Count::new(bad.unwrap_or(0.0), total)])
            }
            Self::Buckets { buckets, bounds } => {
                self.all(index)?;
                let buckets: Vec<Bucket> = buckets
                    .iter()
                    .filter_map(|(bound, series)| {
                        let cumulative = series.get(index)?;
                        Some(Bucket {
                            bound: *bound,
                            cumulative,
                        })
                    })
                    .collect();
                let times = match role {
                    Role::Stable => 1.0,
                    Role::Canary => slower,
                };
                Some(bounds.count_slower(role, &buckets, times))
            }
        }
    }

    /// All events so far, if there was a sample.
    pub(super) fn all(&self, index: usize) -> Option<f64> {
        self.total()?.get(index)
    }

    /// The series of all events.
    pub(super) fn total(&self) -> Option<&Series> {
        match self {
            Self::Pair { total, .. } => Some(total),
            Self::Buckets { buckets, .. } => buckets
                .iter()
                .find(|(bound, _)| bound.is_infinite())
                .map(|(_, series)| series),
        }
    }

    /// How many series the engine gets.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Pair { .. } => 1,
            Self::Buckets { bounds, .. } => bounds.len(),
        }
    }
}

/// Each pod's pair.
pub(super) fn pairs(
    bad: Vec<Series>,
    total: Vec<Series>,
    pod_label: &str,
) -> Vec<(String, Counters)> {
    let mut bad: BTreeMap<String, Series> = bad
        .into_iter()
        .map(|series| (series.label(pod_label).to_owned(), series))
        .collect();
    total
        .into_iter()
        .map(|total| {
            let pod = total.label(pod_label).to_owned();
            let bad = bad.remove(&pod);
            (pod, Counters::Pair { bad, total })
        })
        .collect()
}

/// Each pod's histogram, which `selector` selects.
pub(super) fn histograms(
    series: Vec<Series>,
    pod_label: &str,
    selector: &str,
    measure: Measure,
) -> Result<Vec<(String, Counters)>, SimulateError> {
    let mut pods: BTreeMap<String, Vec<(f64, Series)>> = BTreeMap::new();
    let mut widest: Option<f64> = None;
    for one in series {
        // A label that is no number has no place among buckets.
        if let Ok(bound) = one.label("le").parse::<f64>() {
            let pod = one.label(pod_label).to_owned();
            pods.entry(pod).or_default().push((bound, one));
        } else if one.label("le") == WIDEST {
            let seen = one.present().filter_map(|index| one.get(index));
            widest = Some(seen.fold(widest.unwrap_or_default(), f64::max));
        }
    }
    let known = pods.values().flatten().map(|(bound, _)| Bucket {
        bound: *bound,
        cumulative: 0.0,
    });
    let mut known: Vec<Bucket> = known.collect();
    known.sort_by(|one, other| one.bound.total_cmp(&other.bound));
    known.dedup_by(|one, other| one.bound.total_cmp(&other.bound).is_eq());
    if let (Measure::SlowerThan(bound), None) = (measure, widest) {
        let finite = latency::bounds(&known, usize::MAX);
        if finite.last().is_some_and(|last| bound > *last) {
            return Err(SimulateError::History(format!(
                "the histogram's last bucket ends before {bound}, so nothing is known of what is slower; its bounds are {finite:?}"
            )));
        }
    }
    let bounds = Arc::new(Bounds::new(measure, selector, &known, widest));
    let of = |(pod, buckets)| {
        let bounds = Arc::clone(&bounds);
        (pod, Counters::Buckets { buckets, bounds })
    };
    Ok(pods.into_iter().map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::{
        super::history::{Collector, Grid, Labels},
        *,
    };

    fn bucket(le: &str, value: f64) -> Series {
        let mut collector = Collector::new(Grid::new(0, 60_000, 10_000).unwrap());
        let labels = [("pod", "a"), ("le", le)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        collector.add(Labels::from(labels), std::iter::once((0, value)));
        collector.finish().pop().unwrap()
    }

    fn counts(measure: Measure, role: Role, slower: f64) -> Vec<f64> {
        let buckets = [
            ("+Inf", 100.0),
            ("0.4", 90.0),
            ("0.2", 60.0),
            ("0.10", 20.0),
        ];
        let series = buckets.map(|(le, value)| bucket(le, value)).to_vec();
        let pods = histograms(series, "pod", "seconds", measure).unwrap();
        let counts = pods[0].1.at(0, role, slower).unwrap();
        assert!(counts.iter().all(|count| count.total() > 99.9));
        counts.iter().map(|count| count.bad()).collect()
    }

    #[test]
    fn what_is_slower_than_a_bound_counts() {
        assert_eq!(counts(Measure::SlowerThan(0.2), Role::Stable, 1.0), [40.0]);
        assert_eq!(
            counts(Measure::EveryBucket, Role::Canary, 1.0),
            [80.0, 40.0, 10.0]
        );
    }

    #[test]
    fn a_slower_canary_has_more_beyond_each_bound() {
        assert_eq!(counts(Measure::SlowerThan(0.2), Role::Canary, 2.0), [80.0]);
        assert_eq!(counts(Measure::SlowerThan(0.2), Role::Stable, 2.0), [40.0]);
    }

    #[test]
    fn growth_compares_the_canary_at_longer_bounds() {
        assert_eq!(
            counts(Measure::MaxGrowth(1.0), Role::Stable, 1.0),
            [80.0, 40.0]
        );
        assert_eq!(
            counts(Measure::MaxGrowth(1.0), Role::Canary, 1.0),
            [40.0, 10.0]
        );
    }

    #[test]
    fn beyond_the_last_bucket_nothing_is_known() {
        let why = histograms(
            vec![bucket("0.1", 1.0)],
            "pod",
            "s",
            Measure::SlowerThan(0.5),
        );
        assert!(why.unwrap_err().to_string().contains("0.5"));
    }
}
