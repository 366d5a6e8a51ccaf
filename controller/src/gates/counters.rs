//! Raw counters of pods: the one query that asks for all of them, and the snapshot that the answer gives.
//!
//! Both sides of a comparison and both kinds of events are asked for in one query, so that they are of the same time and cost one
//! question. A label that Belay adds tells them apart.
//!
//! Invariant: a pod is on the side that the cluster says, never on one that a metric claims.

use std::collections::{BTreeMap, BTreeSet};

use belay_engine::analysis::{
    Count,
    ledger::{PodSample, Role, Snapshot},
};
use jiff::Timestamp;

use super::pods::PodFacts;
use crate::prometheus::{
    Data,
    data::{Sample, Series},
};

/// Label that tells the kinds of counters apart.
const CLASS: &str = "belay_class";

/// How far back a sample is looked for when counting is taken up again: a pod that was not scraped at that very time may have been
/// counted before. The step is the finest that a scrape makes sense of.
const LOOK_BACK: &str = "[10m:5s]";

/// Pods that a sentence names.
const NAMED: usize = 3;

/// What is asked for, with all holes filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Label with the pod's name.
    pub(crate) pod_label: String,
    /// Counters of the canary, and of the stable pods too unless `baseline` has its own.
    pub(crate) queries: Pair,
    /// Counters of the baseline, where the sides differ by their series and not by their pods.
    pub(crate) baseline: Option<Pair>,
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
#[derive(Clone, Copy, Debug, Default)]
struct Found {
    bad: f64,
    total: Option<f64>,
    at: Option<f64>,
}

impl Counters {
    /// The query for the present counters.
    pub(crate) fn query(&self) -> String {
        let label = &self.pod_label;
        let own = classes("", &self.queries, label);
        let other = self
            .baseline
            .iter()
            .flat_map(|pair| classes("baseline_", pair, label));
        own.into_iter()
            .chain(other)
            .collect::<Vec<_>>()
            .join(" or ")
    }

    /// The query for the last counters that were there, which takes up the counting again.
    pub(crate) fn query_last_known(&self) -> String {
        let present = self.query();
        format!("({present}) or last_over_time(({present}){LOOK_BACK})")
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
        let found = self.found(series)?;
        let pods: Vec<PodSample> = if self.baseline.is_some() {
            found
                .iter()
                .map(|((prefix, unit), found)| unit_sample(prefix, unit, *found))
                .collect()
        } else {
            let of = |pod: &PodFacts| found.get(&("", pod.name.as_str())).copied();
            let samples: Vec<PodSample> = pods
                .iter()
                .map(|(role, pod)| sample(*role, pod, of(pod)))
                .collect();
            if samples.iter().all(|pod| pod.sampled_at.is_none()) && !pods.is_empty() {
                return Err(self.strangers(&found));
            }
            samples
        };
        Ok(Snapshot { at, pods })
    }

    /// Counters by side prefix and by the value of the pod label.
    fn found<'a>(
        &self,
        series: &'a [Series],
    ) -> Result<BTreeMap<(&'static str, &'a str), Found>, Unusable> {
        let mut found: BTreeMap<_, Found> = BTreeMap::new();
        let mut nameless = false;
        for one in series {
            let class = one.metric.get(CLASS).map_or("", String::as_str);
            let Some(Sample(_, value)) = one.value else {
                let why = "the counters are native histograms; compare those with latency";
                return Err(Unusable::Wrong(why.to_owned()));
            };
            let Some(pod) = one.metric.get(&self.pod_label) else {
                nameless = true;
                continue;
            };
            let (prefix, kind) = match class.strip_prefix("baseline_") {
                Some(kind) => ("baseline ", kind),
                None => ("", class),
            };
            let counters = found.entry((prefix, pod.as_str())).or_default();
            match kind {
                "bad" => counters.bad = value,
                "total" => counters.total = Some(value),
                _ => counters.at = Some(value),
            }
        }
        found.retain(|_, found| found.total.is_some());
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
    fn strangers(&self, found: &BTreeMap<(&'static str, &str), Found>) -> Unusable {
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

/// The three parts of a query: both counters, and the time of their newest sample.
fn classes(prefix: &str, pair: &Pair, label: &str) -> [String; 3] {
    let class = |kind: &str, query: String| {
        format!("label_replace({query}, \"{CLASS}\", \"{prefix}{kind}\", \"\", \"\")")
    };
    let (bad, total) = (&pair.bad, &pair.total);
    // The line breaks end a comment in what people wrote.
    [
        class("bad", format!("sum by ({label}) (\n{bad}\n)")),
        class("total", format!("sum by ({label}) (\n{total}\n)")),
        class("at", format!("max by ({label}) (timestamp(\n{total}\n))")),
    ]
}

fn sample(role: Role, pod: &PodFacts, found: Option<Found>) -> PodSample {
    PodSample {
        pod: pod.name.clone(),
        role,
        started_at: pod.started_at,
        ready_at: pod.ready_at,
        sampled_at: found.and_then(sampled_at),
        counters: found.map(counts).unwrap_or_default(),
    }
}

/// Something that counts and is no pod of the workload, such as a proxy. Nothing is known of its age: it has always been there.
fn unit_sample(prefix: &str, unit: &str, found: Found) -> PodSample {
    PodSample {
        pod: format!("{prefix}{unit}"),
        role: if prefix.is_empty() {
            Role::Canary
        } else {
            Role::Stable
        },
        started_at: Timestamp::UNIX_EPOCH,
        ready_at: Some(Timestamp::UNIX_EPOCH),
        sampled_at: sampled_at(found),
        counters: counts(found),
    }
}

fn counts(found: Found) -> Vec<Count> {
    vec![Count::new(found.bad, found.total.unwrap_or_default())]
}

fn sampled_at(found: Found) -> Option<Timestamp> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "Prometheus keeps whole milliseconds; a number out of range becomes the nearest one, which is then no time"
    )]
    let milliseconds = (found.at? * 1000.0).round() as i64;
    Timestamp::from_millisecond(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn time(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn counters() -> Counters {
        Counters {
            pod_label: "pod".to_owned(),
            queries: Pair {
                bad: "r{code=~\"5..\"}".to_owned(),
                total: "r # all".to_owned(),
            },
            baseline: None,
        }
    }

    fn pod(name: &str, role: Role) -> Sided {
        let facts = PodFacts {
            name: name.to_owned(),
            hash: None,
            started_at: time(10),
            ready_at: Some(time(20)),
        };
        (role, facts)
    }

    /// Rows of class, pod and number.
    fn vector(rows: &[(&str, Option<&str>, &str)]) -> Data {
        let result: Vec<_> = rows
            .iter()
            .map(|(class, pod, value)| {
                let mut metric = json!({CLASS: class});
                if let Some(pod) = pod {
                    metric["pod"] = json!(pod);
                }
                json!({"metric": metric, "value": [100, value]})
            })
            .collect();
        serde_json::from_value(json!({"resultType": "vector", "result": result})).unwrap()
    }

    #[test]
    fn one_query_asks_for_everything() {
        let query = counters().query();
        for part in [
            "sum by (pod) (\nr{code=~\"5..\"}\n)",
            "\"belay_class\", \"total\"",
            "max by (pod) (timestamp(\nr # all\n))",
        ] {
            assert!(query.contains(part), "{query}");
        }
        assert_eq!(query.matches(" or ").count(), 2);
    }

    #[test]
    fn a_pod_without_bad_events_has_none_and_one_without_counters_is_there_all_the_same() {
        let data = vector(&[
            ("total", Some("a"), "100"),
            ("at", Some("a"), "95.5"),
            ("bad", Some("b"), "3"),
            ("total", Some("b"), "50"),
            ("at", Some("b"), "96"),
            ("total", Some("stranger"), "1000"),
        ]);
        let pods = [
            pod("a", Role::Stable),
            pod("b", Role::Canary),
            pod("c", Role::Canary),
        ];
        let snapshot = counters().snapshot(&data, time(100), &pods).unwrap();
        let seen: Vec<_> = snapshot
            .pods
            .iter()
            .map(|pod| (pod.pod.as_str(), pod.counters.clone(), pod.sampled_at))
            .collect();
        let at = |millisecond| Some(Timestamp::from_millisecond(millisecond).unwrap());
        assert_eq!(
            seen,
            [
                ("a", vec![Count::new(0.0, 100.0)], at(95_500)),
                ("b", vec![Count::new(3.0, 50.0)], at(96_000)),
                ("c", vec![], None),
            ]
        );
    }

    #[test]
    fn what_can_not_be_counted_is_told() {
        let pods = [pod("a", Role::Stable)];
        let of = |data: &Data| counters().snapshot(data, time(100), &pods).unwrap_err();
        assert_eq!(of(&vector(&[])), Unusable::Empty);
        let Unusable::Wrong(why) = of(&vector(&[("total", None, "5")])) else {
            panic!("there was something");
        };
        assert!(why.contains("no label \"pod\""), "{why}");
        let Unusable::Wrong(why) = of(&vector(&[("total", Some("x"), "5")])) else {
            panic!("there was something");
        };
        assert!(why.contains("1 others (x)"), "{why}");
    }

    #[test]
    fn proxies_stand_for_themselves_on_both_sides() {
        let counters = Counters {
            baseline: Some(counters().queries),
            ..counters()
        };
        let data = vector(&[
            ("total", Some("proxy"), "5"),
            ("at", Some("proxy"), "99"),
            ("baseline_total", Some("proxy"), "500"),
            ("baseline_at", Some("proxy"), "99"),
        ]);
        let snapshot = counters.snapshot(&data, time(100), &[]).unwrap();
        let sides: Vec<_> = snapshot
            .pods
            .iter()
            .map(|p| (p.pod.as_str(), p.role))
            .collect();
        assert_eq!(
            sides,
            [("proxy", Role::Canary), ("baseline proxy", Role::Stable)]
        );
    }
}
