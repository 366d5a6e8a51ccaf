//! Images of containers, replaced after rendering: what one environment runs apart from the others.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What an image is replaced by, in every container that has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[x_kube(validation = Rule::new("has(self.newName) || has(self.newTag) || has(self.digest)").message("give at least one of newName, newTag and digest"))]
#[serde(rename_all = "camelCase")]
pub struct Image {
    /// The image as the manifests name it, without tag and digest, for example `registry.example.com/shop/web`.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^@\s]+$"))]
    pub name: String,
    /// Another name for it. Tag and digest stay unless they are given as well.
    #[schemars(length(min = 1, max = 255), regex(pattern = r"^[^@\s]+$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_name: Option<String>,
    /// Another tag.
    #[schemars(regex(pattern = r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_tag: Option<String>,
    /// A digest, for example `sha256:…`. Without `newTag` it takes the tag's place.
    #[schemars(regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}
