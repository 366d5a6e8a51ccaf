//! What a Release does about objects that it can't simply change.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether objects that another tool applies are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Adopt {
    /// No: the version is refused, by the name of the owner. What nobody applies is taken over.
    #[default]
    Unowned,
    /// Yes, from Flux, Argo CD, Helm and any other applier; not from another Release.
    Any,
}

/// What happens when a field can't be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum OnImmutable {
    /// The version is refused, and the field is named.
    #[default]
    Refuse,
    /// The object is deleted and made anew, when nothing else is wrong with it. Namespaces, definitions of resources, volumes and
    /// workloads that a Rollout governs are not.
    Replace,
}
