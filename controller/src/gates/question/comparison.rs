//! What a comparing gate asks: which counters, of which pods.

use std::{collections::BTreeMap, time::Duration};

use belay_api::analysis::{
    GateSpec, PrometheusGate,
    arguments::{self, ArgumentError},
    prometheus::{self as api, Compare, Tolerance},
};

use super::Server;
use crate::gates::counters::{Counters, Pair};

/// Counters that are compared.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct ComparisonQuestion {
    /// The Prometheus that is asked.
    pub(crate) server: Server,
    /// Time between two looks.
    pub(crate) interval: Duration,
    /// How long samples take to arrive.
    pub(crate) ingest_delay: Duration,
    /// What a pod counts this long after its first readiness is left out.
    pub(crate) warmup: Duration,
    /// What to compare with.
    pub(crate) baseline: Baseline,
    /// Label with the pod's name, with its holes.
    pod_label: String,
    /// The counters with their holes.
    queries: Pair,
}

/// What to compare with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Baseline {
    /// The pods of the stable version.
    StablePods,
    /// The pods of this Service (with its holes) but for the canary's.
    Service(String),
    /// Counters of their own, with their holes.
    Series(Pair),
}

impl ComparisonQuestion {
    pub(super) fn new(gate: &GateSpec, prometheus: &PrometheusGate, compare: &Compare) -> Self {
        let Tolerance {
            warmup,
            pod_label,
            ingest_delay,
            ..
        } = &compare.tolerance;
        Self {
            server: Server::new(prometheus),
            interval: gate.interval.get(),
            ingest_delay: ingest_delay.get(),
            warmup: warmup.get(),
            baseline: Baseline::new(compare.baseline.as_ref()),
            pod_label: pod_label.clone(),
            queries: Pair {
                bad: compare.bad.clone(),
                total: compare.total.clone(),
            },
        }
    }

    /// Every text that may have holes.
    pub(super) fn texts(&self) -> Vec<&str> {
        let mut texts = vec![
            self.pod_label.as_str(),
            &self.queries.bad,
            &self.queries.total,
        ];
        match &self.baseline {
            Baseline::StablePods => {}
            Baseline::Service(name) => texts.push(name),
            Baseline::Series(pair) => texts.extend([pair.bad.as_str(), &pair.total]),
        }
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
        let pod_label = fill(&self.pod_label)?;
        if !is_label(&pod_label) {
            return Err(format!(
                "podLabel {pod_label:?} is not the name of a label; write for example pod"
            ));
        }
        Ok(Counters {
            pod_label,
            queries: fill_pair(&self.queries)?,
            baseline: match &self.baseline {
                Baseline::Series(pair) => Some(fill_pair(pair)?),
                Baseline::StablePods | Baseline::Service(_) => None,
            },
        })
    }

    /// The Service whose pods are the baseline, with `values` in its holes.
    pub(crate) fn service(
        &self,
        values: &BTreeMap<String, String>,
    ) -> Result<Option<String>, ArgumentError> {
        match &self.baseline {
            Baseline::Service(name) => arguments::fill(name, values).map(Some),
            Baseline::StablePods | Baseline::Series(_) => Ok(None),
        }
    }
}

impl Baseline {
    fn new(baseline: Option<&api::Baseline>) -> Self {
        let service = baseline.and_then(|baseline| baseline.service.as_ref());
        let query = baseline.and_then(|baseline| baseline.query.as_ref());
        match (service, query) {
            (Some(service), _) => Self::Service(service.name.clone()),
            (None, Some(query)) => Self::Series(Pair {
                bad: query.bad.clone(),
                total: query.total.clone(),
            }),
            (None, None) => Self::StablePods,
        }
    }
}

fn is_label(name: &str) -> bool {
    let mut letters = name.chars();
    letters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}
