//! What is counted about questions to Prometheus servers.

use std::time::Duration;

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor as _},
        histogram::Histogram,
    },
    registry::Registry,
};

use super::http::Exchanged;
use crate::telemetry::metrics::ShortTimes;

/// What became of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Outcome {
    /// It was asked and answered.
    Answered,
    /// It was asked, and the answer was an error.
    Refused,
    /// It was asked, and there was no answer.
    Unreachable,
    /// It was not asked, for somebody else asked the same.
    Shared,
    /// It was not asked, for the server has too much to do.
    HeldBack,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    outcome: Outcome,
}

/// Counts questions. Clones count together.
#[derive(Clone, Debug)]
pub struct PrometheusMetrics {
    questions: Family<Labels, Counter>,
    seconds: Histogram,
}

impl PrometheusMetrics {
    /// Families that count, not registered yet.
    pub fn new() -> Self {
        Self {
            questions: Family::default(),
            seconds: ShortTimes.new_metric(),
        }
    }

    /// Registers everything; once in a process.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "prometheus_questions",
            "Questions of gates to Prometheus servers by what became of them; Shared and HeldBack ones were not sent",
            self.questions.clone(),
        );
        registry.register(
            "prometheus_question_seconds",
            "Time until a Prometheus server answered",
            self.seconds.clone(),
        );
    }

    pub(super) fn count(&self, outcome: Outcome) {
        self.questions.get_or_create(&Labels { outcome }).inc();
    }

    pub(super) fn took(&self, time: Duration) {
        self.seconds.observe(time.as_secs_f64());
    }
}

impl Default for PrometheusMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Outcome {
    pub(super) fn of(asked: &Exchanged) -> Self {
        match asked {
            Exchanged::Answer { outcome: Ok(_), .. } => Self::Answered,
            Exchanged::Answer { .. } => Self::Refused,
            Exchanged::Failed { .. } => Self::Unreachable,
        }
    }
}
