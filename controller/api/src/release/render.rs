//! How the files of a source become objects.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{ChartSource, Substitute, ValuesFrom};

/// How files become objects. At most one of `plain`, `kustomize` and `helm` is given; without them it is Kustomize if the directory has
/// a kustomization file, else the files as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("[has(self.plain), has(self.kustomize), has(self.helm)].filter(x, x).size() <= 1").message("give one of plain, kustomize and helm, for example kustomize: {}, or none of them"))]
#[serde(rename_all = "camelCase")]
pub struct Render {
    /// Every YAML and JSON file below the directory, as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plain: Option<Plain>,
    /// What `kustomize build` makes of the directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kustomize: Option<Kustomize>,
    /// What `helm template` makes of a chart: the one in the directory, or one from elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub helm: Option<Helm>,
    /// Values for variables in the rendered objects. Absent: objects are left as they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub substitute: Option<Substitute>,
}

/// Files as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plain {}

/// Kustomize.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Kustomize {}

/// A Helm chart. The chart's own values are overridden by those of `valuesFiles`, one after the other, those by `valuesFrom`, one after
/// the other, and those by `values`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Helm {
    /// A chart from elsewhere. Absent: the chart in the directory of the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<ChartSource>,
    /// What the chart sees as `.Release.Name`. Absent: the name of the Release.
    #[schemars(
        length(min = 1, max = 53),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release_name: Option<String>,
    /// Files with values, by their path from the root of the repository. Later ones override earlier ones.
    #[schemars(length(max = 32), inner(length(min = 1, max = 1024)))]
    #[x_kube(validation = Rule::new("self.all(file, !file.startsWith('/') && !file.matches('(^|/)[.][.](/|$)|[,\"]'))").message("write paths relative to the root of the repository, without a leading /, .., commas and quotation marks"))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_files: Vec<String>,
    /// ConfigMaps and Secrets with values. Later ones override earlier ones. When one changes, the Release is rendered anew.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values_from: Vec<ValuesFrom>,
    /// Values of this Release. No place for passwords: whoever may read the Release can read them.
    #[schemars(schema_with = "crate::schema::any_object")]
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub values: Map<String, Value>,
    /// What the chart sees as `.Capabilities.KubeVersion`, for example `1.36.0`. Absent: the minor version of the cluster.
    #[schemars(regex(pattern = r"^v?1[.][0-9]{1,3}([.][0-9]{1,3})?$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kube_version: Option<String>,
    /// What the chart finds in `.Capabilities.APIVersions` beside Kubernetes' own, for example `monitoring.coreos.com/v1` or
    /// `monitoring.coreos.com/v1/ServiceMonitor`. They are not taken from the cluster, so that a definition that comes or goes
    /// does not change what a commit means.
    #[schemars(
        length(max = 64),
        inner(
            length(max = 253),
            regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?(/[A-Za-z0-9]+){1,2}$")
        )
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_versions: Vec<String>,
}
