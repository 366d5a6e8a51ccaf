//! Carries out effects on ReplicaSets: the candidate's life from creation to handover or removal.
//!
//! Invariant: a ReplicaSet is changed or deleted only while it is controlled by whom the decision saw. That is checked again
//! on the newest version when the observed one is stale, for the status of a ReplicaSet changes with each of its pods.

use std::sync::Arc;

use belay_api::{
    Rollout,
    names::{DIGEST_ANNOTATION, ROLLOUT_LABEL},
};
use belay_engine::{
    digest::{Digest, POD_TEMPLATE_HASH},
    rollout::observed::Owner,
};
use either::Either;
use kube::{
    Resource as _, ResourceExt as _,
    api::{DeleteParams, DynamicObject, PostParams, Preconditions, PropagationPolicy},
};
use serde_json::{Map, Value, json};

use super::{
    Shell,
    act::{gone_is_stale, guarded},
    pass::parameters,
    project::{self, controller_of},
};
use crate::{Error, Result, client::bounded, watch::store::Source};

/// How often a write is tried again on a newer version of the ReplicaSet.
const NEWER_VERSIONS: usize = 3;

/// The Deployment controller's note of `spec.replicas`.
const DESIRED_REPLICAS_POINTER: &str =
    "/metadata/annotations/deployment.kubernetes.io~1desired-replicas";

/// The Deployment controller's note of `spec.replicas` and surge.
const MAX_REPLICAS_POINTER: &str = "/metadata/annotations/deployment.kubernetes.io~1max-replicas";

impl Shell {
    /// Creates the candidate from the Deployment's template as it is now, provided it is the one that was decided on.
    pub(super) async fn create_candidate(
        &self,
        rollout: &Rollout,
        digest: &Digest,
        hash: &str,
        replicas: i32,
    ) -> Result<()> {
        let deployment = self.deployment(rollout, digest).await?;
        if project::template(&deployment.data).digest != *digest {
            return Err(Error::Stale("the Deployment has another template"));
        }
        let set = candidate(rollout, &deployment, digest, hash, replicas)?;
        self.context.term.check()?;
        let api = self.set_api(rollout);
        let created = bounded(
            "creating the candidate",
            api.create(&PostParams::default(), &set),
        )
        .await;
        let object = match created {
            Ok(object) => object,
            Err(Error::Kube(kube::Error::Api(status))) if status.is_already_exists() => {
                let object = bounded("reading the candidate", api.get(&set.name_any()))
                    .await
                    .map_err(gone_is_stale)?;
                is_this_candidate(rollout, &object, digest)?;
                object
            }
            Err(error) => return Err(error),
        };
        self.world.saw_set(&object, Source::Answer);
        Ok(())
    }

    /// The Deployment in full: kept since its change, or read.
    async fn deployment(&self, rollout: &Rollout, digest: &Digest) -> Result<Arc<DynamicObject>> {
        let namespace = rollout.namespace().unwrap_or_default();
        let name = &rollout.spec.workload_ref.name;
        let known = self.world.workloads.get(&namespace, name);
        let kept = known.and_then(|known| self.world.held.take(&known.view.uid, digest));
        if let Some(kept) = kept {
            return Ok(kept);
        }
        let read = self.workload_api(rollout);
        let deployment = bounded("reading the Deployment", read.get(name))
            .await
            .map_err(gone_is_stale)?;
        Ok(Arc::new(deployment))
    }

    pub(super) async fn scale_candidate(
        &self,
        rollout: &Rollout,
        name: &str,
        replicas: i32,
    ) -> Result<()> {
        let scale = [json!({"op": "add", "path": "/spec/replicas", "value": replicas})];
        let version = self.known_version(rollout, name);
        self.patch_set(rollout, name, version, Owner::Rollout, &scale)
            .await
    }

    pub(super) async fn hand_over(
        &self,
        rollout: &Rollout,
        name: &str,
        resource_version: &str,
    ) -> Result<()> {
        let namespace = rollout.namespace().unwrap_or_default();
        let workload_name = &rollout.spec.workload_ref.name;
        let deployment = self
            .world
            .workloads
            .get(&namespace, workload_name)
            .ok_or(Error::Stale("the Deployment is gone"))?;
        let owner = json!([{
            "apiVersion": "apps/v1", "kind": "Deployment", "name": workload_name, "uid": deployment.view.uid,
            "controller": true, "blockOwnerDeletion": true,
        }]);
        // The Deployment controller notes on its ReplicaSets for which size of the Deployment they were made. Between this write
        // and the un-pausing it may scale two active ReplicaSets in proportion; with these notes it takes the difference from
        // the larger and older one, the stable one, and never ends a canary pod.
        let replicas = deployment.view.replicas;
        let most = replicas.saturating_add(deployment.max_surge);
        let change = [
            json!({"op": "add", "path": "/metadata/ownerReferences", "value": owner}),
            json!({"op": "add", "path": DESIRED_REPLICAS_POINTER, "value": replicas.to_string()}),
            json!({"op": "add", "path": MAX_REPLICAS_POINTER, "value": most.to_string()}),
        ];
        self.patch_set(
            rollout,
            name,
            resource_version.to_owned(),
            Owner::Rollout,
            &change,
        )
        .await
    }

    pub(super) async fn take_back(
        &self,
        rollout: &Rollout,
        name: &str,
        resource_version: &str,
    ) -> Result<()> {
        let owner = json!([owner_reference(rollout)]);
        let change = [json!({"op": "add", "path": "/metadata/ownerReferences", "value": owner})];
        self.patch_set(
            rollout,
            name,
            resource_version.to_owned(),
            Owner::Deployment,
            &change,
        )
        .await
    }

    pub(super) async fn remove_candidate(
        &self,
        rollout: &Rollout,
        name: &str,
        uid: &str,
        resource_version: &str,
    ) -> Result<()> {
        let namespace = rollout.namespace().unwrap_or_default();
        let mut version = resource_version.to_owned();
        for _ in 0..NEWER_VERSIONS {
            self.context.term.check()?;
            let parameters = DeleteParams {
                propagation_policy: Some(PropagationPolicy::Background),
                preconditions: Some(Preconditions {
                    uid: Some(uid.to_owned()),
                    resource_version: Some(version),
                }),
                ..DeleteParams::default()
            };
            let api = self.set_api(rollout);
            match bounded("removing the candidate", api.delete(name, &parameters)).await {
                Ok(Either::Left(object)) => {
                    self.world.saw_set(&object, Source::Answer);
                    return Ok(());
                }
                Ok(Either::Right(_)) => {
                    self.world
                        .sets
                        .delete(&namespace, name, uid, Source::Answer);
                    return Ok(());
                }
                Err(error) if error.is_not_found() => {
                    self.world
                        .sets
                        .delete(&namespace, name, uid, Source::Answer);
                    return Ok(());
                }
                Err(error) if error.is_stale() => {
                    version = self.newer(rollout, name, Owner::Rollout).await?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(Error::Stale("the candidate is being changed all the time"))
    }

    fn known_version(&self, rollout: &Rollout, name: &str) -> String {
        let namespace = rollout.namespace().unwrap_or_default();
        let set = self.world.sets.get(&namespace, name);
        set.map(|set| set.view.resource_version.clone())
            .unwrap_or_default()
    }

    /// One JSON patch of a ReplicaSet that is controlled by `owner`.
    async fn patch_set(
        &self,
        rollout: &Rollout,
        name: &str,
        mut version: String,
        owner: Owner,
        operations: &[Value],
    ) -> Result<()> {
        for _ in 0..NEWER_VERSIONS {
            self.context.term.check()?;
            let patch = guarded(&version, operations)?;
            let (api, parameters) = (self.set_api(rollout), parameters());
            match bounded(
                "changing a ReplicaSet",
                api.patch(name, &parameters, &patch),
            )
            .await
            {
                Ok(object) => {
                    self.world.saw_set(&object, Source::Answer);
                    return Ok(());
                }
                Err(error) if error.is_stale() => {
                    version = self.newer(rollout, name, owner).await?;
                }
                Err(error) => return Err(gone_is_stale(error)),
            }
        }
        Err(Error::Stale("the ReplicaSet is being changed all the time"))
    }

    /// The newest resource version of a ReplicaSet, provided it is still controlled by `owner`.
    async fn newer(&self, rollout: &Rollout, name: &str, owner: Owner) -> Result<String> {
        let object = bounded("reading a ReplicaSet", self.set_api(rollout).get(name))
            .await
            .map_err(gone_is_stale)?;
        let controller = controller_of(&object).map(|owner| owner.uid.as_str());
        let expected = match owner {
            Owner::Rollout => rollout.uid(),
            Owner::Deployment => {
                let namespace = rollout.namespace().unwrap_or_default();
                let name = &rollout.spec.workload_ref.name;
                let workload = self.world.workloads.get(&namespace, name);
                workload.map(|workload| workload.view.uid.clone())
            }
        };
        if controller.is_none() || controller != expected.as_deref() {
            return Err(Error::Stale("the ReplicaSet has another owner"));
        }
        Ok(object.resource_version().unwrap_or_default())
    }
}

/// Whether an existing ReplicaSet is the candidate that was to be created.
fn is_this_candidate(rollout: &Rollout, object: &DynamicObject, digest: &Digest) -> Result<()> {
    if object.metadata.deletion_timestamp.is_some() {
        return Err(Error::Stale(
            "the candidate's predecessor is still being deleted",
        ));
    }
    let set = project::set(object, None);
    let ours = set.owner_uid == rollout.uid() || set.view.owner == Owner::Deployment;
    if ours && set.view.template.digest == *digest {
        return Ok(());
    }
    Err(Error::Malformed {
        kind: "ReplicaSet",
        name: set.view.name,
        what: "its name is needed for the candidate, and it is not Belay's; delete it or rename it"
            .to_owned(),
    })
}

pub(super) fn owner_reference(rollout: &Rollout) -> Value {
    json!({
        "apiVersion": Rollout::api_version(&()), "kind": Rollout::kind(&()),
        "name": rollout.name_any(), "uid": rollout.uid(),
        "controller": true, "blockOwnerDeletion": true,
    })
}

/// The candidate: what the Deployment controller would make of this template, with the Rollout as its controller.
fn candidate(
    rollout: &Rollout,
    deployment: &DynamicObject,
    digest: &Digest,
    hash: &str,
    replicas: i32,
) -> Result<DynamicObject> {
    let malformed = |what: &str| Error::Malformed {
        kind: "Deployment",
        name: deployment.name_any(),
        what: what.to_owned(),
    };
    let spec = |pointer: &str| deployment.data.pointer(pointer).cloned();
    let template = spec("/spec/template").ok_or_else(|| malformed("it has no template"))?;
    let selector = spec("/spec/selector").ok_or_else(|| malformed("it has no selector"))?;
    let hashed = with_hash(template.pointer("/metadata/labels"), hash);
    let mut labels = hashed.clone();
    labels.insert(ROLLOUT_LABEL.to_owned(), json!(rollout.name_any()));
    let match_labels = with_hash(selector.get("matchLabels"), hash);
    let mut set = json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{}-{hash}", deployment.name_any()),
            "namespace": deployment.namespace(),
            "labels": labels,
            "annotations": {DIGEST_ANNOTATION: digest},
            "ownerReferences": [owner_reference(rollout)],
        },
        "spec": {
            "replicas": replicas,
            "minReadySeconds": spec("/spec/minReadySeconds").unwrap_or(json!(0)),
            "selector": selector,
            "template": template,
        },
    });
    put(&mut set, "/spec/template/metadata", "labels", hashed);
    put(&mut set, "/spec/selector", "matchLabels", match_labels);
    Ok(serde_json::from_value(set)?)
}

fn with_hash(labels: Option<&Value>, hash: &str) -> Map<String, Value> {
    let mut labels = labels
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    labels.insert(POD_TEMPLATE_HASH.to_owned(), json!(hash));
    labels
}

/// Puts a map into the object at `pointer`, where the API server always has one.
fn put(object: &mut Value, pointer: &str, key: &str, map: Map<String, Value>) {
    if let Some(inner) = object.pointer_mut(pointer).and_then(Value::as_object_mut) {
        inner.insert(key.to_owned(), Value::Object(map));
    }
}
