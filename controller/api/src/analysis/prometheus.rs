//! A gate's question to Prometheus.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// A PromQL query that gives one number, and the bounds it must keep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PrometheusGate {
    /// Base URL of the Prometheus to ask; the controller's own default when absent.
    #[schemars(length(max = 512), regex(pattern = "^https?://"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The query. It must give one number: a scalar, or one series.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// The bounds.
    pub threshold: Threshold,
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

const fn default_timeout() -> Duration {
    Duration::from_secs(10)
}
