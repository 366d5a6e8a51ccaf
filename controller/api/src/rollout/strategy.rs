//! The two ways by which a new version gets its share, as the steps that they come to.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Canary, Step, replicas_schema};
use crate::{Duration, analysis::GateRef};

/// How the new version gets its share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.canary) != has(self.blueGreen)").message("give exactly one of canary (a rising share) and blueGreen (everything at once, after a preview)"))]
#[serde(rename_all = "camelCase")]
pub struct Strategy {
    /// A rising share, step by step, beside the untouched stable version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// A preview that gets no request, then all of them at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blue_green: Option<BlueGreen>,
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
        match (&self.canary, &self.blue_green) {
            (Some(canary), _) => canary.steps.clone(),
            (None, Some(blue_green)) => blue_green.steps(),
            (None, None) => Vec::new(),
        }
    }

    /// Gates of single steps, with repetitions.
    pub fn step_gates(&self) -> impl Iterator<Item = &GateRef> {
        let canary = self.canary.iter().flat_map(|canary| &canary.steps);
        let blue_green = self.blue_green.iter();
        canary
            .flat_map(|step| &step.gates)
            .chain(blue_green.flat_map(|own| own.preview.gates.iter().chain(&own.gates)))
    }
}

impl BlueGreen {
    fn steps(&self) -> Vec<Step> {
        let all = || IntOrString::String("100%".to_owned());
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

const fn scale_down_delay() -> Duration {
    Duration::from_secs(30)
}
