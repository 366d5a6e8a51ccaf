//! Objects as they are written.

use serde_json::{Map, Value, json};

use super::{
    fields::Fields,
    input::Object,
    note::{Effect, Notes},
};

/// Metadata that a server or a tool put there, and that says nothing about what is wanted.
const OF_SERVERS: [&str; 8] = [
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// Beginnings of annotations' names that are a tool's own notes.
const OF_TOOLS: [&str; 5] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    "rollout.argoproj.io/",
    "argo-rollouts.argoproj.io/",
    "deployment.kubernetes.io/",
    "helm.toolkit.fluxcd.io/",
];

/// Metadata that goes over, and the spec. The status says nothing about what is wanted.
pub(super) fn parts(object: Object, notes: &mut Notes) -> (Value, Fields) {
    let mut whole = Fields::of("", object.document, notes);
    for name in ["apiVersion", "kind", "status"] {
        whole.take(name);
    }
    let metadata = whole
        .fields("metadata", notes)
        .map_or_else(|| json!({}), |own| metadata(own, notes));
    let spec = whole.fields("spec", notes);
    whole.end(&[], notes);
    let empty = || Fields::of("spec", Value::Object(Map::new()), &mut Notes::default());
    (metadata, spec.unwrap_or_else(empty))
}

fn metadata(mut own: Fields, notes: &mut Notes) -> Value {
    let mut kept = Map::new();
    for name in ["name", "namespace"] {
        put(&mut kept, name, own.take(name));
    }
    if let Some(mut labels) = own.take("labels") {
        // Which of several controllers acts is the old operator's affair.
        if let Some(labels) = labels.as_object_mut() {
            labels.retain(|key, _| !key.starts_with("argo-rollouts.argoproj.io/"));
        }
        kept.insert("labels".to_owned(), labels);
    }
    let path = own.path("annotations");
    let mut annotations = Map::new();
    for (key, value) in own.texts("annotations", notes) {
        if key.starts_with("notifications.argoproj.io/") {
            notes.left(&path, format!("{key}: Belay sends no messages; it writes events, and deploy/alerts has alerts for Prometheus"));
        } else if !OF_TOOLS.iter().any(|tool| key.starts_with(tool)) {
            annotations.insert(key, value.into());
        }
    }
    if !annotations.is_empty() {
        kept.insert("annotations".to_owned(), annotations.into());
    }
    for name in OF_SERVERS {
        own.take(name);
    }
    own.end(
        &[
            ("ownerReferences", Effect::Left, "an owner of the old object does not own the new one; let the owner make Belay's objects instead"),
            ("finalizers", Effect::Left, "finalizers belong to the old object's controller, and are not taken over"),
            ("generateName", Effect::Left, "give the object a name"),
        ],
        notes,
    );
    kept.into()
}

/// An object of Belay's.
pub(super) fn belay(kind: &str, metadata: &Value, spec: &Map<String, Value>) -> Value {
    json!({"apiVersion": "belay.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// Metadata with the name and namespace of `metadata` and nothing else.
pub(super) fn named(metadata: &Value, name: &str) -> Value {
    let mut kept = json!({"name": name});
    if let (Some(namespace), Some(kept)) = (metadata.get("namespace"), kept.as_object_mut()) {
        kept.insert("namespace".to_owned(), namespace.clone());
    }
    kept
}

/// Puts `value` under `name` if there is one.
pub(super) fn put<T: Into<Value>>(map: &mut Map<String, Value>, name: &str, value: Option<T>) {
    if let Some(value) = value {
        map.insert(name.to_owned(), value.into());
    }
}
