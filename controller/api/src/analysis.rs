//! `AnalysisTemplate` and `ClusterAnalysisTemplate`: reusable, parameterised gates.
//!
//! Invariant: a template is text with named holes. Filling them (see [`arguments`]) is refused unless every hole has a value, so
//! that no query runs with an empty label by accident.

pub mod arguments;
pub mod budget;
pub mod gate;
pub mod http;
pub mod job;
pub mod prometheus;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use gate::{GateMode, GateSpec, OnUnknown, UnknownAction};
pub use http::HttpGate;
pub use job::JobGate;
pub use prometheus::{BurnRate, Compare, Latency, PrometheusGate, Threshold};

/// Reusable gates for Rollouts and Releases of this namespace. `{{name}}` in a query stands for the argument of that name.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "belay.dev",
    version = "v1alpha1",
    kind = "AnalysisTemplate",
    namespaced,
    shortname = "bat",
    category = "belay",
    printcolumn(name = "Gates", type_ = "string", json_path = ".spec.gates[*].name"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct AnalysisTemplateSpec {
    /// Arguments that the gates use.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Parameter>,
    /// The gates; each must hold.
    #[schemars(length(min = 1, max = 16))]
    pub gates: Vec<GateSpec>,
}

/// Reusable gates for Rollouts and Releases of every namespace. `{{name}}` in a query stands for the argument of that name.
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "belay.dev",
    version = "v1alpha1",
    kind = "ClusterAnalysisTemplate",
    shortname = "bcat",
    category = "belay",
    printcolumn(name = "Gates", type_ = "string", json_path = ".spec.gates[*].name"),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterAnalysisTemplateSpec {
    /// The template.
    #[serde(flatten)]
    pub template: AnalysisTemplateSpec,
}

/// An argument that a template asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("!has(self.detect) || has(self.default)").message("detect needs a default, for the case that nothing is found"))]
#[serde(rename_all = "camelCase")]
pub struct Parameter {
    /// Name, as it stands between the braces.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[a-zA-Z][a-zA-Z0-9_-]*$")
    )]
    pub name: String,
    /// Value when none is given; without one the argument is required.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// What to look for in the series that the gates ask for, when no value is given. The default stands until it is found. Only for
    /// Rollouts, whose pods are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detect: Option<Detect>,
    /// What it is for.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A name that differs from one Prometheus to the next, and can be told from its series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Detect {
    /// The label with the pod's name: `pod`, `kubernetes_pod_name`, `exported_pod` and the like.
    PodLabel,
    /// The label with the pod's namespace: `namespace`, `kubernetes_namespace`, `exported_namespace` and the like.
    NamespaceLabel,
}

/// Use of a template: which one, and with what arguments.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct GateRef {
    /// Name of the template.
    #[schemars(length(min = 1, max = 253))]
    pub template: String,
    /// Kind of the template.
    #[serde(default)]
    pub kind: TemplateKind,
    /// Arguments by value.
    #[schemars(extend("maxProperties" = 32))]
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub args: std::collections::BTreeMap<String, String>,
    /// Arguments from elsewhere.
    #[schemars(length(max = 32))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args_from: Vec<ArgumentFrom>,
}

/// Where a template is looked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TemplateKind {
    /// In the namespace of the Rollout or Release.
    #[default]
    AnalysisTemplate,
    /// In the cluster.
    ClusterAnalysisTemplate,
}

/// An argument from a field of the Rollout or Release, or from a Secret of its namespace. Exactly one source is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.field) != has(self.secretKey)").message("give exactly one of field and secretKey"))]
#[serde(rename_all = "camelCase")]
pub struct ArgumentFrom {
    /// Name of the argument.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// A field of the Rollout or Release as a JSON pointer, for example `/metadata/name` or `/status/candidate/hash`.
    #[schemars(length(max = 256), regex(pattern = "^/"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// A key of a Secret. Its value is never shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key: Option<SecretKey>,
}

/// A key of a Secret in the same namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKey {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}
