//! The ways by which a new version gets its share, as the steps that they come to.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Canary, Cohort, Step, StepEnd, replicas_schema};
use crate::{Duration, analysis::GateRef};

/// How the new version gets its share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.canary), has(self.blueGreen), has(self.ab)].filter(given, given).size() == 1").message("give exactly one of canary (a rising share), blueGreen (everything at once, after a preview) and ab (a test with a part of the requests)"))]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// A rising share, step by step, beside the untouched stable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// A preview that gets no request, then all of them at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
    /// A test with a part of the requests, then all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ab: Option<AbTest>,
}

/// A test with a part of the requests: those of cohorts, or a share of them whose clients stay with the version that they were given
/// (`traffic.affinity`). At its end the new version is promoted, or it goes back as soon as a gate fails; what happens to a test
/// that is undecided is said by the gates that compare (`onInconclusive`). Needs `traffic` with routes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.match) || has(self.weight)").message("give the test its requests: match (those of cohorts), weight (a share of them), or both"))]
#[serde(rename_all = "camelCase")]
pub struct AbTest {
    /// Requests that get the new version: those that fit one of these.
    #[schemars(length(min = 1, max = 4))]
    #[serde(default, rename = "match", skip_serializing_if = "Vec::is_empty")]
    pub cohorts: Vec<Cohort>,
    /// Share of the other requests in percent.
    #[schemars(range(min = 1, max = 99))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u8>,
    /// Number of pods, or percentage of the workload's replicas; `100%` by default, for nobody knows how large a cohort is.
    #[schemars(schema_with = "replicas_schema")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<IntOrString>,
    /// How long the test lasts, counted from the readiness of its pods; at most, if it ends by evidence.
    pub duration: Duration,
    /// Whether the test also ends as soon as every gate that compares, and there is one, has shown the new version to be good enough.
    #[serde(default = "by_evidence")]
    pub end: StepEnd,
    /// Whether a person must approve what the test has shown.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// Gates of the test alone, beside those of `verification`.
    #[schemars(length(max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRef>,
}

/// A preview that gets no request, then all of them at once; switching back is one write until the stable pods go. Needs `traffic`,
/// with routes to switch or without any: then the Service itself is switched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BlueGreen {
    /// What must be true before the switch. Meanwhile the new version is reached by the Service with `-canary`
    /// after its name.
    #[serde(default)]
    pub preview: Preview,
    /// How long the stable pods stay at full strength after the switch.
    #[serde(default = "scale_down_delay")]
    pub scale_down_delay: Duration,
    /// Gates between the switch and the end of the stable pods, beside those of `verification`.
    #[schemars(length(max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRef>,
}

/// The new version before it gets any request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    /// Number of pods, or percentage of the workload's replicas; `100%` by default. Before the switch it grows to all of them.
    #[schemars(schema_with = "replicas_schema")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<IntOrString>,
    /// How long it lasts at least, counted from the readiness of its pods.
    #[serde(default)]
    pub hold: Duration,
    /// Whether a person must approve the switch.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub approval: bool,
    /// Gates of the preview alone, beside those of `verification`.
    #[schemars(length(max = 8))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateRef>,
}

impl Strategy {
    /// The steps that the strategy comes to.
    pub fn steps(&self) -> Vec<Step> {
        match (&self.canary, &self.blue_green, &self.ab) {
            (Some(canary), _, _) => canary.steps.clone(),
            (None, Some(blue_green), _) => blue_green.steps(),
            (None, None, Some(test)) => vec![test.step()],
            (None, None, None) => Vec::new(),
        }
    }

    /// Gates of single steps, with repetitions.
    pub fn step_gates(&self) -> impl Iterator<Item = &GateRef> {
        let canary = self.canary.iter().flat_map(|canary| &canary.steps);
        let blue_green = self.blue_green.iter();
        canary
            .flat_map(|step| &step.gates)
            .chain(blue_green.flat_map(|own| own.preview.gates.iter().chain(&own.gates)))
            .chain(self.ab.iter().flat_map(|test| &test.gates))
    }
}

impl AbTest {
    fn step(&self) -> Step {
        Step {
            weight: self.weight,
            cohorts: self.cohorts.clone(),
            replicas: Some(self.replicas.clone().unwrap_or_else(all)),
            hold: self.duration,
            end: self.end,
            approval: self.approval,
            gates: self.gates.clone(),
            ..Step::default()
        }
    }
}

impl BlueGreen {
    fn steps(&self) -> Vec<Step> {
        let preview = Step {
            weight: Some(0),
            replicas: Some(self.preview.replicas.clone().unwrap_or_else(all)),
            hold: self.preview.hold,
            approval: self.preview.approval,
            gates: self.preview.gates.clone(),
            ..Step::default()
        };
        let switched = Step {
            weight: Some(100),
            hold: self.scale_down_delay,
            gates: self.gates.clone(),
            ..Step::default()
        };
        vec![preview, switched]
    }
}

fn all() -> IntOrString {
    IntOrString::String("100%".to_owned())
}

const fn by_evidence() -> StepEnd {
    StepEnd::Evidence
}

const fn scale_down_delay() -> Duration {
    Duration::from_secs(30)
}
