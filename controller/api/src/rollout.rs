//! `Rollout`: how one workload moves from its verified version to a new one.

mod config;
pub mod plan;
mod strategy;
pub mod traffic;

use belay_engine::rollout::RolloutStatus;
pub use belay_engine::rollout::observed::Kind as WorkloadKind;
use k8s_openapi::apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, analysis::GateRef};
pub use config::{ConfigMaps, Configuration, Secrets};
pub use strategy::{AbTest, BlueGreen, Preview, Strategy};
pub use traffic::{Affinity, Cohort, Condition, RouteRef, Traffic};

/// How one workload moves from its verified version to a new one: in steps, gated by metrics, with rollback.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "belay.dev",
    version = "v1alpha1",
    kind = "Rollout",
    namespaced,
    status = "RolloutStatus",
    shortname = "bro",
    category = "belay",
    validation = Rule::new("self.metadata.name.size() <= 63").message("a Rollout's name is put on its workload as a label, and so has at most 63 characters"),
    validation = Rule::new("has(self.spec.traffic) || !has(self.spec.strategy.canary) || self.spec.strategy.canary.steps.all(step, has(step.weight) != has(step.replicas))").message("without traffic, give each step exactly one of weight (share of requests) and replicas (number of pods)"),
    validation = Rule::new("has(self.spec.traffic) || !has(self.spec.strategy.canary) || self.spec.strategy.canary.steps.all(step, !has(step.weight) || step.weight <= 50)").message("a weight above 50 without a router would take more pods than the workload has; name a router in traffic, or say replicas, for example 60%"),
    validation = Rule::new("has(self.spec.traffic) || !has(self.spec.strategy.canary) || self.spec.strategy.canary.steps.all(step, !has(step.match) && !has(step.mirror))").message("only a router can tell requests apart or copy them; name one in traffic"),
    validation = Rule::new("!has(self.spec.traffic) || !has(self.spec.strategy.canary) || self.spec.strategy.canary.steps.all(step, has(step.weight) || has(step.match) || has(step.mirror))").message("with traffic, give each step a weight, a match or a mirror; replicas may be given beside them"),
    validation = Rule::new("has(self.spec.traffic) && has(self.spec.traffic.routes) || !has(self.spec.strategy.ab)").message("ab tells requests apart by routes: name them in traffic"),
    validation = Rule::new("has(self.spec.traffic) || !has(self.spec.strategy.blueGreen)").message("blueGreen switches routes, or a Service: name it in traffic"),
    validation = Rule::new("!has(self.spec.traffic) || has(self.spec.traffic.routes) || !has(self.spec.strategy.canary)").message("a Service alone can't be shared by weight: name routes in traffic, or use blueGreen, which switches the Service"),
    validation = Rule::new("!has(self.spec.workloadRef.kind) || self.spec.workloadRef.kind != 'StatefulSet' || (!has(self.spec.strategy.ab) && !has(self.spec.strategy.blueGreen))").message("blueGreen and ab need all pods of two versions beside each other, and only a Deployment has them: a StatefulSet's new version takes the places of its pods, so use canary, with traffic or without"),
    validation = Rule::new("!has(self.spec.workloadRef.kind) || self.spec.workloadRef.kind != 'DaemonSet' || (!has(self.spec.traffic) && !has(self.spec.strategy.blueGreen) && !has(self.spec.strategy.ab))").message("traffic, blueGreen and ab need two versions beside each other for every client, and a DaemonSet has one pod on each node: leave traffic out, use canary, and let its steps say how many nodes"),
    validation = Rule::new("!has(self.spec.strategy.canary) || !has(self.spec.strategy.canary.firstNodes) || (has(self.spec.workloadRef.kind) && self.spec.workloadRef.kind == 'DaemonSet')").message("only a DaemonSet goes from node to node: leave canary.firstNodes out"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Step", type_ = "string", json_path = ".status.stepText"),
    printcolumn(
        name = "Weight",
        type_ = "integer",
        json_path = ".status.weightPercent",
        description = "share of the candidate in percent"
    ),
    printcolumn(name = "Verdict", type_ = "string", json_path = ".status.verdict"),
    printcolumn(
        name = "Stable",
        type_ = "string",
        json_path = ".status.stable.version"
    ),
    printcolumn(
        name = "Candidate",
        type_ = "string",
        json_path = ".status.candidate.version"
    ),
    printcolumn(
        name = "Waiting for",
        type_ = "string",
        json_path = ".status.waitingFor.message"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct RolloutSpec {
    /// The workload, in the namespace of the Rollout.
    #[x_kube(validation = Rule::new("self == oldSelf").message("workloadRef can't be changed: delete this Rollout (its workload runs on untouched) and make a new one"))]
    pub workload_ref: WorkloadRef,
    /// How the new version gets its share.
    pub strategy: Strategy,
    /// Who leads the requests. Without it, the share of requests is the share of pods behind the workload's own Service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// What must hold for the new version to go on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification: Option<Verification>,
    /// Which configuration goes with the version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Configuration>,
    /// How long the pods of a step, and of the final rolling update, may take to become ready.
    #[serde(default = "defaults::progress_deadline")]
    pub progress_deadline: Duration,
}

/// A workload that can be governed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRef {
    /// API version of the workload.
    #[serde(default)]
    pub api_version: WorkloadApiVersion,
    /// Kind of the workload.
    #[serde(default)]
    pub kind: WorkloadKind,
    /// Name of the workload.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// API versions of workloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum WorkloadApiVersion {
    /// The `apps` group.
    #[default]
    #[serde(rename = "apps/v1")]
    AppsV1,
}

/// A rising share, step by step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Canary {
    /// The steps, in order. After the last one the candidate is promoted.
    #[schemars(length(min = 1, max = 30))]
    pub steps: Vec<Step>,
    /// Of a DaemonSet: nodes that get the new version first, by their labels. The steps say how many nodes; once these have it, the
    /// others follow in the order of their names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_nodes: Option<LabelSelector>,
}

/// One step: a share, and what must be true before the next one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Share of requests in percent. With `traffic` the routes give it; else the number of pods beside the stable ones does, and above 50
    /// that would take more pods than the workload has: say `replicas: 60%` instead, and get 60 % of its pods beside the full stable
    /// version.
    #[schemars(range(min = 1, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// Number of pods, or percentage of the workload's replicas (at most `100%`), beside the stable ones. With `traffic` it is the least
    /// number; a weight takes as many of the workload's replicas as its share.
    #[schemars(schema_with = "replicas_schema")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<IntOrString>,
    /// Requests that go to the candidate in this step whatever the weight: those that fit one of these. Needs `traffic`.
    #[schemars(length(min = 1, max = 4))]
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// Percentage of the stable version's requests of which the candidate gets a copy; its answers are thrown away. Needs `traffic`.
    #[schemars(range(min = 1, max = 100))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<u8>,
    /// How long the step lasts at least, counted from the readiness of its pods.
    #[serde(default)]
    pub hold: Duration,
    /// Whether `hold` is the least time, or the longest: `Evidence` ends it as soon as every gate that compares, and there is one, has
    /// shown the new version to be good enough.
    #[serde(default, skip_serializing_if = "StepEnd::is_default")]
    pub end: StepEnd,
    /// Whether a person must approve before the step ends.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// Gates of this step alone, beside those of `verification`.
    #[schemars(length(max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRef>,
}

/// What ends a step's own time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum StepEnd {
    /// It passes.
    #[default]
    Time,
    /// It passes, or evidence comes before that.
    Evidence,
}

impl StepEnd {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What must hold for the new version to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Verification {
    /// Gates that hold from the first canary pod to the end of the bake.
    #[schemars(length(max = 16))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRef>,
    /// What happens after everything runs the new version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_promotion: Option<AfterPromotion>,
}

/// What happens after everything runs the new version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AfterPromotion {
    /// How long the gates stay on; a failure brings the old version back by a rolling update.
    pub bake: Duration,
}

fn replicas_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    // Plain bounds instead of CEL: for int-or-string the API server's cost estimate assumes the longest possible text and refuses a
    // rule on it. `minimum` and `maximum` hold for numbers, `pattern` for texts.
    schemars::json_schema!({
        "x-kubernetes-int-or-string": true,
        "minimum": 1,
        "maximum": 100_000,
        "pattern": "^([1-9][0-9]?|100)%$",
    })
}

mod defaults {
    use crate::Duration;

    pub(super) const fn progress_deadline() -> Duration {
        Duration::from_secs(600)
    }
}
