//! The user's Service and Belay's pair, as objects.
//!
//! Each of the pair is the user's Service with the hash of one version in its selector, a cluster address of its own, and no
//! other way in. The user's labels and annotations are not copied: monitors and cloud controllers that select by them would take
//! the pair for two more Services of the user's.

use belay_engine::{
    digest::{CONTROLLER_REVISION_HASH, POD_TEMPLATE_HASH},
    rollout::Side,
    traffic::UserService,
};
use serde_json::{Map, Value};

use super::Names;

/// Longest name of a Service.
const NAME_BYTES: usize = 63;

/// The selector as `managedFields` knows it: one map, owned as a whole.
pub const SELECTOR: &[&str] = &["f:spec", "f:selector"];

/// Labels by which kinds of workloads tell the pods of their versions apart: a Deployment, and those whose versions take places.
const HASH_LABELS: [&str; 2] = [POD_TEMPLATE_HASH, CONTROLLER_REVISION_HASH];

/// Fields of the spec that the pair shares with the user's Service.
const COPIED: [&str; 6] = [
    "internalTrafficPolicy",
    "ipFamilies",
    "ipFamilyPolicy",
    "sessionAffinity",
    "sessionAffinityConfig",
    "trafficDistribution",
];

/// Fields of a port that the pair shares with the user's Service; not its port on the nodes.
const COPIED_OF_PORT: [&str; 5] = ["name", "protocol", "appProtocol", "port", "targetPort"];

/// The name of one of the pair.
pub fn name(names: &Names, side: Side) -> &str {
    match side {
        Side::Stable => &names.stable,
        Side::Canary => &names.canary,
    }
}

/// What the user's Service is to Belay, from its raw object.
pub fn user(object: &Value, names: &Names) -> UserService {
    let service = &names.service;
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    if text("/spec/clusterIP") == Some("None") {
        return UserService::Refused(format!(
            "Service {service} is headless, and its clients choose pods by themselves; name a Service with a cluster address"
        ));
    }
    if text("/spec/type") == Some("ExternalName") {
        return UserService::Refused(format!(
            "Service {service} is only a name for something outside; name the Service of the workload's pods"
        ));
    }
    if names.stable.len() > NAME_BYTES {
        let room = NAME_BYTES + service.len() - names.stable.len();
        return UserService::Refused(format!(
            "the name of Service {service} leaves no room for \"-stable\"; use one of at most {room} letters"
        ));
    }
    match selector(object) {
        None => UserService::Refused(format!(
            "Service {service} has no selector; give it the labels of the workload's pods"
        )),
        Some(_) => match pin(object) {
            None => UserService::Open,
            Some((_, hash)) => UserService::Pinned(hash.to_owned()),
        },
    }
}

/// The hash that a Service selects; empty without one.
pub fn selected(object: &Value) -> String {
    pin(object).map_or_else(String::new, |(_, hash)| hash.to_owned())
}

/// By which label a Service selects one version, and its hash.
pub fn pin(object: &Value) -> Option<(&'static str, &str)> {
    let selector = selector(object)?;
    HASH_LABELS
        .into_iter()
        .find_map(|label| Some((label, selector.get(label)?.as_str()?)))
}

/// Whether one of the pair, apart from its hash, is what the user's Service asks for now.
pub fn is_current(object: &Value, user: &Value) -> bool {
    let Some(live) = object.pointer("/spec") else {
        return false;
    };
    let Some((label, hash)) = pin(object) else {
        return false;
    };
    spec(user, label, hash)
        .iter()
        .all(|(key, value)| match key.as_str() {
            "ports" => ports(live) == *value,
            _ => live.get(key) == Some(value),
        })
}

/// The specification of one of the pair: the user's Service for the pods with this hash in their `label`.
pub fn spec(user: &Value, label: &str, hash: &str) -> Map<String, Value> {
    let mut spec = Map::new();
    let own = user.pointer("/spec");
    for key in COPIED {
        if let Some(value) = own.and_then(|own| own.get(key)) {
            spec.insert(key.to_owned(), value.clone());
        }
    }
    let mut selector = selector(user).cloned().unwrap_or_default();
    selector.insert(label.to_owned(), Value::from(hash));
    spec.insert("selector".to_owned(), Value::Object(selector));
    spec.insert("ports".to_owned(), own.map(ports).unwrap_or_default());
    spec
}

fn ports(spec: &Value) -> Value {
    let ports = spec.get("ports").and_then(Value::as_array);
    let copied = ports.into_iter().flatten().map(|port| {
        COPIED_OF_PORT
            .into_iter()
            .filter_map(|key| Some((key.to_owned(), port.get(key)?.clone())))
            .collect::<Map<_, _>>()
    });
    copied.map(Value::Object).collect()
}

fn selector(object: &Value) -> Option<&Map<String, Value>> {
    let selector = object.pointer("/spec/selector")?.as_object()?;
    (!selector.is_empty()).then_some(selector)
}
