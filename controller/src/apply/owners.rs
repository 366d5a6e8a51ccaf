//! Whose an object is.
//!
//! Rule: an object that belongs to another living Release is refused. One that belongs to nobody, or to a Release that is gone,
//! is taken over.

use belay_api::names::{RELEASE_LABEL, RELEASE_UID_ANNOTATION};
use kube::{
    Api, Client,
    api::{DynamicObject, PartialObjectMeta},
    core::ObjectMeta,
};

use super::{Failure, Owner, Prepared, failure::Secrecy};
use crate::limits;

/// Which Releases there are: `namespace/name` of the living Release with this UID.
pub trait Releases: Send + Sync {
    /// Its name for people, if it lives.
    fn named(&self, uid: &str) -> Option<String>;
}

/// Refuses `object` if it belongs to another Release; gives its metadata, if it is there. Costs one read.
pub async fn check(
    client: &Client,
    object: &Prepared,
    owner: &Owner,
    releases: &dyn Releases,
) -> Result<Option<ObjectMeta>, Failure> {
    let found = read(client, object).await?;
    if let Some(metadata) = &found {
        refuse_foreign(metadata, owner, releases).map_err(|f| f.at(object.place()))?;
    }
    Ok(found)
}

/// Refuses what belongs to another living Release.
pub fn refuse_foreign(
    metadata: &ObjectMeta,
    owner: &Owner,
    releases: &dyn Releases,
) -> Result<(), Failure> {
    let Some(uid) = owner_of(metadata).filter(|uid| *uid != owner.uid) else {
        return Ok(());
    };
    match releases.named(uid) {
        Some(name) => Err(Failure::environment(format!(
            "the object belongs to Release {name}; take it out of one of the two sources"
        ))),
        None => Ok(()),
    }
}

/// UID of the Release that an object says it belongs to.
pub fn owner_of(metadata: &ObjectMeta) -> Option<&str> {
    metadata
        .annotations
        .as_ref()?
        .get(RELEASE_UID_ANNOTATION)
        .map(String::as_str)
}

/// Whether an object carries both of Belay's marks of this owner: only then is it pruned.
pub fn is_ours(metadata: &ObjectMeta, owner: &Owner) -> bool {
    let label = metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get(RELEASE_LABEL));
    label == Some(&owner.name) && owner_of(metadata) == Some(owner.uid.as_str())
}

async fn read(client: &Client, object: &Prepared) -> Result<Option<ObjectMeta>, Failure> {
    let resource = &object.kind.resource;
    let api: Api<PartialObjectMeta<DynamicObject>> = match &object.key.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, resource),
        None => Api::all_with(client.clone(), resource),
    };
    let request = api.get_opt(&object.key.name);
    match tokio::time::timeout(limits::API_CALL, request).await {
        Ok(Ok(found)) => Ok(found.map(|found| found.metadata)),
        Ok(Err(error)) => Err(Failure::of(&error, Secrecy::Open).at(object.place())),
        Err(_) => Err(Failure::passing("the API server did not answer in time").at(object.place())),
    }
}
