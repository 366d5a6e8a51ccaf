//! Fields that a Release leaves to others: `spec.replicas` to an autoscaler, `spec.paused` and a partition to the Rollout.
//!
//! A field that Belay applied once can't simply be left out: the API server would take it away and put its default there. As
//! long as it is still Belay's, the live value is sent; once the autoscaler has changed it, it is left out.

use std::collections::HashSet;

use belay_api::rollout::WorkloadKind;
use belay_engine::rollout::revisions::HELD;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use kube::{
    Api, Client,
    api::{DynamicObject, ListParams},
};
use serde_json::{Value, json};

use super::{Failure, Prepared, failure::Secrecy, fields, server_side};
use crate::limits;

/// Workloads that an autoscaler targets: (namespace, kind, name).
pub type Scaled = HashSet<(String, String, String)>;

/// Workloads of the set that an autoscaler of the set or of the cluster targets. An account that may not list autoscalers
/// has none.
pub async fn scaled(client: &Client, set: &[Prepared]) -> Scaled {
    let mut scaled: Scaled = set
        .iter()
        .filter(|object| object.key.kind == "HorizontalPodAutoscaler")
        .filter_map(|object| {
            let namespace = object.key.namespace.clone()?;
            let target = object.body.pointer("/spec/scaleTargetRef")?;
            let text = |field: &str| target.get(field).and_then(Value::as_str).map(str::to_owned);
            Some((namespace, text("kind")?, text("name")?))
        })
        .collect();
    let namespaces: HashSet<&str> = set
        .iter()
        .filter(|object| replicas(&object.body).is_some())
        .filter_map(|object| object.key.namespace.as_deref())
        .collect();
    for namespace in namespaces {
        let api: Api<HorizontalPodAutoscaler> = Api::namespaced(client.clone(), namespace);
        let parameters = ListParams::default().limit(500);
        let listed = tokio::time::timeout(limits::API_CALL, api.list(&parameters)).await;
        for autoscaler in listed.into_iter().flatten().flatten() {
            if let Some(spec) = autoscaler.spec {
                let target = spec.scale_target_ref;
                scaled.insert((namespace.to_owned(), target.kind, target.name));
            }
        }
    }
    scaled
}

fn replicas(body: &Value) -> Option<&Value> {
    body.pointer("/spec/replicas")
}

/// The body to send for `object`, if an autoscaler targets it.
pub async fn leave_replicas(
    client: &Client,
    object: &Prepared,
    scaled: &Scaled,
) -> Result<Option<Value>, Failure> {
    let key = (
        object.key.namespace.clone().unwrap_or_default(),
        object.key.kind.clone(),
        object.key.name.clone(),
    );
    if replicas(&object.body).is_none() || !scaled.contains(&key) {
        return Ok(None);
    }
    let live = live(client, object).await?;
    Ok(live.map(|live| with_replicas_of(&object.body, &live)))
}

/// The live object.
pub async fn live(client: &Client, object: &Prepared) -> Result<Option<DynamicObject>, Failure> {
    let api = server_side::api(client, object);
    match tokio::time::timeout(limits::API_CALL, api.get_opt(&object.key.name)).await {
        Ok(Ok(live)) => Ok(live),
        Ok(Err(error)) => Err(Failure::of(&error, Secrecy::Open).at(object.place())),
        Err(_) => Err(Failure::passing("the API server did not answer in time").at(object.place())),
    }
}

fn with_replicas_of(body: &Value, live: &DynamicObject) -> Value {
    let mut body = body.clone();
    let managed = live.metadata.managed_fields.as_deref().unwrap_or_default();
    let ours = fields::owns(managed, &["f:spec", "f:replicas"]);
    let value = live.data.pointer("/spec/replicas").filter(|_| ours);
    if let Some(spec) = body.pointer_mut("/spec").and_then(Value::as_object_mut) {
        match value {
            Some(value) => spec.insert("replicas".to_owned(), value.clone()),
            None => spec.remove("replicas"),
        };
    }
    body
}

/// Where a workload's hold stands: `paused` of a Deployment, the partition of a StatefulSet. Both are the Rollout's to say.
const HOLDS: [(&str, &str); 2] = [
    ("/spec", "paused"),
    ("/spec/updateStrategy/rollingUpdate", "partition"),
];

/// The same of a DaemonSet.
const HOLD_OF_A_DAEMON_SET: (&str, &str) = ("/spec/updateStrategy", "type");

/// A governed workload's manifest without what it says about the hold; nothing if it says nothing.
pub fn leave_hold(body: &Value) -> Option<Value> {
    let mut left = body.clone();
    let daemon = body.get("kind").and_then(Value::as_str) == Some("DaemonSet");
    let holds = HOLDS
        .into_iter()
        .chain(daemon.then_some(HOLD_OF_A_DAEMON_SET));
    for (pointer, field) in holds {
        if let Some(parent) = left.pointer_mut(pointer).and_then(Value::as_object_mut) {
            parent.remove(field);
        }
    }
    (left != *body).then_some(left)
}

/// A patch that holds a workload before its template changes, where no admission policy does so.
pub fn hold_patch(kind: WorkloadKind, resource_version: &str) -> Value {
    let spec = match kind {
        WorkloadKind::Deployment => json!({"paused": true}),
        WorkloadKind::StatefulSet => {
            json!({"updateStrategy": {"rollingUpdate": {"partition": HELD}}})
        }
        WorkloadKind::DaemonSet => json!({"updateStrategy": {"type": "OnDelete"}}),
    };
    json!({"metadata": {"resourceVersion": resource_version}, "spec": spec})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(fields: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 7},
            "metadata": {"name": "web", "managedFields": [{"manager": "belay", "operation": "Apply", "fieldsV1": fields}]},
        }))
        .unwrap()
    }

    #[test]
    fn the_live_number_is_sent_until_the_autoscaler_owns_it() {
        let body = json!({"spec": {"replicas": 2, "x": 1}});
        let ours = live(&json!({"f:spec": {"f:replicas": {}}}));
        assert_eq!(
            with_replicas_of(&body, &ours),
            json!({"spec": {"replicas": 7, "x": 1}})
        );
        let theirs = live(&json!({"f:spec": {}}));
        assert_eq!(with_replicas_of(&body, &theirs), json!({"spec": {"x": 1}}));
    }
}
