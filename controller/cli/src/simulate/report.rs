//! What a simulation found, for people and programs.

use jiff::Timestamp;
use serde::Serialize;

use super::{
    interval::Share,
    past::{Happened, Judged},
};

/// Everything that was found.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    /// Whose gates.
    pub(super) subject: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) step_seconds: f64,
    /// What the random numbers began with.
    pub(super) seed: u64,
    /// Questions to Prometheus, and those that were answered from the cache.
    pub(super) asked: usize,
    pub(super) cached: usize,
    pub(super) windows: WindowsReport,
    pub(super) gates: Vec<GateReport>,
    /// Windows without any change in which at least one gate would have rolled back.
    pub(super) false_alarms: Share,
    pub(super) past: Vec<PastReport>,
    /// Gates that can't be replayed, and why.
    pub(super) left_out: Vec<LeftOut>,
    pub(super) limits: Vec<Limit>,
    pub(super) warnings: Vec<String>,
}

/// The windows without any change.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WindowsReport {
    pub(super) seconds: f64,
    pub(super) every_seconds: f64,
    pub(super) canary_share_percent: f64,
    pub(super) number: usize,
    pub(super) effective: f64,
    pub(super) with_rollout: usize,
    pub(super) too_few_pods: usize,
}

/// What one gate did.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct GateReport {
    pub(super) name: String,
    /// What it asks, in a few words.
    pub(super) method: String,
    /// Whether its verdict counts.
    pub(super) enforced: bool,
    pub(super) series: usize,
    pub(super) pods: Option<usize>,
    pub(super) requests_per_second: Option<f64>,
    /// Share of counted events in the windows.
    pub(super) usual_share: Option<f64>,
    /// How much they came in clumps on the pods that did not play the canary: 1 when each stood alone.
    pub(super) dispersion: Option<f64>,
    pub(super) no_data_seconds: f64,
    pub(super) false_alarms: Share,
    /// When they would have been; at most twenty.
    pub(super) alarms_at: Vec<Timestamp>,
    /// Windows in which it passed.
    pub(super) passed: Share,
    pub(super) fixed: Vec<FixedReport>,
    pub(super) faults: Vec<FaultReport>,
    pub(super) suggestion: Option<Suggestion>,
    /// Share of counted events (or the number itself) over the time of the history.
    pub(super) course: Vec<Option<f64>>,
    pub(super) warnings: Vec<String>,
}

/// What a fixed rule would have done.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FixedReport {
    pub(super) rule: String,
    pub(super) false_alarms: Share,
}

/// What came of the faults of one size.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FaultReport {
    pub(super) size: f64,
    /// The share of counted events on the canary that it makes.
    pub(super) bad_share: Option<f64>,
    pub(super) found: Share,
    pub(super) delay_seconds: Middle,
    /// What theory says of the middle of the delays, with this traffic.
    pub(super) planned_seconds: Option<f64>,
    /// Requests spoilt until it was found, or until the window's end.
    pub(super) harmed: Middle,
    pub(super) fixed: Vec<FixedFound>,
}

/// How a fixed rule fared with faults of one size.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FixedFound {
    pub(super) rule: String,
    pub(super) found: Share,
    pub(super) delay_seconds: Middle,
}

/// The middle of some values, and what 95 in 100 of them don't pass.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Middle {
    pub(super) p50: Option<f64>,
    pub(super) p95: Option<f64>,
}

/// A setting that fits this history.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Suggestion {
    /// The smallest tolerance whose false alarms are within the gate's own false-rollback rate.
    pub(super) max_relative_increase: f64,
    /// The tolerance now.
    pub(super) present: f64,
    pub(super) false_alarms: Share,
    /// Whether even the upper end of the interval is within the rate.
    pub(super) shown: bool,
}

/// A rollout that happened, under the gates.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PastReport {
    pub(super) version: String,
    pub(super) started: Timestamp,
    pub(super) lasted_seconds: f64,
    pub(super) happened: Happened,
    pub(super) judged: Option<Judged>,
    /// The first gate that would have rolled it back.
    pub(super) rolled_back: Option<RolledBack>,
    pub(super) verdicts: Vec<PastVerdict>,
    pub(super) fixed: Vec<FixedPast>,
}

/// A rollback that would have been.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct RolledBack {
    pub(super) gate: String,
    pub(super) at: Timestamp,
    pub(super) after_seconds: f64,
}

/// What one gate made of a rollout that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PastVerdict {
    pub(super) gate: String,
    pub(super) verdict: belay_engine::gate::Verdict,
    pub(super) failed_after_seconds: Option<f64>,
    pub(super) passed_after_seconds: Option<f64>,
    pub(super) ratio: Option<f64>,
    pub(super) log_evidence: Option<f64>,
    pub(super) looks: usize,
    pub(super) message: Option<String>,
}

/// What a fixed rule would have made of a rollout that happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FixedPast {
    pub(super) rule: String,
    pub(super) failed_after_seconds: Option<f64>,
}

/// A gate that can't be replayed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct LeftOut {
    pub(super) gate: String,
    pub(super) why: String,
}

/// A limit of the command line.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limit {
    /// What is limited.
    pub(super) name: String,
    pub(super) most: f64,
    pub(super) found: Share,
    pub(super) holds: bool,
}

impl Limit {
    /// Nothing counted shows nothing, so it does not hold.
    pub(super) fn new(name: String, most: f64, found: Share) -> Self {
        Self {
            name,
            most,
            found,
            holds: found.of > 0 && found.value <= most,
        }
    }
}

impl Report {
    /// Whether every limit holds.
    pub(super) fn holds(&self) -> bool {
        self.limits.iter().all(|limit| limit.holds)
    }
}
