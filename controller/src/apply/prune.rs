//! Taking objects out of the cluster, or giving them up.
//!
//! Invariant: only an object that carries both of Belay's marks of this very Release is deleted, under its UID, and only if it
//! lets itself be pruned (`belay_engine::release::words`). What others need goes last, and waits until they are gone with
//! everything that they made. What is left, and why, is told per object.

use belay_api::names::{RELEASE_LABEL, RELEASE_UID_ANNOTATION};
use belay_engine::release::{
    observed::{Fault, ObjectKey},
    words::is_guarded,
};
use either::Either;
use futures::{StreamExt as _, future, stream};
use kube::{
    Api, Client, ResourceExt as _,
    api::{
        ApiResource, DeleteParams, DynamicObject, PartialObjectMeta, Patch, PatchParams,
        Preconditions,
    },
    core::DynamicResourceScope,
};
use serde_json::json;
use tokio::time::Instant;

use super::{
    Failure, Kind, Owner, Target,
    failure::Secrecy,
    order::{Rank, rank},
    owners::is_ours,
    words,
};
use crate::{client::in_time, limits};

/// Objects at the same time.
const CONCURRENCY: usize = 8;

/// An object to take out: its key and API version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doomed {
    /// Its identity.
    pub key: ObjectKey,
    /// The API version that it was applied in.
    pub api_version: String,
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is gone, or on its way with nothing to hold it up.
    Gone,
    /// It is not Belay's to delete, and is no longer tracked.
    GivenUp,
    /// It is still there; the text says why.
    Left(String),
}

/// Deletes objects, last applied first; begins with none after `deadline`. Nothing is told of those that it did not come to.
pub async fn delete(
    target: &Target,
    owner: &Owner,
    mut doomed: Vec<Doomed>,
    deadline: Instant,
) -> Vec<(ObjectKey, Outcome)> {
    doomed.sort_by_key(|one| std::cmp::Reverse(rank(&one.key.group, &one.key.kind)));
    let mut outcomes = Vec::with_capacity(doomed.len());
    let mut waiting_for: Option<String> = None;
    for same_rank in
        doomed.chunk_by(|a, b| rank(&a.key.group, &a.key.kind) == rank(&b.key.group, &b.key.kind))
    {
        if let Some(blocker) = &waiting_for {
            let waits = |one: &Doomed| {
                (
                    one.key.clone(),
                    Outcome::Left(format!("it waits until {blocker} is gone")),
                )
            };
            outcomes.extend(same_rank.iter().map(waits));
            continue;
        }
        let deletions: Vec<_> = same_rank
            .iter()
            .map(|one| in_time(deadline, delete_one(target, owner, one)))
            .collect();
        let done: Vec<_> = stream::iter(deletions)
            .buffered(CONCURRENCY)
            .filter_map(future::ready)
            .collect()
            .await;
        let is_whole = done.len() == same_rank.len();
        let left = done
            .iter()
            .find(|(_, outcome)| matches!(outcome, Outcome::Left(_)));
        waiting_for = left.map(|(key, _)| key.to_string());
        outcomes.extend(done);
        if !is_whole {
            break;
        }
    }
    outcomes
}

/// Takes Belay's marks off objects, which stay; begins with none after `deadline`.
pub async fn release(
    target: &Target,
    owner: &Owner,
    objects: &[Doomed],
    deadline: Instant,
) -> Vec<(ObjectKey, Outcome)> {
    let releases: Vec<_> = objects
        .iter()
        .map(|one| in_time(deadline, release_one(target, owner, one)))
        .collect();
    stream::iter(releases)
        .buffered(CONCURRENCY)
        .filter_map(future::ready)
        .collect()
        .await
}

async fn delete_one(target: &Target, owner: &Owner, one: &Doomed) -> (ObjectKey, Outcome) {
    let outcome = match try_delete(target, owner, one).await {
        Ok(outcome) => outcome,
        // It would have to say itself that it may go, and can't be asked.
        Err(failure)
            if is_guarded(&one.key.group, &one.key.kind) && failure.fault == Fault::Environment =>
        {
            Outcome::GivenUp
        }
        Err(failure) => Outcome::Left(failure.message),
    };
    (one.key.clone(), outcome)
}

async fn try_delete(target: &Target, owner: &Owner, one: &Doomed) -> Result<Outcome, Failure> {
    // A kind that is no longer there took its objects with it.
    let Some(kind) = target
        .kinds
        .resolve(&one.api_version, &one.key.kind)
        .await?
    else {
        return Ok(Outcome::Gone);
    };
    let live: Api<PartialObjectMeta<DynamicObject>> = api(&target.client, one, &kind);
    let Some(found) = call(live.get_opt(&one.key.name)).await? else {
        return Ok(Outcome::Gone);
    };
    if !is_ours(&found.metadata, owner) {
        return Ok(Outcome::GivenUp);
    }
    if found.metadata.deletion_timestamp.is_some() {
        return Ok(Outcome::Left(dying(
            &found.metadata.finalizers.unwrap_or_default(),
        )));
    }
    if !words::live(&found.metadata).lets_prune(&one.key, &owner.namespace) {
        // It stays, so that another Release may take it over.
        return Ok(match take_marks_off(target, owner, one).await {
            Outcome::Gone => Outcome::GivenUp,
            other => other,
        });
    }
    let objects: Api<DynamicObject> = api(&target.client, one, &kind);
    let parameters = parameters(&one.key, found.uid());
    match call(objects.delete(&one.key.name, &parameters)).await? {
        Either::Left(object) => Ok(Outcome::Left(dying(object.finalizers()))),
        Either::Right(_) => Ok(Outcome::Gone),
    }
}

/// Workloads stay until everything that they made is gone: what is deleted after them may be what their pods still use.
fn parameters(key: &ObjectKey, uid: Option<String>) -> DeleteParams {
    let how = if rank(&key.group, &key.kind) == Rank::Workloads {
        DeleteParams::foreground()
    } else {
        DeleteParams::background()
    };
    DeleteParams {
        preconditions: Some(Preconditions {
            uid,
            resource_version: None,
        }),
        ..how
    }
}

fn dying(finalizers: &[String]) -> String {
    match finalizers {
        [] => "it is being deleted".to_owned(),
        [only] if only == "foregroundDeletion" => {
            "it is being deleted and waits until what it made is gone".to_owned()
        }
        finalizers => format!(
            "it is being deleted and waits for its finalizers: {}",
            finalizers.join(", ")
        ),
    }
}

async fn release_one(target: &Target, owner: &Owner, one: &Doomed) -> (ObjectKey, Outcome) {
    (one.key.clone(), take_marks_off(target, owner, one).await)
}

async fn take_marks_off(target: &Target, owner: &Owner, one: &Doomed) -> Outcome {
    let kind = match target.kinds.resolve(&one.api_version, &one.key.kind).await {
        Ok(Some(kind)) => kind,
        Ok(None) => return Outcome::Gone,
        Err(failure) => return Outcome::Left(failure.message),
    };
    let escaped = |name: &str| name.replace('/', "~1");
    let annotation = format!("/metadata/annotations/{}", escaped(RELEASE_UID_ANNOTATION));
    let label = format!("/metadata/labels/{}", escaped(RELEASE_LABEL));
    let operations = json!([
        {"op": "test", "path": annotation, "value": owner.uid},
        {"op": "remove", "path": annotation},
        {"op": "test", "path": label, "value": owner.name},
        {"op": "remove", "path": label},
    ]);
    let Ok(patch) = serde_json::from_value::<json_patch::Patch>(operations) else {
        return Outcome::Left("its marks can't be named".to_owned());
    };
    let api: Api<DynamicObject> = api(&target.client, one, &kind);
    let parameters = PatchParams {
        field_manager: Some(belay_api::names::FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let patch = Patch::Json::<()>(patch);
    let request = api.patch_metadata(&one.key.name, &parameters, &patch);
    match tokio::time::timeout(limits::API_CALL, request).await {
        Ok(Ok(_)) => Outcome::Gone,
        // 422: a test failed, so the marks are somebody else's or gone.
        Ok(Err(kube::Error::Api(status))) if matches!(status.code, 404 | 422) => Outcome::GivenUp,
        Ok(Err(error)) => Outcome::Left(Failure::of(&error, Secrecy::Secret).message),
        Err(_) => Outcome::Left("the API server did not answer in time".to_owned()),
    }
}

fn api<K>(client: &Client, one: &Doomed, kind: &Kind) -> Api<K>
where
    K: kube::Resource<DynamicType = ApiResource, Scope = DynamicResourceScope>,
{
    match &one.key.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind.resource),
        None => Api::all_with(client.clone(), &kind.resource),
    }
}

async fn call<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(limits::API_CALL, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failure::of(&error, Secrecy::Open)),
        Err(_) => Err(Failure::passing("the API server did not answer in time")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        apply::{Identity, Kinds, Via},
        watch::ServerVersion,
    };

    #[test]
    fn an_object_held_up_by_a_finalizer_is_named_with_it() {
        assert!(dying(&["example.com/x".to_owned()]).contains("example.com/x"));
        assert!(!dying(&["foregroundDeletion".to_owned()]).contains("finalizer"));
        assert_eq!(dying(&[]), "it is being deleted");
    }

    #[tokio::test]
    async fn too_late_none_is_begun_and_nothing_is_said_of_any() {
        // Given an API server that must not be asked.
        let service = tower::service_fn(|request: http::Request<kube::client::Body>| async move {
            Err::<http::Response<kube::client::Body>, _>(tower::BoxError::from(
                request.uri().to_string(),
            ))
        });
        let client = Client::new(service, "shop");
        let target = Target {
            via: Via::Account(Identity {
                namespace: "shop".into(),
                name: "deployer".into(),
            }),
            kinds: Arc::new(Kinds::new(client.clone())),
            client,
            server: ServerVersion::parse("36"),
            doubts: None,
        };
        let owner = Owner {
            namespace: "shop".into(),
            name: "shop".into(),
            uid: "u-1".into(),
        };
        let doomed = |kind: &str, api_version: &str| Doomed {
            key: ObjectKey {
                group: String::new(),
                kind: kind.into(),
                namespace: Some("shop".into()),
                name: "web".into(),
            },
            api_version: api_version.into(),
        };
        let all = vec![doomed("Service", "v1"), doomed("ConfigMap", "v1")];
        // When the time is over, then nothing is told, so that all stay in the inventory for the next go.
        let now = Instant::now();
        assert_eq!(delete(&target, &owner, all.clone(), now).await, vec![]);
        assert_eq!(release(&target, &owner, &all, now).await, vec![]);
        // While there is time, each is asked about.
        let later = now + std::time::Duration::from_mins(1);
        let told = delete(&target, &owner, all, later).await;
        assert_eq!(told.len(), 2);
        assert!(
            told.iter()
                .all(|(_, outcome)| matches!(outcome, Outcome::Left(_)))
        );
    }

    #[test]
    fn workloads_go_after_their_pods_and_are_deleted_under_their_uid() {
        let key = |group: &str, kind: &str| ObjectKey {
            group: group.into(),
            kind: kind.into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        let of = |group, kind| parameters(&key(group, kind), Some("u-1".into()));
        assert_eq!(
            of("apps", "Deployment").propagation_policy,
            DeleteParams::foreground().propagation_policy
        );
        let map = of("", "ConfigMap");
        assert_eq!(
            map.propagation_policy,
            DeleteParams::background().propagation_policy
        );
        assert_eq!(map.preconditions.unwrap().uid.as_deref(), Some("u-1"));
    }
}
