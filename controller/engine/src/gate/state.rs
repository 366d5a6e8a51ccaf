//! What the measurements of a gate add up to, kept in status.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::analysis::evidence::Evidence;

/// The lattice of verdicts. Only `Pass` passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Enough passing measurements in the present step, and the last one passed.
    Pass,
    /// More failed measurements than the limit allows.
    Fail,
    /// Not enough evidence yet.
    Continue,
    /// The query has no data.
    NoData,
    /// The provider fails.
    Error,
}

/// One gate's standing for the present candidate.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateState {
    /// Name of the gate.
    pub name: String,
    /// What the measurements so far add up to.
    pub verdict: Verdict,
    /// Passing measurements in the present step.
    pub passes: u32,
    /// Failed measurements in the candidate's life.
    pub failures: u32,
    /// Unknown (no data, error) measurements since the last known one.
    pub consecutive_unknown: u32,
    /// When the present run of unknown measurements began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown_since: Option<Timestamp>,
    /// When the newest counted measurement was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured_at: Option<Timestamp>,
    /// The newest measured number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// What the newest measurement says, in one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What a gate that compares has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What was found out about the series that it asks for, such as the label that has the pod's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Set while a gate holds changes because too little of the error budget is left. It must recover by more than what set this.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub budget_frozen: bool,
    /// Set on a gate whose verdict is shown and not acted on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}
