//! What a Release has put into the cluster, as the controller wrote it down.
//!
//! Left out: writing. The format is the controller's; this reads it and leaves what it does not know.

use std::io::Read as _;

use belay_engine::{digest::Digest, release::observed::ObjectKey};
use flate2::read::GzDecoder;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;

use crate::{Error, cluster::Cluster};

const PLAIN: &str = "inventory.json";
const COMPRESSED: &str = "inventory.json.gz";

/// Largest inventory as JSON.
const LIMIT_BYTES: u64 = 64 << 20;

/// An inventory.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Inventory {
    #[serde(default)]
    contents: Vec<Digest>,
    #[serde(default)]
    pub(super) objects: Vec<Item>,
}

/// One object of an inventory.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    #[serde(flatten)]
    pub(super) key: ObjectKey,
    pub(super) api_version: String,
    /// Indices into the contents.
    #[serde(default)]
    of: Vec<usize>,
    /// Why it is still there although it was to be pruned.
    #[serde(default)]
    pub(super) leftover: Option<String>,
}

impl Inventory {
    /// The inventory of Release `name` in the namespace that is meant; empty if there is none yet.
    pub(super) async fn read(cluster: &Cluster, name: &str) -> Result<Self, Error> {
        let map = format!("{name}.belay-inventory");
        let found = cluster.api::<ConfigMap>().get_opt(&map).await?;
        found.map_or_else(|| Ok(Self::default()), |map| parse(&map))
    }

    /// Whether an object belongs to this content.
    pub(super) fn is_of(&self, item: &Item, digest: &Digest) -> bool {
        let mut contents = item.of.iter().filter_map(|index| self.contents.get(*index));
        contents.any(|content| content == digest)
    }
}

fn parse(map: &ConfigMap) -> Result<Inventory, Error> {
    if let Some(json) = map.data.as_ref().and_then(|data| data.get(PLAIN)) {
        return Ok(serde_json::from_str(json)?);
    }
    let bytes = map
        .binary_data
        .as_ref()
        .and_then(|data| data.get(COMPRESSED));
    let Some(bytes) = bytes else {
        return Ok(Inventory::default());
    };
    let mut json = String::new();
    GzDecoder::new(bytes.0.as_slice())
        .take(LIMIT_BYTES)
        .read_to_string(&mut json)?;
    Ok(serde_json::from_str(&json)?)
}

/// Whether objects of this kind are never pruned.
pub(super) fn is_never_pruned(key: &ObjectKey) -> bool {
    matches!(
        (key.group.as_str(), key.kind.as_str()),
        (
            "",
            "Namespace" | "PersistentVolume" | "PersistentVolumeClaim"
        ) | ("apiextensions.k8s.io", "CustomResourceDefinition")
    )
}
