//! Comparing latencies of the canary with those of the stable pods, by the counters of a histogram.

use belay_engine::analysis::{Real, evidence::Policy};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Baseline, Direction, Tolerance};

/// A histogram of pods, and how much slower than the baseline the canary may be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.baseline) || !has(self.baseline.query)").message("a baseline of latency has no query: the histogram is that of both sides"))]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Raw histogram: the `_bucket` series of a classic one, for example
    /// `http_request_duration_seconds_bucket{service="{{service}}"}`, or a native one by its own name. Its series carry the pod's
    /// name.
    #[schemars(length(min = 1, max = 4096))]
    pub histogram: String,
    /// What is compared.
    pub measure: LatencyMeasure,
    /// What to compare with; the pods of the stable version when absent. Not with `query`: name the histogram of both here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What is tolerated, and how sure Belay has to be.
    #[serde(flatten)]
    pub tolerance: Tolerance,
}

impl Latency {
    /// The engine's rules.
    pub fn policy(&self) -> Policy {
        let mut policy = self.tolerance.policy(Direction::Increase);
        if self.measure.max_growth.is_some() {
            // What is tolerated is in the bounds already, which lie further out for the canary.
            policy.max_relative_change = Real::ZERO;
        }
        policy
    }
}

/// What of a histogram is compared. Exactly one is given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.slowerThan), has(self.everyBucket), has(self.maxGrowth)].exists_one(given, given)").message("give exactly one of slowerThan, everyBucket and maxGrowth"))]
#[serde(rename_all = "camelCase")]
pub struct LatencyMeasure {
    /// How many requests take longer than this, in the histogram's unit (most often seconds). For a classic histogram it is one of
    /// its bounds.
    #[schemars(range(min = 0))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slower_than: Option<f64>,
    /// How many requests take longer than each of the bounds, all bounds together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_bucket: Option<EveryBucket>,
    /// No quantile may be longer by more than this share: 0.1 for a tenth. Interpolated for classic histograms; for native ones
    /// taken as the nearest whole number of buckets. `maxRelativeIncrease` is not used beside it.
    #[schemars(range(min = 0, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_growth: Option<f64>,
}

/// All bounds of a histogram.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct EveryBucket {}
