//! Another cluster that a Release brings its objects into.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The keys that are looked for when none is named.
const KEYS: [&str; 2] = ["value", "value.yaml"];

/// How the cluster is reached that the objects are in. What it does there it does as the user of the kubeconfig.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeConfig {
    /// The Secret with the kubeconfig.
    pub secret_ref: KubeConfigSecret,
}

/// A Secret with a kubeconfig, in the namespace of the Release. It is read in the name of the Release's service account, which needs
/// `get`, `list` and `watch` on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KubeConfigSecret {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in it; `value`, or else `value.yaml`, when absent.
    #[schemars(length(min = 1, max = 253))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl KubeConfigSecret {
    /// The keys that the kubeconfig may be under, in the order in which they are looked for.
    pub fn keys(&self) -> Vec<&str> {
        match &self.key {
            Some(key) => vec![key],
            None => KEYS.to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_named_is_the_only_one() {
        let of = |key: Option<&str>| KubeConfigSecret {
            name: "east".to_owned(),
            key: key.map(str::to_owned),
        };
        assert_eq!(of(None).keys(), ["value", "value.yaml"]);
        assert_eq!(of(Some("config")).keys(), ["config"]);
    }
}
