//! The Deployment that takes the place of a Rollout's pod template.

use serde_json::{Map, Value, json};

use crate::convert::{
    fields::Fields,
    manifest::{named, put},
    note::Notes,
};

/// What the Rollout says of its pods.
pub(super) struct Pods {
    /// Name of the Deployment.
    pub(super) deployment: Option<String>,
    /// The Deployment itself, where the Rollout had the template.
    pub(super) manifest: Option<Value>,
}

/// Takes what is about pods out of `spec`. `unavailable` and `surge` are what the strategy allows.
pub(super) fn pods(
    spec: &mut Fields,
    metadata: &Value,
    [unavailable, surge]: [Option<Value>; 2],
    notes: &mut Notes,
) -> Pods {
    let at = spec.path("workloadRef");
    if let Some(reference) = spec.fields("workloadRef", notes) {
        for name in ["template", "selector"] {
            spec.take(name);
        }
        for name in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
            if spec.take(name).is_some() {
                notes.differs(
                    &spec.path(name),
                    "the Deployment says this itself; see that it says the same",
                );
            }
        }
        if unavailable.is_some() || surge.is_some() {
            notes.differs(&at, "maxSurge and maxUnavailable stand in the Deployment's own strategy.rollingUpdate; see that it says the same");
        }
        return referred(reference, notes);
    }
    Pods {
        deployment: metadata
            .get("name")
            .and_then(Value::as_str)
            .map(str::to_owned),
        manifest: deployment(spec, metadata, [unavailable, surge], notes),
    }
}

fn referred(mut reference: Fields, notes: &mut Notes) -> Pods {
    let at = reference.path("kind");
    let kind = reference.text("kind", notes);
    let name = reference.text("name", notes);
    reference.take("apiVersion");
    let scale = reference.path("scaleDown");
    if reference.take("scaleDown").is_some() {
        notes.differs(&scale, "the Deployment keeps its own replicas; give it back as many as the Rollout had, as the migration guide says");
    }
    reference.end(&[], notes);
    let is_deployment = kind.as_deref() == Some("Deployment");
    if !is_deployment {
        notes.left(
            &at,
            "Belay governs Deployments, StatefulSets and DaemonSets: make one of this template, and name it under workloadRef",
        );
    }
    Pods {
        deployment: name.filter(|_| is_deployment),
        manifest: None,
    }
}

fn deployment(
    spec: &mut Fields,
    metadata: &Value,
    [unavailable, surge]: [Option<Value>; 2],
    notes: &mut Notes,
) -> Option<Value> {
    let mut own = Map::new();
    for name in ["replicas", "selector", "template", "minReadySeconds"] {
        put(&mut own, name, spec.take(name));
    }
    let at = spec.path("revisionHistoryLimit");
    let limit = spec.whole("revisionHistoryLimit", notes);
    if limit == Some(0) {
        notes.differs(
            &at,
            "Belay goes back to the ReplicaSet before, so that one must be kept: it is 1",
        );
    }
    put(
        &mut own,
        "revisionHistoryLimit",
        limit.map(|limit| limit.max(1)),
    );
    let mut rolling = Map::new();
    put(&mut rolling, "maxUnavailable", unavailable);
    put(&mut rolling, "maxSurge", surge);
    if !rolling.is_empty() {
        own.insert(
            "strategy".to_owned(),
            json!({"type": "RollingUpdate", "rollingUpdate": rolling}),
        );
    }
    for name in ["selector", "template"] {
        if !own.contains_key(name) {
            notes.left(&spec.path(name), "a Rollout needs it, or a workloadRef");
            return None;
        }
    }
    let mut head = named(
        metadata,
        metadata
            .get("name")
            .and_then(Value::as_str)
            .unwrap_or_default(),
    );
    if let (Some(labels), Some(head)) = (metadata.get("labels"), head.as_object_mut()) {
        head.insert("labels".to_owned(), labels.clone());
    }
    Some(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": head, "spec": own}))
}
