//! What a gate asks, as a question that a history has an answer to.

use belay_api::analysis::{
    budget::{Budget, Ratios},
    prometheus::{Baseline, CounterQueries, LatencyMeasure, PrometheusGate, Tolerance},
};
use belay_engine::{
    analysis::{latency::Measure, ledger::Rules, threshold::Bounds},
    gate::{GatePolicy, Mode},
};
use belay_promql::{Role, ScrapeInterval, Settings, lint};

use super::{error::SimulateError, input::Asked};

/// A sample this old counts as stale. The points of a history are never older than one step; pods without a sample are known as such.
const STALE_AFTER: std::time::Duration = std::time::Duration::from_mins(5);

/// What a gate asks, with its holes filled.
#[derive(Clone, Debug)]
pub(super) enum Question {
    /// A finished number.
    Number { query: String, bounds: Bounds },
    /// Raw counters of pods.
    Counters(Counting),
    /// Shares of bad events of a whole service.
    Budget(Budget, Ratios),
}

/// Raw counters of pods.
#[derive(Clone, Debug)]
pub(super) struct Counting {
    pub(super) kind: CounterKind,
    /// Label with the pod's name.
    pub(super) pod_label: String,
    pub(super) rules: Rules,
}

/// Which counters.
#[derive(Clone, Debug)]
pub(super) enum CounterKind {
    /// Events that count, and all events.
    Pair { bad: String, total: String },
    /// The same for both sides, which differ by their series and not by their pods.
    Sides {
        canary: CounterQueries,
        baseline: CounterQueries,
    },
    /// Events by how long they took.
    Histogram { buckets: String, measure: Measure },
}

/// The question, or why a history has no answer to it.
type Asking = Result<Question, String>;

impl Asked {
    /// The Prometheus that the gate names itself.
    pub(super) fn address(&self) -> Option<&str> {
        self.spec.prometheus.as_ref()?.address.as_deref()
    }

    /// The engine's rules for it.
    pub(super) fn policy(&self) -> GatePolicy {
        self.spec.policy(&self.template)
    }

    /// Whether it has a part of the rollout's false-rollback rate.
    pub(super) fn shares_rate(&self) -> bool {
        let policy = self.policy();
        policy.mode == Mode::Enforce && policy.method.comparison().is_some()
    }

    /// What it asks.
    pub(super) fn question(&self) -> Result<Asking, SimulateError> {
        let Some(prometheus) = &self.spec.prometheus else {
            return left_out(if self.spec.job.is_some() {
                "it runs a Job, and nobody knows what that would have met then"
            } else {
                "it sends an HTTP request, and nobody knows what it would have been answered then"
            });
        };
        if let (Some(query), Some(threshold)) = (&prometheus.query, &prometheus.threshold) {
            return Ok(Ok(Question::Number {
                query: self.fill(query)?,
                bounds: Bounds {
                    min: threshold.min,
                    max: threshold.max,
                },
            }));
        }
        self.counted(prometheus)
    }

    fn counted(&self, prometheus: &PrometheusGate) -> Result<Asking, SimulateError> {
        if let Some(compare) = &prometheus.compare {
            let (bad, total) = (self.fill(&compare.bad)?, self.fill(&compare.total)?);
            let kind = match own_counters(compare.baseline.as_ref()) {
                None => CounterKind::Pair { bad, total },
                Some(of) => CounterKind::Sides {
                    canary: CounterQueries { bad, total },
                    baseline: CounterQueries {
                        bad: self.fill(&of.bad)?,
                        total: self.fill(&of.total)?,
                    },
                },
            };
            return Ok(Ok(Question::Counters(
                self.counting(kind, &compare.tolerance)?,
            )));
        }
        if let Some(burn) = &prometheus.burn_rate {
            let question = Budget::new(burn).and_then(|budget| {
                let ratios = budget.ratios(self.values())?;
                Ok(Question::Budget(budget, ratios))
            });
            return question
                .map(Ok)
                .map_err(|why| SimulateError::Other(format!("gate {}: {why}", self.name)));
        }
        let Some(latency) = &prometheus.latency else {
            return left_out("it asks nothing");
        };
        if own_counters(latency.baseline.as_ref()).is_some() {
            return left_out("a latency can't be compared with counters of another query");
        }
        let LatencyMeasure {
            slower_than,
            max_growth,
            ..
        } = latency.measure;
        let measure = slower_than.map(Measure::SlowerThan);
        let measure = measure.or(max_growth.map(Measure::MaxGrowth));
        let kind = CounterKind::Histogram {
            buckets: self.fill(&latency.histogram)?,
            measure: measure.unwrap_or(Measure::EveryBucket),
        };
        Ok(Ok(Question::Counters(
            self.counting(kind, &latency.tolerance)?,
        )))
    }

    fn counting(
        &self,
        kind: CounterKind,
        tolerance: &Tolerance,
    ) -> Result<Counting, SimulateError> {
        Ok(Counting {
            kind,
            pod_label: self.fill(&tolerance.pod_label)?,
            rules: Rules {
                warmup: tolerance.warmup.get(),
                stale_after: STALE_AFTER,
            },
        })
    }

    /// What is doubtful in its queries.
    pub(super) fn doubts(&self, scrape_interval: ScrapeInterval) -> Vec<String> {
        let Ok(Ok(question)) = self.question() else {
            return Vec::new();
        };
        let (queries, pod_label) = match question {
            Question::Number { query, .. } => (vec![(Role::Threshold, query)], None),
            Question::Budget(budget, ratios) => {
                let ratio = ratios.over(budget.windows().short).into_iter();
                (ratio.map(|query| (Role::ErrorRatio, query)).collect(), None)
            }
            Question::Counters(Counting {
                kind, pod_label, ..
            }) => {
                let queries = match kind {
                    CounterKind::Pair { bad, total } => {
                        vec![(Role::Bad, bad), (Role::Total, total)]
                    }
                    CounterKind::Sides { canary, baseline } => vec![
                        (Role::Bad, canary.bad),
                        (Role::Total, canary.total),
                        (Role::Bad, baseline.bad),
                        (Role::Total, baseline.total),
                    ],
                    CounterKind::Histogram { buckets, .. } => vec![(Role::Histogram, buckets)],
                };
                (queries, Some(pod_label))
            }
        };
        let settings = Settings {
            scrape_interval,
            pod_label,
        };
        let findings = queries
            .iter()
            .flat_map(|(role, query)| lint(query, *role, &settings));
        findings
            .map(|finding| format!("gate {}: {}", self.name, finding.message))
            .collect()
    }
}

fn own_counters(baseline: Option<&Baseline>) -> Option<&CounterQueries> {
    baseline?.query.as_ref()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the result of `question`, which may fail otherwise"
)]
fn left_out(why: &str) -> Result<Asking, SimulateError> {
    Ok(Err(why.to_owned()))
}
