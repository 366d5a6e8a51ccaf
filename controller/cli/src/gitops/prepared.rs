//! Rendered objects as Belay would send them: in their namespaces, with its marks.
//!
//! The rules are the controller's. What it leaves to others (replicas to an autoscaler, the hold to a Rollout) is left to them here.

use std::collections::HashSet;

use belay_api::{
    Release, Rollout,
    names::{RELEASE_LABEL, RELEASE_UID_ANNOTATION},
};
use belay_engine::release::observed::ObjectKey;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Map, Value, json};

use super::kinds::{Kind, Kinds};
use crate::cluster::Cluster;

/// An object that could be sent.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) key: ObjectKey,
    pub(super) kind: Kind,
    pub(super) body: Value,
}

/// Prepares one object; an error is a sentence.
pub(super) fn prepare(
    value: &Value,
    release: &Release,
    namespace: &str,
    kinds: &Kinds,
) -> Result<Prepared, String> {
    let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind_name) = (text("apiVersion"), text("kind"));
    let kind = kinds
        .of(api_version, kind_name)
        .ok_or_else(|| format!("the API server does not know kind {kind_name} of {api_version}"))?;
    let mut body = value.clone();
    super::noise::strip(&mut body);
    let metadata = body
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .ok_or_else(|| "the object has no metadata".to_owned())?;
    let name = metadata.get("name").and_then(Value::as_str);
    let name = name
        .ok_or_else(|| "the object has no name".to_owned())?
        .to_owned();
    let namespace = if kind.is_namespaced() {
        let written = metadata.get("namespace").and_then(Value::as_str);
        let namespace = written.unwrap_or(namespace).to_owned();
        metadata.insert("namespace".to_owned(), json!(namespace));
        Some(namespace)
    } else {
        metadata.remove("namespace");
        None
    };
    let owner = &release.metadata;
    let (label, uid) = (owner.name.clone(), owner.uid.clone());
    mark(metadata, "labels", RELEASE_LABEL, label.unwrap_or_default());
    mark(
        metadata,
        "annotations",
        RELEASE_UID_ANNOTATION,
        uid.unwrap_or_default(),
    );
    Ok(Prepared {
        key: ObjectKey {
            group: kind.resource.group.clone(),
            kind: kind.resource.kind.clone(),
            namespace,
            name,
        },
        kind: kind.clone(),
        body,
    })
}

fn mark(metadata: &mut Map<String, Value>, map: &str, key: &str, value: String) {
    let entry = metadata.entry(map).or_insert_with(|| json!({}));
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(key.to_owned(), Value::String(value));
    }
}

/// Whose fields some workloads have: kind, namespace and name.
pub(super) type Workloads = HashSet<(String, String, String)>;

/// Who moves the workloads of a set.
#[derive(Debug, Default)]
pub(super) struct Movers {
    /// Workloads that an autoscaler scales.
    scaled: Workloads,
    /// Workloads that a Rollout holds.
    governed: Workloads,
}

impl Movers {
    /// Those of the set, and those of the cluster as far as the user may list them.
    pub(super) async fn of(set: &[Prepared], cluster: &Cluster) -> Self {
        let mut movers = Self::default();
        for object in set {
            let namespace = object.key.namespace.clone().unwrap_or_default();
            let target = |pointer: &str| reference(&object.body, pointer, &namespace);
            match object.key.kind.as_str() {
                "HorizontalPodAutoscaler" => movers.scaled.extend(target("/spec/scaleTargetRef")),
                "Rollout" if object.key.group == "belay.dev" => {
                    movers.governed.extend(target("/spec/workloadRef"));
                }
                _ => {}
            }
        }
        let namespaces: HashSet<&str> = set
            .iter()
            .filter_map(|object| object.key.namespace.as_deref())
            .collect();
        for namespace in namespaces {
            movers.in_namespace(namespace, cluster).await;
        }
        movers
    }

    async fn in_namespace(&mut self, namespace: &str, cluster: &Cluster) {
        let parameters = ListParams::default().limit(500);
        let api =
            kube::Api::<HorizontalPodAutoscaler>::namespaced(cluster.client.clone(), namespace);
        for scaler in api.list(&parameters).await.into_iter().flatten() {
            if let Some(target) = scaler.spec.map(|spec| spec.scale_target_ref) {
                self.scaled
                    .insert((target.kind, namespace.to_owned(), target.name));
            }
        }
        let api = kube::Api::<Rollout>::namespaced(cluster.client.clone(), namespace);
        for rollout in api.list(&parameters).await.into_iter().flatten() {
            let workload = rollout.spec.workload_ref;
            let kind = format!("{:?}", workload.kind);
            self.governed
                .insert((kind, namespace.to_owned(), workload.name));
        }
    }

    /// What is sent for `object`, given what is there.
    pub(super) fn body(&self, object: &Prepared, live: Option<&DynamicObject>) -> Value {
        let key = &object.key;
        let who = (
            key.kind.clone(),
            key.namespace.clone().unwrap_or_default(),
            key.name.clone(),
        );
        let mut body = object.body.clone();
        if let Some(live) = live.filter(|_| self.scaled.contains(&who))
            && let Some(spec) = body.get_mut("spec").and_then(Value::as_object_mut)
            && let Some(replicas) = spec.get_mut("replicas")
        {
            // Whoever owns the field: sending what is there changes nothing.
            match live.data.pointer("/spec/replicas") {
                Some(value) => *replicas = value.clone(),
                None => drop(spec.remove("replicas")),
            }
        }
        if self.governed.contains(&who) {
            leave_hold(&mut body, &key.kind);
        }
        body
    }
}

fn reference(body: &Value, pointer: &str, namespace: &str) -> Option<(String, String, String)> {
    let target = body.pointer(pointer)?;
    let text = |field: &str| target.get(field).and_then(Value::as_str);
    // A Rollout's reference may leave the usual kind out.
    let kind = text("kind").unwrap_or("Deployment").to_owned();
    Some((kind, namespace.to_owned(), text("name")?.to_owned()))
}

/// A governed workload's hold is the Rollout's to say.
fn leave_hold(body: &mut Value, kind: &str) {
    let holds = [
        ("/spec", "paused", true),
        ("/spec/updateStrategy/rollingUpdate", "partition", true),
        ("/spec/updateStrategy", "type", kind == "DaemonSet"),
    ];
    for (pointer, field, applies) in holds {
        let parent = body.pointer_mut(pointer).and_then(Value::as_object_mut);
        if let Some(parent) = parent.filter(|_| applies) {
            parent.remove(field);
        }
    }
}
