//! From raw Deployments and ReplicaSets to what the engine looks at.
//!
//! Invariant: digests are taken of the raw JSON as the API server sent it. Typed structs would drop fields that they don't know,
//! and two different templates would look the same.

use std::sync::Arc;

use belay_api::{names::ROLLOUT_LABEL, rollout::WorkloadKind};
use belay_engine::{
    config::{Reference, Stamp, references, without_stamp},
    digest::{Digest, POD_TEMPLATE_HASH},
    rollout::observed::{self, Owner, Template},
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::Value;

use super::{daemon::Nodes, stateful::Places};
use crate::watch::store::Projected;

/// Longest name of a version.
const VERSION_BYTES: usize = 120;

/// Default of `spec.revisionHistoryLimit`.
const REVISION_HISTORY: i64 = 10;

/// A Deployment, a StatefulSet or a DaemonSet.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    /// Namespace.
    pub(super) namespace: String,
    /// Name.
    pub(super) name: String,
    /// Value of Belay's label.
    pub(super) rollout: Option<String>,
    /// Its selector, as a label selector for lists; absent when it has expressions, which need no lists to work.
    pub(super) selector: Option<String>,
    /// Pods that its rolling update may add to `spec.replicas`.
    pub(super) max_surge: i32,
    /// Of a StatefulSet: what it says of its pods and their revisions.
    pub(super) places: Option<Places>,
    /// Of a DaemonSet: what it says of its pods.
    pub(super) nodes: Option<Nodes>,
    /// ConfigMaps and Secrets that its template refers to.
    pub(super) references: Arc<[Reference]>,
    /// As the engine sees it.
    pub(super) view: observed::Deployment,
}

/// A ReplicaSet.
#[derive(Clone, Debug)]
pub(super) struct Set {
    /// Namespace.
    pub(super) namespace: String,
    /// Value of Belay's label.
    pub(super) rollout: Option<String>,
    /// UID of its controller.
    pub(super) owner_uid: Option<String>,
    /// `metadata.generation`, to know when the template must be read again.
    pub(super) generation: i64,
    /// As the engine sees it; its owner is certain only once the UID is compared.
    pub(super) view: observed::ReplicaSet,
}

impl Projected for Workload {
    fn namespace(&self) -> &str {
        &self.namespace
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn uid(&self) -> &str {
        &self.view.uid
    }
    fn resource_version(&self) -> &str {
        &self.view.resource_version
    }
    fn group(&self) -> &str {
        self.rollout.as_deref().unwrap_or_default()
    }
}

impl Projected for Set {
    fn namespace(&self) -> &str {
        &self.namespace
    }
    fn name(&self) -> &str {
        &self.view.name
    }
    fn uid(&self) -> &str {
        &self.view.uid
    }
    fn resource_version(&self) -> &str {
        &self.view.resource_version
    }
    fn group(&self) -> &str {
        self.rollout.as_deref().unwrap_or_default()
    }
}

/// The projection of a workload. `previous` saves the digest when the spec has not changed.
pub(super) fn workload(
    kind: WorkloadKind,
    object: &DynamicObject,
    previous: Option<&Workload>,
) -> Workload {
    let data = &object.data;
    let uid = object.uid().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let same = previous.filter(|p| p.view.uid == uid && p.view.generation == generation);
    let template = same.map_or_else(|| template(data), |p| p.view.template.clone());
    let references = same.map_or_else(
        || references(data.pointer("/spec/template").unwrap_or(&Value::Null)).into(),
        |p| Arc::clone(&p.references),
    );
    let observed_generation = number(data, "/status/observedGeneration", 0);
    let seen = observed_generation == generation;
    let places = match kind {
        WorkloadKind::Deployment | WorkloadKind::DaemonSet => None,
        WorkloadKind::StatefulSet => Some(Places::of(data, seen.then(|| template.clone()))),
    };
    let nodes =
        (kind == WorkloadKind::DaemonSet).then(|| Nodes::of(data, seen.then(|| template.clone())));
    let partition = places
        .as_ref()
        .map_or(0, |places| places.stateful.partition);
    Workload {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        rollout: object.labels().get(ROLLOUT_LABEL).cloned(),
        selector: selector(data),
        max_surge: max_surge(data),
        places,
        nodes: nodes.clone(),
        references,
        view: observed::Deployment {
            kind,
            partition,
            max_unavailable: match kind {
                WorkloadKind::Deployment => 0,
                WorkloadKind::StatefulSet => max_unavailable(data),
                WorkloadKind::DaemonSet => nodes.as_ref().map_or(0, |nodes| nodes.max_unavailable),
            },
            uid,
            resource_version: object.resource_version().unwrap_or_default(),
            generation,
            observed_generation,
            labelled: object.labels().contains_key(ROLLOUT_LABEL),
            paused: match kind {
                WorkloadKind::Deployment => {
                    data.pointer("/spec/paused").and_then(Value::as_bool) == Some(true)
                }
                WorkloadKind::StatefulSet => partition > 0,
                WorkloadKind::DaemonSet => nodes.as_ref().is_some_and(|nodes| nodes.daemon.held),
            },
            replicas: count(data, "/spec/replicas", 1),
            template,
            recreate: match kind {
                WorkloadKind::Deployment => text(data, "/spec/strategy/type") == Some("Recreate"),
                WorkloadKind::StatefulSet => {
                    text(data, "/spec/updateStrategy/type") == Some("OnDelete")
                }
                WorkloadKind::DaemonSet => false,
            },
            revision_history_limit: count(data, "/spec/revisionHistoryLimit", REVISION_HISTORY),
            total_replicas: count(data, "/status/replicas", 0),
            updated_replicas: count(data, "/status/updatedReplicas", 0),
            ready_replicas: count(data, "/status/readyReplicas", 0),
            available_replicas: count(data, "/status/availableReplicas", 0),
            problem: problem(data),
        },
    }
}

/// The projection of a ReplicaSet. `previous` saves the digest when the spec has not changed.
pub(super) fn set(object: &DynamicObject, previous: Option<&Set>) -> Set {
    let data = &object.data;
    let uid = object.uid().unwrap_or_default();
    let generation = object.metadata.generation.unwrap_or_default();
    let template = previous
        .filter(|p| p.view.uid == uid && p.generation == generation)
        .map_or_else(|| template(data), |p| p.view.template.clone());
    let owner = controller_of(object);
    Set {
        namespace: object.namespace().unwrap_or_default(),
        rollout: object.labels().get(ROLLOUT_LABEL).cloned(),
        owner_uid: owner.map(|owner| owner.uid.clone()),
        generation,
        view: observed::ReplicaSet {
            name: object.name_any(),
            uid,
            resource_version: object.resource_version().unwrap_or_default(),
            owner: match owner {
                Some(owner) if owner.kind == "Rollout" => Owner::Rollout,
                _ => Owner::Deployment,
            },
            template,
            hash: object
                .labels()
                .get(POD_TEMPLATE_HASH)
                .cloned()
                .unwrap_or_default(),
            desired: count(data, "/spec/replicas", 1),
            total: count(data, "/status/replicas", 0),
            ready: count(data, "/status/readyReplicas", 0),
            available: count(data, "/status/availableReplicas", 0),
            terminating: object.metadata.deletion_timestamp.is_some(),
            problem: problem(data),
            pods: Vec::new(),
        },
    }
}

/// The owner reference of an object's controller.
pub(super) fn controller_of(object: &DynamicObject) -> Option<&OwnerReference> {
    object
        .owner_references()
        .iter()
        .find(|owner| owner.controller == Some(true))
}

/// The identity of `/spec/template`.
pub(super) fn template(data: &Value) -> Template {
    template_of(data.pointer("/spec/template").unwrap_or(&Value::Null))
}

/// The identity of a pod template.
pub(super) fn template_of(template: &Value) -> Template {
    Template::new(
        Digest::of(&without_stamp(template)),
        Stamp::on(template),
        version(template),
    )
}

/// What people call a template: the tags of its images, each once.
fn version(template: &Value) -> String {
    let mut tags: Vec<&str> = Vec::new();
    let containers = template
        .pointer("/spec/containers")
        .and_then(Value::as_array);
    for container in containers.into_iter().flatten() {
        let image = text(container, "/image").unwrap_or_default();
        let tag = tag(image);
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let mut joined = tags.join(", ");
    joined.truncate(joined.floor_char_boundary(VERSION_BYTES));
    joined
}

/// The tag of an image; without one the beginning of its digest, or its name.
fn tag(image: &str) -> &str {
    let (name, digest) = image.split_once('@').unwrap_or((image, ""));
    let last = name.rsplit('/').next().unwrap_or(name);
    match last.split_once(':') {
        Some((_, tag)) => tag,
        None if digest.is_empty() => last,
        None => digest.get(..19).unwrap_or(digest),
    }
}

/// `maxSurge` as the Deployment controller computes it: a percentage is rounded up.
fn max_surge(data: &Value) -> i32 {
    percent_of_replicas(data, data.pointer("/spec/strategy/rollingUpdate/maxSurge"))
}

/// A number of pods, or a percentage of the replicas, rounded up.
fn percent_of_replicas(data: &Value, value: Option<&Value>) -> i32 {
    let pods = match value {
        Some(Value::String(text)) => text
            .strip_suffix('%')
            .and_then(|percent| percent.parse::<i64>().ok())
            .map(|percent| (number(data, "/spec/replicas", 1) * percent + 99) / 100),
        Some(value) => value.as_i64(),
        None => None,
    };
    pods.and_then(|pods| i32::try_from(pods).ok()).unwrap_or(0)
}

/// Pods of a StatefulSet that may be unavailable at a time; a percentage is rounded up, and one pod always may.
fn max_unavailable(data: &Value) -> i32 {
    let budget = data.pointer("/spec/updateStrategy/rollingUpdate/maxUnavailable");
    percent_of_replicas(data, budget).max(1)
}

/// `matchLabels` as a selector for lists.
fn selector(data: &Value) -> Option<String> {
    let labels = data.pointer("/spec/selector/matchLabels")?.as_object()?;
    let pairs: Vec<String> = labels
        .iter()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect();
    (!pairs.is_empty()).then(|| pairs.join(","))
}

/// Why pods can't be made. The names of the single pods are left out: they differ at each attempt.
fn problem(data: &Value) -> Option<String> {
    let conditions = data.pointer("/status/conditions")?.as_array()?;
    let failure = conditions.iter().find(|condition| {
        text(condition, "/type") == Some("ReplicaFailure")
            && text(condition, "/status") == Some("True")
    })?;
    let message = text(failure, "/message")?;
    let stable = message
        .split_once("is forbidden: ")
        .map_or(message, |(_, why)| why);
    Some(stable.to_owned())
}

pub(super) fn text<'a>(data: &'a Value, pointer: &str) -> Option<&'a str> {
    data.pointer(pointer).and_then(Value::as_str)
}

pub(super) fn number(data: &Value, pointer: &str, default: i64) -> i64 {
    data.pointer(pointer)
        .and_then(Value::as_i64)
        .unwrap_or(default)
}

pub(super) fn count(data: &Value, pointer: &str, default: i64) -> i32 {
    i32::try_from(number(data, pointer, default)).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(spec: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop", "uid": "u", "resourceVersion": "7", "generation": 2,
                         "labels": {ROLLOUT_LABEL: "web"}},
            "spec": spec,
            "status": {"observedGeneration": 2, "replicas": 3, "conditions": [
                {"type": "ReplicaFailure", "status": "True", "message": "pods \"web-x1\" is forbidden: exceeded quota: small"}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_deployment_is_reduced_to_what_decisions_look_at() {
        let object = deployment(&json!({
            "paused": true, "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"spec": {"containers": [{"image": "r.example/a/web:v2"}, {"image": "side:1"}, {"image": "b:v2"}]}},
        }));
        let workload = workload(WorkloadKind::Deployment, &object, None);
        assert_eq!(workload.selector.as_deref(), Some("app=web"));
        assert!(workload.view.paused && workload.view.recreate && workload.view.labelled);
        assert_eq!(workload.view.replicas, 1, "the API's default");
        assert_eq!(workload.view.template.version, "v2, 1");
        assert_eq!(
            workload.view.problem.as_deref(),
            Some("exceeded quota: small")
        );
    }

    #[test]
    fn unknown_fields_count_for_the_digest() {
        let plain = deployment(&json!({"template": {"spec": {}}}));
        let newer = deployment(&json!({"template": {"spec": {"fromTheFuture": 1}}}));
        assert_ne!(
            workload(WorkloadKind::Deployment, &plain, None)
                .view
                .template
                .digest,
            workload(WorkloadKind::Deployment, &newer, None)
                .view
                .template
                .digest
        );
    }

    #[test]
    fn surge_is_rounded_up_as_the_deployment_controller_does() {
        for (surge, expected) in [(json!("25%"), 3), (json!(2), 2), (json!("0%"), 0)] {
            let spec = json!({"replicas": 10, "template": {}, "strategy": {"rollingUpdate": {"maxSurge": surge}}});
            assert_eq!(
                workload(WorkloadKind::Deployment, &deployment(&spec), None).max_surge,
                expected
            );
        }
    }

    #[test]
    fn images_are_called_by_their_tags() {
        assert_eq!(tag("localhost:5000/web"), "web");
        assert_eq!(tag("localhost:5000/web:v1"), "v1");
        assert_eq!(tag("web:v1@sha256:0123456789abcdef"), "v1");
        assert_eq!(tag("web@sha256:0123456789abcdef"), "sha256:0123456789ab");
    }
}
