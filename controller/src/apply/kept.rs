//! What inventories and renders have in common: names, labels and the owner, so that they go with their Release.

use std::collections::BTreeMap;

use belay_api::names::{GROUP, VERSION};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::core::ObjectMeta;

use super::Owner;

/// Label on what Belay keeps for a Release: the Release's name. Not the label of applied objects: these are not applied.
pub const KEPT_FOR_LABEL: &str = "belay.dev/kept-for";
/// Label that tells inventories from renders.
pub const PART_LABEL: &str = "belay.dev/part";

/// Label on a render: the short form of its content's digest.
pub const CONTENT_LABEL: &str = "belay.dev/content";

/// Metadata of something kept for `owner`.
pub(super) fn metadata(owner: &Owner, name: String, part: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(owner.namespace.clone()),
        labels: Some(BTreeMap::from([
            (KEPT_FOR_LABEL.to_owned(), owner.name.clone()),
            (PART_LABEL.to_owned(), part.to_owned()),
        ])),
        owner_references: Some(vec![OwnerReference {
            api_version: format!("{GROUP}/{VERSION}"),
            kind: "Release".to_owned(),
            name: owner.name.clone(),
            uid: owner.uid.clone(),
            controller: Some(true),
            block_owner_deletion: Some(false),
        }]),
        ..ObjectMeta::default()
    }
}

/// Whether something kept belongs to this very Release, and not to an earlier one of the same name.
pub(super) fn is_kept_for(metadata: &ObjectMeta, owner: &Owner) -> bool {
    metadata
        .owner_references
        .iter()
        .flatten()
        .any(|reference| reference.uid == owner.uid)
}
