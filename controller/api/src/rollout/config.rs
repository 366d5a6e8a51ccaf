//! Which configuration goes with the version.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of changes in ConfigMaps and Secrets that the workload's template refers to. An object with the annotation
/// `belay.dev/config: Live` is `Live` whatever is said here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Configuration {
    /// ConfigMaps.
    #[serde(skip_serializing_if = "ConfigMaps::is_default")]
    pub config_maps: ConfigMaps,
    /// Secrets. Belay needs permission in the namespace, by `config.secretNamespaces` of its chart.
    #[serde(skip_serializing_if = "Secrets::is_default")]
    pub secrets: Secrets,
}

/// How ConfigMaps come to pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConfigMaps {
    /// A change is a release of the workload, and each version's pods read what it was verified with.
    #[default]
    WithVersion,
    /// As without Belay: all pods see a change, sooner or later.
    Live,
}

/// How Secrets come to pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Secrets {
    /// A change is a release of the workload, and each version's pods read what it was verified with.
    WithVersion,
    /// As without Belay: all pods see a change, sooner or later.
    #[default]
    Live,
}

impl ConfigMaps {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Secrets {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
