//! One gate as it is written in a template, and its translation into the engine's rules.

use belay_engine::gate::{GatePolicy, Method, Mode, Then, UnknownPolicy};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{http::HttpGate, job::JobGate, prometheus::PrometheusGate};
use crate::Duration;

/// One gate: a question to a provider, and how its answers count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.prometheus), has(self.http), has(self.job)].filter(given, given).size() == 1").message("say what the gate asks: give exactly one of prometheus, http and job"))]
#[serde(rename_all = "camelCase")]
pub struct GateSpec {
    /// Name, unique within the template.
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub name: String,
    /// A question to Prometheus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prometheus: Option<PrometheusGate>,
    /// An HTTP request, to the new version or to another vendor's query API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpGate>,
    /// A Job that must succeed, such as a smoke test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobGate>,
    /// Time between two measurements; at least one second.
    #[serde(default = "defaults::interval")]
    pub interval: Duration,
    /// Time from the readiness of the first canary pods to the first measurement: for caches to warm up.
    #[serde(default)]
    pub initial_delay: Duration,
    /// Passing measurements that each step needs.
    #[schemars(range(min = 1, max = 1000))]
    #[serde(default = "defaults::success_count")]
    pub success_count: u32,
    /// Failed measurements that are tolerated over the candidate's whole life; one more rejects it.
    #[schemars(range(max = 1000))]
    #[serde(default)]
    pub failure_limit: u32,
    /// What to do while the query has no data. It never counts as a pass or a failure.
    #[serde(default)]
    pub on_no_data: OnUnknown,
    /// What to do while the provider fails. It never counts as a pass or a failure.
    #[serde(default)]
    pub on_error: OnUnknown,
    /// Whether the verdict counts, or is only shown.
    #[serde(default)]
    pub mode: GateMode,
}

/// What to do while nothing is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct OnUnknown {
    /// What happens once both limits below are reached. Until then the change is held.
    pub then: UnknownAction,
    /// Unknown measurements in a row that must have been seen.
    #[schemars(range(min = 1, max = 1000))]
    pub consecutive_limit: u32,
    /// How long nothing must have been known without a break.
    pub deadline: Duration,
}

impl Default for OnUnknown {
    fn default() -> Self {
        Self {
            then: UnknownAction::Hold,
            consecutive_limit: 4,
            deadline: Duration::from_secs(600),
        }
    }
}

/// What happens when nothing has been known for too long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum UnknownAction {
    /// Go on holding, and say so.
    #[default]
    Hold,
    /// Roll back.
    RollBack,
}

/// Whether a gate's verdict counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum GateMode {
    /// It gates the change.
    #[default]
    Enforce,
    /// It is shown and never acted on.
    DryRun,
}

impl GateSpec {
    /// The engine's rules for this gate. `prefix` is the template's name: gates of two templates may share a name.
    pub fn policy(&self, prefix: &str) -> GatePolicy {
        GatePolicy {
            name: format!("{prefix}/{}", self.name),
            interval: self.interval.get().max(std::time::Duration::from_secs(1)),
            initial_delay: self.initial_delay.get(),
            success_count: self.success_count.max(1),
            failure_limit: self.failure_limit,
            on_no_data: self.on_no_data.policy(),
            on_error: self.on_error.policy(),
            mode: match self.mode {
                GateMode::Enforce => Mode::Enforce,
                GateMode::DryRun => Mode::DryRun,
            },
            method: self
                .prometheus
                .as_ref()
                .map_or(Method::Readings, PrometheusGate::method),
        }
    }
}

impl OnUnknown {
    fn policy(&self) -> UnknownPolicy {
        UnknownPolicy {
            then: match self.then {
                UnknownAction::Hold => Then::Hold,
                UnknownAction::RollBack => Then::RollBack,
            },
            consecutive_limit: self.consecutive_limit,
            deadline: self.deadline.get(),
        }
    }
}

mod defaults {
    use crate::Duration;

    pub(super) const fn interval() -> Duration {
        Duration::from_secs(10)
    }

    pub(super) const fn success_count() -> u32 {
        1
    }
}
