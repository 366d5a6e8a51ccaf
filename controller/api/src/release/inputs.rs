//! What a render takes from ConfigMaps and Secrets of the cluster: values of variables, and of charts.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Puts values into the rendered objects in place of `${name}`, `${name:=default}` and `${name:-default}`; `$${` stands for `${`.
/// Only values of fields are changed, never keys. A variable without value and default refuses the version. An object with the
/// annotation `belay.dev/substitute: Disabled` is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Substitute {
    /// Values by name; a name has letters, digits and `_`. They win over those of `from`. No place for passwords: whoever may
    /// read the Release can read them.
    #[schemars(extend("maxProperties" = 256))]
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// ConfigMaps and Secrets whose keys are names of variables. Later ones win. When one changes, the Release is rendered anew.
    #[schemars(length(max = 16))]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<VariablesFrom>,
}

/// A ConfigMap or Secret in the namespace of the Release. It is read in the name of the Release's service account, which needs
/// `get`, `list` and `watch` on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariablesFrom {
    /// Its kind.
    pub kind: InputKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether it may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
}

/// Values for a chart in a ConfigMap or Secret in the namespace of the Release. It is read in the name of the Release's service
/// account, which needs `get`, `list` and `watch` on it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ValuesFrom {
    /// Its kind.
    pub kind: InputKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default = "values_yaml")]
    pub key: String,
    /// Whether the object, or the key in it, may be missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub optional: bool,
    /// Where the content is put as one text, for example `database.password`; a dot in a name is written `\.`. Absent: the content is
    /// YAML with values.
    #[schemars(length(min = 1, max = 250))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_path: Option<String>,
}

fn values_yaml() -> String {
    "values.yaml".to_owned()
}

/// Kind of an object that renders read.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum InputKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret. Its values are shown nowhere.
    Secret,
}

impl InputKind {
    /// As in manifests.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }
}
