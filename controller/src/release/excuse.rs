//! Changes that are no drift, for they are in fields that the spec leaves to others.
//!
//! A watch shows only that Belay's account of fields has changed. Where fields are ignored, the object is read once to see in
//! which; the answer holds until the account changes again.

use belay_api::Release;
use belay_engine::{digest::Digest, release::observed::ObjectKey};
use kube::{Api, Client, api::DynamicObject};

use super::{Shell, gather::stored, look::is_at, memory::Memory};
use crate::{
    Error, Result,
    apply::{ignore, inventory::Entry, watches::Place},
    client::bounded,
};

impl Shell {
    /// Finds out which changed accounts of fields differ in ignored fields only.
    pub(super) async fn excuse_ignored(
        &self,
        release: &Release,
        memory: &mut Memory,
        digest: &Digest,
    ) -> Result<()> {
        let doubtful = self.doubtful(memory, digest);
        if doubtful.is_empty() {
            return Ok(());
        }
        let client = memory.target()?.client;
        for (place, key, settled) in doubtful {
            let Some(object) = read(&client, &place, &key).await? else {
                continue;
            };
            let value = serde_json::to_value(&object)?;
            let paths = ignore::paths(&release.spec.apply.ignore, &key, &value);
            let managed = object.metadata.managed_fields.unwrap_or_default();
            let account = crate::apply::fields::fingerprint(&managed);
            if let Some(account) = account
                && ignore::fingerprint(&paths, &value, &managed) == Some(settled)
            {
                memory.harmless.insert(key, account);
            }
        }
        Ok(())
    }

    /// Objects with ignored fields whose account has changed and is not known to be harmless.
    fn doubtful(&self, memory: &Memory, digest: &Digest) -> Vec<(Place, ObjectKey, String)> {
        let places: Vec<&Place> = memory.places.iter().flatten().collect();
        let is_doubtful = |key: &ObjectKey, entry: &Entry| {
            let settled = entry.settled.clone()?;
            let place = places.iter().find(|place| is_at(place, key))?;
            let seen = self.watches.seen(place, &key.name)?;
            let is_known =
                seen.fields == entry.fields || seen.fields.as_ref() == memory.harmless.get(key);
            (!is_known).then(|| ((*place).clone(), key.clone(), settled))
        };
        stored(memory)
            .of(digest)
            .filter_map(|(key, entry)| is_doubtful(key, entry))
            .collect()
    }
}

async fn read(client: &Client, place: &Place, key: &ObjectKey) -> Result<Option<DynamicObject>> {
    let api: Api<DynamicObject> = match &key.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &place.resource),
        None => Api::all_with(client.clone(), &place.resource),
    };
    match bounded("reading an applied object", api.get_opt(&key.name)).await {
        // Who may not read it finds drift, and puts it right without harm.
        Err(Error::Kube(kube::Error::Api(status))) if status.is_forbidden() => Ok(None),
        found => found,
    }
}
