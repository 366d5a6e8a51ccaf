//! Raw counters of pods: the one query that asks for all of them, and the snapshot that the answer gives.
//!
//! Both sides of a comparison and both kinds of events are asked for in one query, so that they are of the same time and cost one
//! question. A label that Belay adds tells them apart.
//!
//! Invariant: a pod is on the side that the cluster says, never on one that a metric claims.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use belay_engine::analysis::{
    Count,
    latency::{self, Bounds, Bucket, Measure, Observed},
    ledger::{PodSample, Role, Snapshot},
};
use jiff::Timestamp;

use super::pods::PodFacts;
use crate::prometheus::{
    Data,
    data::{NativeHistogram, Sample, Series, time},
};

/// Label that tells the kinds of counters apart.
const CLASS: &str = "belay_class";

/// How far back a sample is looked for when counting is taken up again: a pod that was not scraped at that very time may have been
/// counted before. The step is the finest that a scrape makes sense of.
const LOOK_BACK: &str = "[10m:5s]";

/// Pods that a sentence names.
const NAMED: usize = 3;

/// What is asked for, with all holes filled.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Counters {
    /// Label with the pod's name.
    pub(crate) pod_label: String,
    /// What is counted.
    pub(crate) counted: Counted,
}

/// What is counted.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Counted {
    /// Events, of all pods of both sides.
    Events(Pair),
    /// Events of both sides, which differ by their series and not by their pods.
    Sides {
        /// Of the canary.
        canary: Pair,
        /// Of the baseline.
        baseline: Pair,
    },
    /// Requests by how long they took, of all pods of both sides.
    Latency {
        /// The histogram.
        histogram: String,
        /// What of it is compared.
        measure: Measure,
    },
}

/// Two counters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    /// Of the events that count.
    pub(crate) bad: String,
    /// Of all events.
    pub(crate) total: String,
}

/// Why there is no snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Unusable {
    /// Nothing was there; the counters may never have existed.
    Empty,
    /// There was something, and it can't be used: one sentence.
    Wrong(String),
}

/// A pod, and its side.
pub(crate) type Sided = (Role, PodFacts);

/// Counters of one unit while they are put together.
#[derive(Clone, Debug, Default)]
struct Found<'a> {
    bad: f64,
    total: Option<f64>,
    at: Option<f64>,
    buckets: Vec<Bucket>,
    native: Option<&'a NativeHistogram>,
}

/// By side prefix and by the value of the pod label.
type FoundByUnit<'a> = BTreeMap<(&'static str, &'a str), Found<'a>>;

impl Counters {
    /// The query for the present counters.
    pub(crate) fn query(&self) -> String {
        let label = &self.pod_label;
        let parts = match &self.counted {
            Counted::Events(pair) => classes("", pair, label).to_vec(),
            Counted::Sides { canary, baseline } => {
                let canary = classes("", canary, label);
                canary
                    .into_iter()
                    .chain(classes("baseline_", baseline, label))
                    .collect()
            }
            Counted::Latency { histogram, .. } => vec![
                class("bucket", &format!("sum by ({label}, le) (\n{histogram}\n)")),
                newest("at", histogram, label),
            ],
        };
        parts.join(" or ")
    }

    /// The query for the last counters that were there, which takes up the counting again.
    pub(crate) fn query_last_known(&self) -> String {
        let present = self.query();
        format!("({present}) or last_over_time(({present}){LOOK_BACK})")
    }

    /// What must be there for anything to be counted.
    pub(crate) fn query_of_all(&self) -> &str {
        match &self.counted {
            Counted::Events(pair) | Counted::Sides { canary: pair, .. } => &pair.total,
            Counted::Latency { histogram, .. } => histogram,
        }
    }

    /// Counters of `pods` as `data` has them.
    pub(crate) fn snapshot(
        &self,
        data: &Data,
        at: Timestamp,
        pods: &[Sided],
    ) -> Result<Snapshot, Unusable> {
        let Data::Vector(series) = data else {
            let why = "the counters are not series; give selectors such as http_requests_total{…}";
            return Err(Unusable::Wrong(why.to_owned()));
        };
        let found = self.found_of(series, pods)?;
        if matches!(self.counted, Counted::Sides { .. }) {
            let samples = found
                .iter()
                .map(|((prefix, unit), found)| unit_sample(prefix, unit, found));
            return Ok(Snapshot {
                at,
                pods: samples.collect(),
            });
        }
        if !pods.is_empty() && pods.iter().all(|(_, pod)| of(&found, pod).is_none()) {
            return Err(self.strangers(&found));
        }
        let bounds = self.bounds(&found, pods)?;
        let samples = pods
            .iter()
            .map(|(role, pod)| sample(*role, pod, of(&found, pod), bounds.as_ref()));
        Ok(Snapshot {
            at,
            pods: samples.collect(),
        })
    }

    /// The bounds at which latencies are counted; none for events.
    fn bounds(&self, found: &FoundByUnit<'_>, pods: &[Sided]) -> Result<Option<Bounds>, Unusable> {
        let Counted::Latency { histogram, measure } = &self.counted else {
            return Ok(None);
        };
        let of_side = |role: Role| -> Vec<&Found<'_>> {
            let pods = pods.iter().filter(|(own, _)| *own == role);
            pods.filter_map(|(_, pod)| of(found, pod)).collect()
        };
        let stable = of_side(Role::Stable);
        // Without stable pods nothing is compared, whatever the bounds.
        let like = if stable.is_empty() {
            of_side(Role::Canary)
        } else {
            stable
        };
        let mut buckets: Vec<Bucket> = like
            .iter()
            .flat_map(|found| found.buckets.clone())
            .collect();
        buckets.sort_by(|a, b| a.bound.total_cmp(&b.bound));
        buckets.dedup_by(|a, b| a.bound.total_cmp(&b.bound).is_eq());
        let native = like.iter().find_map(|found| found.native);
        if let (Measure::SlowerThan(bound), None) = (measure, native) {
            let last = latency::bounds(&buckets, usize::MAX)
                .into_iter()
                .fold(0.0, f64::max);
            if *bound > last {
                return Err(Unusable::Wrong(format!(
                    "the histogram tells requests apart up to {last} only, so nothing is known of those slower than {bound}; give one of its bounds as slowerThan"
                )));
            }
        }
        let bounds = Bounds::new(
            *measure,
            histogram,
            &buckets,
            native.map(|native| Observed::from(native).widest()),
        );
        if bounds.is_empty() {
            return Err(Unusable::Wrong(
                "the histogram has no bounds that can be compared; give the _bucket series of a classic histogram, or a native one".to_owned(),
            ));
        }
        Ok(Some(bounds))
    }

    /// What the series say of each unit that matters: an answer that many gates share has a thousand others.
    fn found_of<'a>(
        &self,
        series: &'a [Series],
        pods: &[Sided],
    ) -> Result<FoundByUnit<'a>, Unusable> {
        let names: HashSet<&str> = pods.iter().map(|(_, pod)| pod.name.as_str()).collect();
        if matches!(self.counted, Counted::Sides { .. }) || names.is_empty() {
            return self.found(series);
        }
        let ours = series.iter().filter(|one| {
            let pod = one.metric.get(&self.pod_label);
            pod.is_some_and(|pod| names.contains(pod.as_str()))
        });
        match self.found(ours) {
            // What is there instead tells what is wrong.
            Err(Unusable::Empty) => self.found(series),
            found => found,
        }
    }

    /// What the series say of each unit.
    fn found<'a>(
        &self,
        series: impl IntoIterator<Item = &'a Series>,
    ) -> Result<FoundByUnit<'a>, Unusable> {
        let mut found = FoundByUnit::new();
        let mut nameless = false;
        for one in series {
            let Some(pod) = one.metric.get(&self.pod_label) else {
                nameless = true;
                continue;
            };
            let class = one.metric.get(CLASS).map_or("", String::as_str);
            let (prefix, kind) = match class.strip_prefix("baseline_") {
                Some(kind) => ("baseline ", kind),
                None => ("", class),
            };
            let unit = found.entry((prefix, pod.as_str())).or_default();
            unit.take(kind, one)?;
        }
        found.retain(|_, found| found.has_all());
        match (found.is_empty(), nameless) {
            (false, _) => Ok(found),
            (true, true) => Err(Unusable::Wrong(format!(
                "the series have no label {:?} with the pod's name; name the right label under podLabel, and keep it in the query (sum by ({}) …)",
                self.pod_label, self.pod_label
            ))),
            (true, false) => Err(Unusable::Empty),
        }
    }

    /// There are counters, and none is of a pod that matters.
    fn strangers(&self, found: &FoundByUnit<'_>) -> Unusable {
        let names: BTreeSet<&str> = found.keys().map(|(_, pod)| *pod).collect();
        let some: Vec<&str> = names.iter().copied().take(NAMED).collect();
        Unusable::Wrong(format!(
            "the counters are of {} others ({}{}) and of no canary or stable pod; check what the query selects, and that the label {:?} has the pod's name",
            names.len(),
            some.join(", "),
            if names.len() > NAMED { ", …" } else { "" },
            self.pod_label
        ))
    }
}

/// What was found of a pod.
fn of<'f, 'a>(found: &'f FoundByUnit<'a>, pod: &'f PodFacts) -> Option<&'f Found<'a>> {
    found.get(&("", pod.name.as_str()))
}

impl<'a> Found<'a> {
    fn take(&mut self, kind: &str, series: &'a Series) -> Result<(), Unusable> {
        match (kind, &series.value, &series.histogram) {
            ("bad", Some(Sample(_, value)), _) => self.bad = *value,
            ("total", Some(Sample(_, value)), _) => self.total = Some(*value),
            ("at", Some(Sample(_, value)), _) => self.at = Some(*value),
            ("bucket", Some(Sample(_, cumulative)), _) => {
                let bound = series.metric.get("le").and_then(|bound| bound.parse().ok());
                let bound = bound.ok_or_else(|| {
                    Unusable::Wrong(
                        "the series of the histogram have no label \"le\"; give its _bucket series, without an aggregation that drops it".to_owned(),
                    )
                })?;
                self.buckets.push(Bucket {
                    bound,
                    cumulative: *cumulative,
                });
            }
            ("bucket", None, Some(histogram)) => self.native = Some(&histogram.1),
            _ => {
                let why = "the counters are native histograms; compare those with latency";
                return Err(Unusable::Wrong(why.to_owned()));
            }
        }
        Ok(())
    }

    fn has_all(&self) -> bool {
        self.total.is_some() || !self.buckets.is_empty() || self.native.is_some()
    }

    fn counts(&self, role: Role, bounds: Option<&Bounds>) -> Vec<Count> {
        match (bounds, self.native) {
            (None, _) => vec![Count::new(self.bad, self.total.unwrap_or_default())],
            (Some(bounds), Some(native)) => {
                bounds.count(role, &Observed::from(native).cumulative())
            }
            (Some(bounds), None) => bounds.count(role, &self.buckets),
        }
    }
}

fn class(class: &str, query: &str) -> String {
    format!("label_replace({query}, \"{CLASS}\", \"{class}\", \"\", \"\")")
}

/// The time of each unit's newest sample.
fn newest(name: &str, query: &str, label: &str) -> String {
    class(name, &format!("max by ({label}) (timestamp(\n{query}\n))"))
}

/// The three parts of a query: both counters, and the time of their newest sample.
fn classes(prefix: &str, pair: &Pair, label: &str) -> [String; 3] {
    // The line breaks end a comment in what people wrote.
    let sum = |kind: &str, query: &str| {
        class(
            &format!("{prefix}{kind}"),
            &format!("sum by ({label}) (\n{query}\n)"),
        )
    };
    [
        sum("bad", &pair.bad),
        sum("total", &pair.total),
        newest(&format!("{prefix}at"), &pair.total, label),
    ]
}

fn sample(
    role: Role,
    pod: &PodFacts,
    found: Option<&Found<'_>>,
    bounds: Option<&Bounds>,
) -> PodSample {
    PodSample {
        pod: pod.name.clone(),
        role,
        started_at: pod.started_at,
        ready_at: pod.ready_at,
        sampled_at: found.and_then(sampled_at),
        counters: found
            .map(|found| found.counts(role, bounds))
            .unwrap_or_default(),
    }
}

/// Something that counts and is no pod of the workload, such as a proxy. Nothing is known of its age: it has always been there.
fn unit_sample(prefix: &str, unit: &str, found: &Found<'_>) -> PodSample {
    let role = if prefix.is_empty() {
        Role::Canary
    } else {
        Role::Stable
    };
    PodSample {
        pod: format!("{prefix}{unit}"),
        role,
        started_at: Timestamp::UNIX_EPOCH,
        ready_at: Some(Timestamp::UNIX_EPOCH),
        sampled_at: sampled_at(found),
        counters: found.counts(role, None),
    }
}

fn sampled_at(found: &Found<'_>) -> Option<Timestamp> {
    time(found.at?)
}

#[cfg(test)]
mod tests;
