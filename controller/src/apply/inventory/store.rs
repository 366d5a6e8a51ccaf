//! Inventories in ConfigMaps: one, or one for each part and an index that names them.
//!
//! Invariant: the inventory's own ConfigMap alone says what the inventory is, and it is written in one step, provided nobody else
//! has written it meanwhile. Parts are never changed: those that differ are made under new names before the index names them, and
//! deleted after it no longer does. So a crash between any two writes leaves the inventory as it was or as it was to be.

use std::collections::BTreeMap;

use belay_engine::digest::Digest;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DeleteParams, ListParams, PartialObjectMeta, PostParams, Preconditions},
};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::{
    Inventory,
    packed::{self, damaged},
    parts::{self, INDEX, Index},
    written::Written,
};
use crate::{
    Error, Result,
    apply::{
        Owner,
        kept::{self, KEPT_FOR_LABEL, PART_LABEL},
    },
    client::bounded,
};

/// Parts at the same time.
const CONCURRENCY: usize = 8;

/// Values of the label that tells what something kept is.
const WHOLE: &str = "inventory";
const PART: &str = "inventory-part";

/// An inventory as it is stored.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The inventory.
    pub inventory: Inventory,
    /// Version of its own ConfigMap; absent when there is none yet.
    resource_version: Option<String>,
    /// Its parts in order, if it has any.
    parts: Vec<Part>,
}

/// A part as it is stored.
#[derive(Clone, Debug)]
struct Part {
    name: String,
    /// Of its text.
    digest: Digest,
}

/// Where the inventory of a Release is.
struct Shelf<'a> {
    client: &'a Client,
    owner: &'a Owner,
}

/// Reads the inventory of `owner`.
pub async fn load(client: &Client, owner: &Owner) -> Result<Stored> {
    let shelf = Shelf { client, owner };
    let Some(map) = shelf.get(&shelf.name()).await? else {
        return Ok(Stored::default());
    };
    let resource_version = map.resource_version();
    let index = map.data.as_ref().and_then(|data| data.get(INDEX));
    let (inventory, parts) = if let Some(index) = index {
        shelf.join(index).await?
    } else {
        let written: Written = parse(&shelf.name(), packed::take(map))?;
        (written.into(), Vec::new())
    };
    Ok(Stored {
        inventory,
        resource_version,
        parts,
    })
}

/// Writes `inventory`, provided nobody else has written it since `stored` was read; `may_write` says whether writes may go on.
pub async fn save(
    client: &Client,
    owner: &Owner,
    stored: &Stored,
    inventory: Inventory,
    may_write: impl Fn() -> Result<()>,
) -> Result<Stored> {
    let shelf = Shelf { client, owner };
    let count = parts::count(inventory.objects.len(), stored.parts.len());
    // Listed before anything is written. Who goes on from what is written below names none of these anew, and who goes on from
    // something older can't write the index any more: what is not named below is nobody's.
    let known = if count > 1 || !stored.parts.is_empty() {
        shelf.parts().await?
    } else {
        BTreeMap::new()
    };
    let parts = if count > 1 {
        let texts = parts::split(&inventory, count)?;
        shelf.make_parts(stored, texts, &may_write).await?
    } else {
        Vec::new()
    };
    may_write()?;
    let map = shelf.own_map(&inventory, &parts)?;
    let resource_version = shelf.put(map, stored).await?;
    shelf.drop_parts(known, &parts).await;
    Ok(Stored {
        inventory,
        resource_version,
        parts,
    })
}

impl Shelf<'_> {
    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.client.clone(), &self.owner.namespace)
    }

    fn name(&self) -> String {
        format!("{}.belay-inventory", self.owner.name)
    }

    async fn get(&self, name: &str) -> Result<Option<ConfigMap>> {
        let api = self.api();
        let found = bounded("reading an inventory", api.get_opt(name)).await?;
        match found {
            // It belongs to an earlier Release of this name and goes with it.
            Some(map) if !kept::is_kept_for(&map.metadata, self.owner) => Err(Error::Stale(
                "the inventory of an earlier Release of this name is still there",
            )),
            found => Ok(found),
        }
    }

    /// The inventory that an index tells of, and its parts.
    async fn join(&self, index: &str) -> Result<(Inventory, Vec<Part>)> {
        let index: Index = parse(&self.name(), Ok(index.to_owned()))?;
        let reads: Vec<_> = index.parts.iter().map(|name| self.part(name)).collect();
        let read: Vec<(Part, Written)> = stream::iter(reads)
            .buffered(CONCURRENCY)
            .try_collect()
            .await?;
        let (parts, written) = read.into_iter().unzip();
        Ok((parts::join(index, written), parts))
    }

    async fn part(&self, name: &str) -> Result<(Part, Written)> {
        let text = match self.get(name).await? {
            Some(map) => packed::take(map),
            None => Err(damaged(&"this part of it is missing")),
        };
        let digest = Digest::of(&json!(text.as_deref().unwrap_or_default()));
        let written = parse(name, text)?;
        let name = name.to_owned();
        Ok((Part { name, digest }, written))
    }

    /// All parts that are there, whether they are named or not, with their UIDs.
    async fn parts(&self) -> Result<BTreeMap<String, Option<String>>> {
        let api: Api<PartialObjectMeta<ConfigMap>> =
            Api::namespaced(self.client.clone(), &self.owner.namespace);
        let labels = format!("{KEPT_FOR_LABEL}={},{PART_LABEL}={PART}", self.owner.name);
        let parameters = ListParams::default().labels(&labels);
        let listed = bounded("listing an inventory", api.list(&parameters)).await?;
        let ours =
            |found: &PartialObjectMeta<ConfigMap>| kept::is_kept_for(&found.metadata, self.owner);
        let ours = listed.into_iter().filter(ours);
        Ok(ours.map(|found| (found.name_any(), found.uid())).collect())
    }

    /// Sees to it that there is a part for each text; those that are stored already stay.
    async fn make_parts(
        &self,
        stored: &Stored,
        texts: Vec<String>,
        may_write: &impl Fn() -> Result<()>,
    ) -> Result<Vec<Part>> {
        let same_number = stored.parts.len() == texts.len();
        let mut parts = Vec::with_capacity(texts.len());
        for (number, text) in texts.into_iter().enumerate() {
            let digest = Digest::of(&json!(text));
            let before = stored.parts.get(number).filter(|_| same_number);
            if let Some(same) = before.filter(|part| part.digest == digest) {
                parts.push(same.clone());
                continue;
            }
            may_write()?;
            let name = self.part_name(stored, number, &digest);
            self.make_part(&name, text).await?;
            parts.push(Part { name, digest });
        }
        Ok(parts)
    }

    /// A name that tells on which version of the index the part is based, so that none is ever used again by a later one.
    fn part_name(&self, stored: &Stored, number: usize, digest: &Digest) -> String {
        let based_on = stored.resource_version.as_deref();
        let unique = Digest::of(&json!([self.owner.uid, based_on, digest.as_str()]));
        format!("{}.{number}.{}", self.name(), unique.short())
    }

    async fn make_part(&self, name: &str, text: String) -> Result<()> {
        let mut map = ConfigMap {
            metadata: kept::metadata(self.owner, name.to_owned(), PART),
            immutable: Some(true),
            ..ConfigMap::default()
        };
        packed::put(&mut map, text)?;
        let api = self.api();
        match bounded("creating an inventory", api.create(&parameters(), &map)).await {
            Ok(_) => Ok(()),
            // The same name holds the same text: an earlier attempt got this far.
            Err(Error::Kube(kube::Error::Api(status))) if status.is_already_exists() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The inventory's own ConfigMap: the index, or all of it if there are no parts.
    fn own_map(&self, inventory: &Inventory, parts: &[Part]) -> Result<ConfigMap> {
        let mut map = ConfigMap {
            metadata: kept::metadata(self.owner, self.name(), WHOLE),
            ..ConfigMap::default()
        };
        if parts.is_empty() {
            packed::put(&mut map, serde_json::to_string(&Written::whole(inventory))?)?;
            return Ok(map);
        }
        let index = Index {
            contents: inventory.contents.iter().cloned().collect(),
            parts: parts.iter().map(|part| part.name.clone()).collect(),
        };
        map.data = Some([(INDEX.to_owned(), serde_json::to_string(&index)?)].into());
        Ok(map)
    }

    async fn put(&self, mut map: ConfigMap, stored: &Stored) -> Result<Option<String>> {
        let api = self.api();
        let written = match &stored.resource_version {
            None => bounded("creating an inventory", api.create(&parameters(), &map)).await?,
            Some(version) => {
                map.metadata.resource_version = Some(version.clone());
                let (name, parameters) = (self.name(), parameters());
                let replace = api.replace(&name, &parameters, &map);
                bounded("writing an inventory", replace).await?
            }
        };
        Ok(written.resource_version())
    }

    /// Deletes the parts that are not named any more. What does not work now is tried again after the next change.
    async fn drop_parts(&self, known: BTreeMap<String, Option<String>>, named: &[Part]) {
        let api = self.api();
        let is_named = |name: &str| named.iter().any(|part| part.name == name);
        for (name, uid) in known {
            if is_named(&name) {
                continue;
            }
            let parameters = DeleteParams {
                preconditions: Some(Preconditions {
                    uid,
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            match bounded("tidying an inventory", api.delete(&name, &parameters)).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => {
                    let namespace = &self.owner.namespace;
                    tracing::warn!(namespace, name, %error, "a part of an inventory is left over");
                    return;
                }
            }
        }
    }
}

fn parameters() -> PostParams {
    PostParams {
        field_manager: Some(belay_api::names::FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

fn parse<T: DeserializeOwned>(name: &str, text: Result<String, String>) -> Result<T> {
    let parsed = text.and_then(|text| serde_json::from_str(&text).map_err(|error| damaged(&error)));
    parsed.map_err(|what| Error::Malformed {
        kind: "ConfigMap",
        name: name.to_owned(),
        what,
    })
}
