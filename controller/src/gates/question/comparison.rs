//! What a comparing gate asks: which counters, of which pods.

use std::{collections::BTreeMap, time::Duration};

use belay_api::analysis::{
    GateSpec, PrometheusGate,
    arguments::{self, ArgumentError},
    prometheus::{self as api, Compare, CounterQueries, Latency, Tolerance},
};

use belay_engine::analysis::latency::Measure;

use super::Server;
use crate::gates::counters::{Counted, Counters, Pair};

/// Counters that are compared.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ComparisonQuestion {
    /// The Prometheus that is asked.
    pub(crate) server: Server,
    /// Time between two looks.
    pub(crate) interval: Duration,
    /// How long samples take to arrive.
    pub(crate) ingest_delay: Duration,
    /// What a pod counts this long after its first readiness is left out.
    pub(crate) warmup: Duration,
    /// Service whose pods are the baseline, with its holes; the stable pods when absent.
    service: Option<String>,
    /// The counters with their holes.
    counters: Counters,
}

impl ComparisonQuestion {
    /// The question of a gate that compares events.
    pub(super) fn events(gate: &GateSpec, prometheus: &PrometheusGate, compare: &Compare) -> Self {
        let own = Pair {
            bad: compare.bad.clone(),
            total: compare.total.clone(),
        };
        let baseline = compare.baseline.as_ref();
        let query = baseline.and_then(|baseline| baseline.query.as_ref());
        let counted = match query {
            Some(CounterQueries { bad, total }) => Counted::Sides {
                canary: own,
                baseline: Pair {
                    bad: bad.clone(),
                    total: total.clone(),
                },
            },
            None => Counted::Events(own),
        };
        Self::new(gate, prometheus, counted, baseline, &compare.tolerance)
    }

    /// The question of a gate that compares latencies.
    pub(super) fn latency(
        gate: &GateSpec,
        prometheus: &PrometheusGate,
        latency: &Latency,
    ) -> Result<Self, String> {
        let measure = match &latency.measure {
            api::LatencyMeasure {
                slower_than: Some(bound),
                ..
            } => Measure::SlowerThan(*bound),
            api::LatencyMeasure {
                max_growth: Some(growth),
                ..
            } => Measure::MaxGrowth(*growth),
            api::LatencyMeasure {
                every_bucket: Some(_),
                ..
            } => Measure::EveryBucket,
            _ => {
                let why =
                    "latency compares nothing: give measure slowerThan, everyBucket or maxGrowth";
                return Err(why.to_owned());
            }
        };
        let counted = Counted::Latency {
            histogram: latency.histogram.clone(),
            measure,
        };
        let baseline = latency.baseline.as_ref();
        Ok(Self::new(
            gate,
            prometheus,
            counted,
            baseline,
            &latency.tolerance,
        ))
    }

    fn new(
        gate: &GateSpec,
        prometheus: &PrometheusGate,
        counted: Counted,
        baseline: Option<&api::Baseline>,
        tolerance: &Tolerance,
    ) -> Self {
        let service = baseline.and_then(|baseline| baseline.service.as_ref());
        Self {
            server: Server::new(prometheus),
            interval: gate.interval.get(),
            ingest_delay: tolerance.ingest_delay.get(),
            warmup: tolerance.warmup.get(),
            service: service.map(|service| service.name.clone()),
            counters: Counters {
                pod_label: tolerance.pod_label.clone(),
                counted,
            },
        }
    }

    /// The queries, with their holes.
    pub(crate) fn queries(&self) -> Vec<&str> {
        match &self.counters.counted {
            Counted::Events(pair) => vec![&pair.bad, &pair.total],
            Counted::Sides { canary, baseline } => {
                vec![&canary.bad, &canary.total, &baseline.bad, &baseline.total]
            }
            Counted::Latency { histogram, .. } => vec![histogram],
        }
    }

    /// Every text that may have holes.
    pub(crate) fn texts(&self) -> Vec<&str> {
        let mut texts = vec![self.counters.pod_label.as_str()];
        texts.extend(self.service.as_deref());
        texts.extend(self.queries());
        texts
    }

    /// The counters with `values` in their holes.
    pub(crate) fn counters(&self, values: &BTreeMap<String, String>) -> Result<Counters, String> {
        let fill = |text: &str| arguments::fill(text, values).map_err(|error| error.to_string());
        let fill_pair = |pair: &Pair| {
            Ok::<_, String>(Pair {
                bad: fill(&pair.bad)?,
                total: fill(&pair.total)?,
            })
        };
        let pod_label = fill(&self.counters.pod_label)?;
        if !is_label(&pod_label) {
            return Err(format!(
                "podLabel {pod_label:?} is not the name of a label; write for example pod"
            ));
        }
        let counted = match &self.counters.counted {
            Counted::Events(pair) => Counted::Events(fill_pair(pair)?),
            Counted::Sides { canary, baseline } => Counted::Sides {
                canary: fill_pair(canary)?,
                baseline: fill_pair(baseline)?,
            },
            Counted::Latency { histogram, measure } => Counted::Latency {
                histogram: fill(histogram)?,
                measure: *measure,
            },
        };
        Ok(Counters { pod_label, counted })
    }

    /// The Service whose pods are the baseline, with `values` in its holes.
    pub(crate) fn service(
        &self,
        values: &BTreeMap<String, String>,
    ) -> Result<Option<String>, ArgumentError> {
        let service = self.service.as_ref();
        service
            .map(|name| arguments::fill(name, values))
            .transpose()
    }
}

fn is_label(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
