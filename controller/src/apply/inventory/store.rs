//! Inventories in ConfigMaps.

use std::io::{Read as _, Write as _};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use k8s_openapi::{ByteString, api::core::v1::ConfigMap};
use kube::{Api, Client, ResourceExt as _, api::PostParams};

use super::{Inventory, Written};
use crate::{
    Error, Result,
    apply::{Owner, kept},
    client::bounded,
};

const PLAIN: &str = "inventory.json";
const COMPRESSED: &str = "inventory.json.gz";

/// Inventories up to this size are readable text.
const PLAIN_BYTES: usize = 64 << 10;

/// Largest inventory as JSON: some hundred thousand objects.
const LIMIT_BYTES: u64 = 64 << 20;

/// Largest compressed inventory: what a ConfigMap holds, and some room for its metadata.
const STORED_BYTES: usize = 1_000_000;

/// Says why an inventory can't be stored, if it is too large for a ConfigMap.
pub fn fits(inventory: &Inventory) -> Result<(), String> {
    let mut map = ConfigMap::default();
    write(&mut map, inventory).map_err(|error| error.to_string())?;
    let stored = map.binary_data.into_iter().flatten();
    let bytes: usize = stored.map(|(_, bytes)| bytes.0.len()).sum();
    if bytes <= STORED_BYTES {
        return Ok(());
    }
    Err(format!(
        "the list of its {} objects takes {bytes} bytes, more than the {STORED_BYTES} that a ConfigMap holds; split the source into \
         several Releases",
        inventory.objects.len()
    ))
}

/// An inventory as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The inventory.
    pub inventory: Inventory,
    /// Version of the ConfigMap; absent when there is none yet.
    resource_version: Option<String>,
}

/// Reads the inventory of `owner`.
pub async fn load(client: &Client, owner: &Owner) -> Result<Stored> {
    let api = config_maps(client, owner);
    let name = name(owner);
    let Some(map) = bounded("reading an inventory", api.get_opt(&name)).await? else {
        return Ok(Stored::default());
    };
    if !kept::is_kept_for(&map.metadata, owner) {
        // It belongs to an earlier Release of this name and goes with it.
        return Err(Error::Stale(
            "the inventory of an earlier Release of this name is still there",
        ));
    }
    let written = read(&map).map_err(|what| Error::Malformed {
        kind: "ConfigMap",
        name,
        what,
    })?;
    Ok(Stored {
        inventory: written.into(),
        resource_version: map.resource_version(),
    })
}

/// Writes `inventory`, provided nobody else has written it since `stored` was read.
pub async fn save(
    client: &Client,
    owner: &Owner,
    stored: &Stored,
    inventory: Inventory,
) -> Result<Stored> {
    let api = config_maps(client, owner);
    let mut map = ConfigMap {
        metadata: kept::metadata(owner, name(owner), "inventory"),
        ..ConfigMap::default()
    };
    write(&mut map, &inventory)?;
    let parameters = PostParams {
        field_manager: Some(belay_api::names::FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let written = match &stored.resource_version {
        None => bounded("creating an inventory", api.create(&parameters, &map)).await?,
        Some(version) => {
            map.metadata.resource_version = Some(version.clone());
            let name = name(owner);
            bounded(
                "writing an inventory",
                api.replace(&name, &parameters, &map),
            )
            .await?
        }
    };
    Ok(Stored {
        inventory,
        resource_version: written.resource_version(),
    })
}

fn config_maps(client: &Client, owner: &Owner) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), &owner.namespace)
}

fn name(owner: &Owner) -> String {
    format!("{}.belay-inventory", owner.name)
}

fn write(map: &mut ConfigMap, inventory: &Inventory) -> Result<()> {
    let json = serde_json::to_string(&Written::from(inventory))?;
    if json.len() <= PLAIN_BYTES {
        map.data = Some([(PLAIN.to_owned(), json)].into());
        return Ok(());
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(json.as_bytes())?;
    let bytes = ByteString(encoder.finish()?);
    map.binary_data = Some([(COMPRESSED.to_owned(), bytes)].into());
    Ok(())
}

fn read(map: &ConfigMap) -> Result<Written, String> {
    let damaged = |error: &dyn std::fmt::Display| {
        format!(
            "the inventory can't be read ({error}); restore it, or delete it to give its objects up"
        )
    };
    if let Some(json) = map.data.as_ref().and_then(|data| data.get(PLAIN)) {
        return serde_json::from_str(json).map_err(|error| damaged(&error));
    }
    let bytes = map
        .binary_data
        .as_ref()
        .and_then(|data| data.get(COMPRESSED))
        .ok_or_else(|| damaged(&"it is empty"))?;
    let mut json = String::new();
    GzDecoder::new(bytes.0.as_slice())
        .take(LIMIT_BYTES)
        .read_to_string(&mut json)
        .map_err(|error| damaged(&error))?;
    serde_json::from_str(&json).map_err(|error| damaged(&error))
}

#[cfg(test)]
mod tests {
    use belay_engine::{digest::Digest, release::observed::ObjectKey};
    use serde_json::json;

    use super::*;

    /// Objects with names as generators make them, of two versions.
    fn many(objects: usize, name_bytes: usize) -> Inventory {
        let keys: Vec<ObjectKey> = (0..objects)
            .map(|number| {
                let hash = Digest::of(&json!(number)).as_str().repeat(4);
                ObjectKey {
                    group: "apps".into(),
                    kind: "Deployment".into(),
                    namespace: Some(format!("tenant-{}", number % 50)),
                    name: hash.get(..name_bytes).unwrap_or_default().to_owned(),
                }
            })
            .collect();
        let mut inventory = Inventory::default();
        for (version, range) in [("a", 0..objects / 2), ("b", objects / 2..objects)] {
            let keys = keys.get(range).unwrap_or_default();
            inventory.record(
                &Digest::of(&json!(version)),
                keys.iter().map(|key| (key, "apps/v1", false)),
            );
        }
        for (number, entry) in inventory.objects.values_mut().enumerate() {
            entry.fields = Some(Digest::of(&json!(["fields", number])).short());
        }
        inventory
    }

    #[test]
    fn the_largest_source_fits_and_what_does_not_is_refused_with_a_sentence() {
        // Ten thousand objects, the most that are rendered, replaced by as many others.
        assert_eq!(fits(&many(20_000, 16)), Ok(()));
        let refused = fits(&many(20_000, 200)).unwrap_err();
        assert!(refused.contains("split the source"), "{refused}");
    }

    #[test]
    fn small_inventories_are_text_and_large_ones_compressed() {
        for (objects, compressed) in [(2, false), (5_000, true)] {
            let keys: Vec<ObjectKey> = (0..objects)
                .map(|number| ObjectKey {
                    group: String::new(),
                    kind: "ConfigMap".into(),
                    namespace: Some("shop".into()),
                    name: format!("map-{number}"),
                })
                .collect();
            let mut inventory = Inventory::default();
            inventory.record(
                &Digest::of(&json!("a")),
                keys.iter().map(|key| (key, "v1", false)),
            );
            let mut map = ConfigMap::default();
            write(&mut map, &inventory).unwrap();
            assert_eq!(map.binary_data.is_some(), compressed);
            assert_eq!(Inventory::from(read(&map).unwrap()), inventory);
        }
    }
}
