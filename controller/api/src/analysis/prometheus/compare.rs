//! Comparing counted events of the canary with those of pods that serve the same kind of traffic at the same time.

use belay_engine::analysis::{
    Real,
    dispersion::Spread,
    evidence::{self, Dispersion, Policy},
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// Raw counters of pods, and how much worse than the baseline's the canary's may be. Belay takes the differences itself, per pod:
/// no `rate()` and no `increase()`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compare {
    /// Raw counter of the events that count: failed requests, for example `http_requests_total{service="{{service}}",code=~"5.."}`.
    /// Its series carry the pod's name. No series of it at all means no such events, if `total` has series.
    #[schemars(length(min = 1, max = 4096))]
    pub bad: String,
    /// Raw counter of all events, those of `bad` among them, for example `http_requests_total{service="{{service}}"}`.
    #[schemars(length(min = 1, max = 4096))]
    pub total: String,
    /// Which way is worse.
    #[serde(default)]
    pub direction: Direction,
    /// What to compare with; the pods of the stable version when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// What is tolerated, and how sure Belay has to be.
    #[serde(flatten)]
    pub tolerance: Tolerance,
}

/// Which way is worse.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Direction {
    /// Events of `bad` are bad, and more of them are worse.
    #[default]
    Increase,
    /// Events of `bad` are good, such as orders or conversions, and fewer of them are worse.
    Decrease,
}

/// What the canary is compared with. Exactly one is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.service) != has(self.query)").message("give exactly one of service and query; leave out baseline for the stable pods"))]
#[serde(rename_all = "camelCase")]
pub struct Baseline {
    /// Pods of a Service of the same namespace, without those of the canary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceBaseline>,
    /// Counters of their own, for metrics that proxies count: `bad` and `total` beside it are then the canary's, whichever pod
    /// tells them, and these the baseline's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<CounterQueries>,
}

/// The pods of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceBaseline {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Raw counters of the baseline.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CounterQueries {
    /// Raw counter of the events that count.
    #[schemars(length(min = 1, max = 4096))]
    pub bad: String,
    /// Raw counter of all events.
    #[schemars(length(min = 1, max = 4096))]
    pub total: String,
}

/// What a comparison tolerates, and how sure it has to be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Tolerance {
    /// By how much the canary's rate may be worse than the baseline's: 0.2 tolerates a fifth more (or fewer, with `direction:
    /// Decrease`).
    #[schemars(range(min = 0, max = 100))]
    pub max_relative_increase: f64,
    /// A rate of bad events up to this is no reason to roll back, however it compares; 0 for none.
    #[schemars(range(min = 0, max = 1))]
    pub min_absolute: f64,
    /// Probability that a canary within tolerance is rolled back, over the whole rollout and however often it is looked at. All
    /// comparing gates of a rollout share the smallest of theirs.
    #[schemars(range(min = 0.000_001, max = 0.5))]
    pub false_rollback_rate: f64,
    /// Probability that a canary as bad as `unacceptableRatio` is taken for good.
    #[schemars(range(min = 0.000_001, max = 0.5))]
    pub miss_rate: f64,
    /// How many times the baseline's rate is certainly too much.
    #[schemars(range(min = 1.01, max = 1000))]
    pub unacceptable_ratio: f64,
    /// What a pod counts this long after it is ready is left out: caches fill, connections are made.
    pub warmup: Duration,
    /// Requests that the canary must have served in each step before the gate can pass.
    #[schemars(range(max = 1_000_000_000))]
    pub min_requests: u32,
    /// What a step does when the canary is neither shown to be bad nor shown to be good.
    pub on_inconclusive: OnInconclusive,
    /// How much bad events come in clumps: 1 when each stands alone, up to 20. Estimated from the stable pods when absent.
    #[schemars(range(min = 1, max = 20))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispersion: Option<f64>,
    /// Label with the pod's name.
    #[schemars(length(min = 1, max = 128))]
    pub pod_label: String,
    /// How long a sample may take from the pod to the answers of Prometheus. Counters are asked for as they were this long ago.
    /// Samples that take longer are counted all the same, except across a restart of Belay.
    pub ingest_delay: Duration,
}

impl Default for Tolerance {
    fn default() -> Self {
        Self {
            max_relative_increase: 0.2,
            min_absolute: 0.001,
            false_rollback_rate: 0.01,
            miss_rate: 0.05,
            unacceptable_ratio: 2.0,
            warmup: Duration::from_secs(30),
            min_requests: 0,
            on_inconclusive: OnInconclusive::Advance,
            dispersion: None,
            pod_label: "pod".to_owned(),
            ingest_delay: Duration::from_secs(2),
        }
    }
}

/// What a step does when the canary is neither shown to be bad nor shown to be good.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnInconclusive {
    /// It goes on when its own time is over and `minRequests` were served.
    #[default]
    Advance,
    /// It waits until the canary is shown to be good.
    Hold,
    /// It waits, and the rollout goes back when its progress deadline is over; in a step that ends by evidence, with the step's own time.
    RollBack,
}

impl Tolerance {
    /// The engine's rules.
    pub fn policy(&self, direction: Direction) -> Policy {
        Policy {
            direction: match direction {
                Direction::Increase => evidence::Direction::Increase,
                Direction::Decrease => evidence::Direction::Decrease,
            },
            max_relative_change: Real::new(self.max_relative_increase),
            min_absolute: Real::new(self.min_absolute),
            false_rollback_rate: Real::new(self.false_rollback_rate),
            miss_rate: Real::new(self.miss_rate),
            unacceptable_ratio: Real::new(self.unacceptable_ratio),
            min_requests: self.min_requests,
            on_inconclusive: match self.on_inconclusive {
                OnInconclusive::Advance => evidence::OnInconclusive::Advance,
                OnInconclusive::Hold => evidence::OnInconclusive::Hold,
                OnInconclusive::RollBack => evidence::OnInconclusive::RollBack,
            },
            dispersion: self.dispersion.map_or(
                Dispersion::Auto {
                    before: Spread::default(),
                },
                |value| Dispersion::Fixed(Real::new(value)),
            ),
        }
    }
}
