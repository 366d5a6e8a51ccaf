//! What is kept of a route, a Service or its endpoints.

use belay_api::names::ROLLOUT_LABEL;
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::{Value, json};

use super::Way;
use crate::{
    rollout::project::controller_of, traffic::ownership::is_owner, watch::store::Projected,
};

/// Label that names the Service of an `EndpointSlice`.
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// An object, small: its specification as JSON text, parsed when it is looked at.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
    pub(super) resource_version: String,
    pub(super) generation: i64,
    /// UID of its controller.
    pub(super) owner_uid: Option<String>,
    /// Whether fields of it are Belay's for the time being.
    pub(super) is_held: bool,
    /// Of endpoints: the Rollout whose label they carry.
    pub(super) rollout: Option<String>,
    /// Of endpoints: their Service.
    service: String,
    /// Of endpoints: names of the ready ones' pods.
    pub(super) ready: Vec<String>,
    raw: Box<[u8]>,
}

impl Kept {
    /// The projection of an object of this kind.
    pub(super) fn of(way: Way, object: &DynamicObject) -> Self {
        let is_slice = way == Way::Slices;
        let label = |name: &str| object.labels().get(name).filter(|_| is_slice).cloned();
        let raw = match way {
            Way::Slices => Box::default(),
            Way::Services => text(&json!({"spec": object.data.get("spec")})),
            Way::Routes(_) => text(&json!({
                "spec": object.data.get("spec"),
                "status": {"parents": object.data.pointer("/status/parents")},
            })),
        };
        Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            resource_version: object.resource_version().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            owner_uid: controller_of(object).map(|owner| owner.uid.clone()),
            is_held: is_owner(object.managed_fields()),
            rollout: label(ROLLOUT_LABEL),
            service: label(SERVICE_LABEL).unwrap_or_default(),
            ready: if is_slice {
                ready(&object.data)
            } else {
                Vec::new()
            },
            raw,
        }
    }

    /// Its specification, and of a route what its router says.
    pub(super) fn object(&self) -> Value {
        serde_json::from_slice(&self.raw).unwrap_or_default()
    }
}

impl Projected for Kept {
    fn namespace(&self) -> &str {
        &self.namespace
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn uid(&self) -> &str {
        &self.uid
    }
    fn resource_version(&self) -> &str {
        &self.resource_version
    }
    fn group(&self) -> &str {
        &self.service
    }
}

fn text(value: &Value) -> Box<[u8]> {
    // A value that was read from JSON can be written as JSON.
    serde_json::to_vec(value).unwrap_or_default().into()
}

/// Names of the pods behind the ready endpoints.
fn ready(slice: &Value) -> Vec<String> {
    let endpoints = slice.get("endpoints").and_then(Value::as_array);
    endpoints
        .into_iter()
        .flatten()
        .filter(|endpoint| endpoint.pointer("/conditions/ready") == Some(&Value::Bool(true)))
        .filter_map(|endpoint| Some(endpoint.pointer("/targetRef/name")?.as_str()?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn only_ready_endpoints_count() {
        let endpoint = |name: &str, ready: bool| json!({"addresses": ["10.0.0.1"], "conditions": {"ready": ready, "serving": true}, "targetRef": {"kind": "Pod", "name": name}});
        let kept = Kept::of(
            Way::Slices,
            &object(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "metadata": {"name": "web-canary-x", "namespace": "shop", "labels": {ROLLOUT_LABEL: "web", SERVICE_LABEL: "web-canary"}},
                "addressType": "IPv4", "endpoints": [endpoint("a", true), endpoint("b", false)],
            })),
        );
        assert_eq!(kept.ready, ["a"]);
        assert_eq!(kept.group(), "web-canary");
        assert_eq!(kept.rollout.as_deref(), Some("web"));
    }

    #[test]
    fn of_a_route_everything_is_kept_that_must_survive() {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "web", "namespace": "shop", "generation": 4},
            "spec": {"rules": [{"fromTheFuture": {"a": [1]}}]},
            "status": {"parents": [{"controllerName": "x"}]},
        });
        let kept = Kept::of(
            Way::Routes(belay_engine::traffic::RouterKind::HttpRoute),
            &object(route.clone()),
        );
        assert_eq!(kept.object()["spec"], route["spec"]);
        assert_eq!(kept.object()["status"], route["status"]);
        assert_eq!(kept.generation, 4);
    }
}
