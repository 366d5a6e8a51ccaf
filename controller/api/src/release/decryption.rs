//! How encrypted files of a source are opened.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::SecretRef;

/// Opens encrypted files of the repository before they are rendered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// Files that SOPS has encrypted for age keys: YAML, JSON, dotenv, INI, and others as SOPS wraps them. No key service is asked.
    pub sops: Sops,
}

/// SOPS with age.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sops {
    /// Secret in the namespace of the Release whose keys that end in `.agekey` hold what `age-keygen` writes. It is read in the
    /// name of the Release's service account, which needs `get`, `list` and `watch` on it. When it changes, the Release is rendered
    /// anew.
    pub secret_ref: SecretRef,
}
