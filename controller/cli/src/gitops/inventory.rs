//! What a Release has put into the cluster, as the controller wrote it down.
//!
//! Left out: writing. The format is the controller's; this reads it and leaves what it does not know.

use std::{collections::BTreeMap, io::Read as _};

use belay_engine::{digest::Digest, release::observed::ObjectKey};
use flate2::read::GzDecoder;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use serde::Deserialize;

use crate::{Error, cluster::Cluster};

const PLAIN: &str = "inventory.json";
const COMPRESSED: &str = "inventory.json.gz";
/// Where the parts of a large inventory are named.
const INDEX: &str = "inventory.parts.json";

/// Parts that are read at the same time.
const CONCURRENCY: usize = 8;

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
    /// Whether it belongs to every content of the index; in parts only.
    #[serde(default)]
    all: bool,
    /// Why it is still there although it was to be pruned.
    #[serde(default)]
    pub(super) leftover: Option<String>,
}

impl Inventory {
    /// The inventory of Release `name` in the namespace that is meant; empty if there is none yet.
    pub(super) async fn read(cluster: &Cluster, name: &str) -> Result<Self, Error> {
        let map = format!("{name}.belay-inventory");
        let Some(map) = cluster.api::<ConfigMap>().get_opt(&map).await? else {
            return Ok(Self::default());
        };
        let Some(index) = map.data.as_ref().and_then(|data| data.get(INDEX)) else {
            return parse(&map);
        };
        let index: Index = serde_json::from_str(index)?;
        let reads: Vec<_> = index
            .parts
            .iter()
            .map(|part| read_part(cluster, part))
            .collect();
        let parts = stream::iter(reads).buffered(CONCURRENCY).try_collect();
        Ok(join(index.contents, parts.await?))
    }

    /// Whether an object belongs to this content.
    pub(super) fn is_of(&self, item: &Item, digest: &Digest) -> bool {
        let mut contents = item.of.iter().filter_map(|index| self.contents.get(*index));
        contents.any(|content| content == digest)
    }
}

/// What stands in the inventory's own ConfigMap when its objects are in others.
#[derive(Deserialize)]
struct Index {
    contents: Vec<Digest>,
    parts: Vec<String>,
}

async fn read_part(cluster: &Cluster, name: &str) -> Result<Inventory, Error> {
    parse(&cluster.api::<ConfigMap>().get(name).await?)
}

/// The inventory of these contents whose objects are in `parts`.
fn join(contents: Vec<Digest>, parts: Vec<Inventory>) -> Inventory {
    let all: Vec<usize> = (0..contents.len()).collect();
    let place: BTreeMap<&Digest, usize> = contents.iter().zip(0..).collect();
    let mut objects = Vec::new();
    for part in parts {
        let places: Vec<Option<usize>> = part
            .contents
            .iter()
            .map(|content| place.get(content).copied())
            .collect();
        objects.extend(part.objects.into_iter().map(|item| {
            let named = item.of.iter();
            let named = named.filter_map(|index| places.get(*index).copied().flatten());
            let of = if item.all {
                all.clone()
            } else {
                named.collect()
            };
            Item { of, ..item }
        }));
    }
    objects.sort_by(|one, other| one.key.cmp(&other.key));
    Inventory { contents, objects }
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_one_inventory_and_know_their_contents() {
        let digest = |text: &str| Digest::of(&json!(text));
        let item = |name: &str, more: serde_json::Value| {
            let mut item =
                json!({"kind": "ConfigMap", "namespace": "shop", "name": name, "apiVersion": "v1"});
            item.as_object_mut()
                .unwrap()
                .extend(more.as_object().cloned().unwrap());
            item
        };
        let part = |contents: &[Digest], objects: serde_json::Value| -> Inventory {
            serde_json::from_value(json!({"contents": contents, "objects": objects})).unwrap()
        };
        let parts = vec![
            part(
                &[digest("b")],
                json!([item("only-b", json!({"of": [0]})), item("left", json!({}))]),
            ),
            part(&[], json!([item("both", json!({"all": true}))])),
        ];
        let inventory = join(vec![digest("a"), digest("b")], parts);
        let of = |text: &str| -> Vec<&str> {
            let items = inventory.objects.iter();
            let items = items.filter(|item| inventory.is_of(item, &digest(text)));
            items.map(|item| item.key.name.as_str()).collect()
        };
        assert_eq!(of("a"), ["both"]);
        assert_eq!(of("b"), ["both", "only-b"]);
        assert_eq!(inventory.objects.len(), 3);
    }
}
