//! A gate's question to Prometheus: one number against a bound, counted events compared with the stable version's, latencies
//! compared likewise, or the burn rate of an error budget.

pub mod burn_rate;
pub mod compare;
pub mod latency;

use belay_engine::gate::Method;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::http::{HttpAuth, HttpHeader, HttpTls};
use crate::Duration;
pub use burn_rate::{BurnRate, PyrraObjective, SlothObjective};
pub use compare::{
    Baseline, Compare, CounterQueries, Direction, OnInconclusive, ServiceBaseline, Tolerance,
};
pub use latency::{Latency, LatencyMeasure};

/// A question to Prometheus. Exactly one of `query`, `compare`, `latency` and `burnRate` is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.query), has(self.compare), has(self.latency), has(self.burnRate)].exists_one(given, given)").message("give exactly one of query, compare, latency and burnRate"))]
#[x_kube(validation = Rule::new("has(self.query) == has(self.threshold)").message("query and threshold belong together: give both or neither"))]
#[serde(rename_all = "camelCase")]
pub struct PrometheusGate {
    /// Base URL of the Prometheus to ask; the controller's own default when absent. Link-local and cloud metadata addresses are
    /// refused, and loopback unless the controller allows it.
    #[schemars(length(max = 512), regex(pattern = "^https?://"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Credentials for the `Authorization` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<HttpAuth>,
    /// Further headers, such as `X-Scope-OrgID` for the tenant of a Mimir.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HttpHeader>,
    /// Whom to trust and who to be, for `https`. Certificates are always checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<HttpTls>,
    /// A query that gives one number: a scalar, or one series.
    #[schemars(length(min = 1, max = 4096))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The bounds of that number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<Threshold>,
    /// Counted events of the canary against those of the stable pods, with a stated probability of false rollbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compare: Option<Compare>,
    /// Latencies of the canary against those of the stable pods, with a stated probability of false rollbacks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// How fast the service spends its error budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burn_rate: Option<BurnRate>,
    /// Longest time that one query may take.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
}

/// Bounds of a number; both ends belong to the good side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.min) || has(self.max)").message("give min, max or both; a gate without a bound would always pass"))]
#[x_kube(validation = Rule::new("!has(self.min) || !has(self.max) || self.min <= self.max").message("min is above max, so no number could pass; swap them"))]
#[serde(rename_all = "camelCase")]
pub struct Threshold {
    /// The number must not be below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The number must not be above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

impl PrometheusGate {
    /// How the engine comes to a verdict.
    pub fn method(&self) -> Method {
        if let Some(compare) = &self.compare {
            return Method::Compare(compare.tolerance.policy(compare.direction));
        }
        match &self.latency {
            Some(latency) => Method::Compare(latency.policy()),
            None => Method::Readings,
        }
    }
}

const fn default_timeout() -> Duration {
    Duration::from_secs(10)
}
