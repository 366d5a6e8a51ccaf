//! How fast a service spends its error budget, and how much of it a rollout may cost.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An objective, where its error ratio comes from, and what of its budget a rollout may spend. Exactly one of `errorRatio`,
/// `sloth` and `pyrra` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.errorRatio), has(self.sloth), has(self.pyrra)].exists_one(given, given)").message("give exactly one of errorRatio, sloth and pyrra"))]
#[serde(rename_all = "camelCase")]
pub struct BurnRate {
    /// Share of good events that is promised, in percent: 99.9.
    #[schemars(range(min = 0.000_001, max = 99.999_999))]
    pub objective_percent: f64,
    /// Days over which it is promised. Sloth and Pyrra name their rules by it.
    #[schemars(range(min = 1, max = 366))]
    #[serde(default = "defaults::period_days")]
    pub period_days: u32,
    /// Query for the share of bad events over a window: `{{window}}` stands where the window belongs, for example
    /// `sum(rate(http_requests_total{service="{{service}}",code=~"5.."}[{{window}}])) / sum(rate(http_requests_total{service="{{service}}"}[{{window}}]))`.
    #[schemars(length(min = 1, max = 4096))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_ratio: Option<String>,
    /// The recording rules of Sloth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sloth: Option<SlothObjective>,
    /// The recording rules of Pyrra.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pyrra: Option<PyrraObjective>,
    /// Query for the number of all events over a window, with `{{window}}` where it belongs, for example
    /// `sum(increase(http_requests_total{service="{{service}}"}[{{window}}]))`. With it, a window with few events fails only when the
    /// limit is surely exceeded, so that a single error at night is no burn. For `pyrra` its generic rules are asked when this is
    /// absent.
    #[schemars(length(min = 1, max = 4096))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<String>,
    /// Share of the whole period's budget that one rollout may spend, in percent.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default = "defaults::max_budget_percent")]
    pub max_budget_percent_per_rollout: f64,
    /// Share of the budget that must be left for a change to go forward, in percent. Once it is below, it must rise five points
    /// above before changes go forward again. A rollback never waits for it.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_remaining_percent: Option<f64>,
}

/// An objective of Sloth.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SlothObjective {
    /// Service that it is about.
    #[schemars(length(min = 1, max = 253))]
    pub service: String,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub slo: String,
}

/// An objective of Pyrra.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PyrraObjective {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub slo: String,
}

mod defaults {
    pub(super) const fn period_days() -> u32 {
        30
    }

    pub(super) const fn max_budget_percent() -> f64 {
        2.0
    }
}
