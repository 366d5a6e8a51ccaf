//! Renders of verified versions, kept in Secrets beside the Release: what a rollback needs, without Git and without a program
//! that renders.

use std::collections::{BTreeMap, HashSet};

use belay_engine::digest::Digest;
use belay_source::{SECRET_CHUNK_BYTES, pack, unpack};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, ObjectMeta, PartialObjectMeta, PostParams},
};

use super::{
    Failure, Manifest, Owner,
    failure::Secrecy,
    kept::{self, CONTENT_LABEL, KEPT_FOR_LABEL, PART_LABEL},
};
use crate::{Result, client::bounded};

const PART: &str = "render";
const DATA: &str = "objects.json.gz";
const DIGEST: &str = "belay.dev/content-digest";
const PIECE: &str = "belay.dev/piece";
const PIECES: &str = "belay.dev/pieces";
/// Positions of the objects that nothing may be quoted of.
const WITHHELD: &str = "belay.dev/withheld";

/// Digests of the complete renders that are kept for `owner`.
pub async fn kept(client: &Client, owner: &Owner) -> Result<Vec<Digest>> {
    let mut found: BTreeMap<Digest, (usize, usize)> = BTreeMap::new();
    for metadata in list_names(client, owner).await? {
        if let Some((digest, _, pieces)) = place(&metadata) {
            let entry = found.entry(digest).or_insert((0, pieces));
            entry.0 += 1;
        }
    }
    Ok(found
        .into_iter()
        .filter(|(_, (there, wanted))| there >= wanted)
        .map(|(digest, _)| digest)
        .collect())
}

/// Keeps a render.
pub async fn store(
    client: &Client,
    owner: &Owner,
    digest: &Digest,
    manifests: &[Manifest],
) -> Result<(), Failure> {
    let failed = |error: crate::Error| Failure::passing(error.to_string());
    let packed = pack(manifests.iter().map(|manifest| &manifest.value))
        .map_err(|error| Failure::content(error.to_string()))?;
    let api = secrets(client, owner);
    let pieces = packed.chunks(SECRET_CHUNK_BYTES);
    let count = pieces.len();
    for (index, piece) in pieces.enumerate() {
        let mut metadata = kept::metadata(owner, name(owner, digest, index), PART);
        if let Some(labels) = &mut metadata.labels {
            labels.insert(CONTENT_LABEL.to_owned(), digest.short());
        }
        metadata.annotations = Some(BTreeMap::from([
            (DIGEST.to_owned(), digest.to_string()),
            (PIECE.to_owned(), index.to_string()),
            (PIECES.to_owned(), count.to_string()),
            (WITHHELD.to_owned(), withheld(manifests)),
        ]));
        let secret = Secret {
            metadata,
            type_: Some("belay.dev/render".to_owned()),
            immutable: Some(true),
            data: Some([(DATA.to_owned(), ByteString(piece.to_vec()))].into()),
            ..Secret::default()
        };
        let parameters = PostParams {
            field_manager: Some(belay_api::names::FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        match bounded("keeping a render", api.create(&parameters, &secret)).await {
            Ok(_) => {}
            // The same name holds the same digest: an earlier attempt got this far.
            Err(crate::Error::Kube(kube::Error::Api(status))) if status.is_already_exists() => {}
            Err(error) => return Err(failed(error)),
        }
    }
    Ok(())
}

/// Reads a render; nothing if it is not kept whole.
pub async fn load(
    client: &Client,
    owner: &Owner,
    digest: &Digest,
) -> Result<Option<Vec<Manifest>>, Failure> {
    let mut marked = HashSet::new();
    let secrets = list(client, owner, digest)
        .await
        .map_err(|error| Failure::passing(error.to_string()))?;
    let mut pieces: Vec<(usize, usize, Vec<u8>)> = secrets
        .into_iter()
        .filter_map(|secret| {
            let (found, index, count) = place(&secret.metadata)?;
            marked.extend(marked_in(&secret.metadata));
            let data = secret.data?.remove(DATA)?;
            (found == *digest).then_some((index, count, data.0))
        })
        .collect();
    pieces.sort_by_key(|(index, ..)| *index);
    let whole = pieces
        .first()
        .is_some_and(|(_, count, _)| *count == pieces.len());
    if !whole {
        return Ok(None);
    }
    let packed: Vec<u8> = pieces.into_iter().flat_map(|(_, _, data)| data).collect();
    let objects = unpack(&packed).map_err(|error| Failure::environment(error.to_string()))?;
    let manifests = objects
        .into_iter()
        .enumerate()
        .map(|(index, value)| Manifest {
            source: "verified render".to_owned(),
            value,
            secrecy: if marked.contains(&index) {
                Secrecy::Secret
            } else {
                Secrecy::Open
            },
        });
    Ok(Some(manifests.collect()))
}

fn withheld(manifests: &[Manifest]) -> String {
    let marked = manifests.iter().enumerate();
    let marked = marked.filter(|(_, manifest)| manifest.secrecy == Secrecy::Secret);
    let positions: Vec<String> = marked.map(|(index, _)| index.to_string()).collect();
    positions.join(",")
}

fn marked_in(metadata: &ObjectMeta) -> Vec<usize> {
    let annotations = metadata.annotations.as_ref();
    let positions = annotations.and_then(|annotations| annotations.get(WITHHELD));
    let positions = positions
        .into_iter()
        .flat_map(|positions| positions.split(','));
    positions
        .filter_map(|position| position.parse().ok())
        .collect()
}

/// Deletes the renders of all content but `keep`.
pub async fn drop_others(client: &Client, owner: &Owner, keep: &[Digest]) -> Result<()> {
    let api = secrets(client, owner);
    for metadata in list_names(client, owner).await? {
        let is_kept = place(&metadata).is_some_and(|(digest, ..)| keep.contains(&digest));
        let Some(name) = metadata.name.filter(|_| !is_kept) else {
            continue;
        };
        let parameters = DeleteParams::default();
        match bounded("dropping a render", api.delete(&name, &parameters)).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Metadata of all renders: their data stays where it is.
async fn list_names(client: &Client, owner: &Owner) -> Result<Vec<ObjectMeta>> {
    let api: Api<PartialObjectMeta<Secret>> = Api::namespaced(client.clone(), &owner.namespace);
    let parameters = ListParams::default().labels(&selector(owner));
    let listed = bounded("listing renders", api.list(&parameters)).await?;
    let ours = |found: &PartialObjectMeta<Secret>| kept::is_kept_for(&found.metadata, owner);
    Ok(listed
        .into_iter()
        .filter(ours)
        .map(|found| found.metadata)
        .collect())
}

fn selector(owner: &Owner) -> String {
    format!("{KEPT_FOR_LABEL}={},{PART_LABEL}={PART}", owner.name)
}

async fn list(client: &Client, owner: &Owner, digest: &Digest) -> Result<Vec<Secret>> {
    let selector = format!("{},{CONTENT_LABEL}={}", selector(owner), digest.short());
    let parameters = ListParams::default().labels(&selector);
    let api = secrets(client, owner);
    let listed = bounded("listing renders", api.list(&parameters)).await?;
    let ours = |secret: &Secret| kept::is_kept_for(&secret.metadata, owner);
    Ok(listed.into_iter().filter(ours).collect())
}

fn secrets(client: &Client, owner: &Owner) -> Api<Secret> {
    Api::namespaced(client.clone(), &owner.namespace)
}

fn name(owner: &Owner, digest: &Digest, index: usize) -> String {
    format!("{}.belay-render.{}.{index}", owner.name, digest.short())
}

/// Digest, index and number of pieces.
fn place(metadata: &ObjectMeta) -> Option<(Digest, usize, usize)> {
    let annotations = metadata.annotations.as_ref()?;
    let number = |key: &str| annotations.get(key)?.parse().ok();
    let digest = Digest::from_text(annotations.get(DIGEST)?.clone());
    Some((digest, number(PIECE)?, number(PIECES)?))
}
