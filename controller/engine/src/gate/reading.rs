//! One measurement of one gate, judged on its own.

use jiff::Timestamp;

use crate::analysis::ledger::{Observation, Tick};

/// What one measurement says.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Result {
    /// The bound holds.
    Pass {
        /// The measured number as text.
        value: String,
    },
    /// The bound is broken.
    Fail {
        /// The measured number as text.
        value: String,
        /// The broken bound, in one sentence.
        why: String,
    },
    /// Neither yet: the method needs more evidence.
    Continue {
        /// What is missing.
        why: String,
    },
    /// Too little of the error budget is left: the change is held until it has recovered by more than what froze it.
    Frozen {
        /// How much is left and how much is needed.
        why: String,
    },
    /// Events that were counted since the last look, for a gate that compares.
    Counted(Tick),
    /// For a gate that compares: there was no scrape since the last look, so nothing has changed.
    Unchanged,
    /// There are no stable pods to compare with.
    NoBaseline,
    /// The query worked and had nothing to say.
    NoData {
        /// What was empty, and what to check.
        why: String,
    },
    /// The provider could not be asked, or its answer could not be used.
    Error {
        /// What went wrong, without secrets.
        why: String,
    },
}

/// One measurement.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reading {
    /// Name of the gate.
    pub gate: String,
    /// When the measurement was taken. Readings of one gate have rising times.
    pub at: Timestamp,
    /// What it says.
    pub result: Result,
    /// What was found out about the series that it asks for, in one sentence, where that is not written in the gate itself.
    pub found: Option<String>,
}

impl Reading {
    /// A measurement of `gate` about which nothing had to be found out.
    pub fn new(gate: &str, at: Timestamp, result: Result) -> Self {
        Self {
            gate: gate.to_owned(),
            at,
            result,
            found: None,
        }
    }
}

impl From<Observation> for Result {
    fn from(observation: Observation) -> Self {
        match observation {
            Observation::Baseline => Self::Continue {
                why: "counting begins".to_owned(),
            },
            Observation::Tick(tick) => Self::Counted(tick),
            Observation::Unchanged => Self::Unchanged,
            Observation::NoBaseline => Self::NoBaseline,
            Observation::NoData { why } => Self::NoData { why },
        }
    }
}
