//! A history for programs.

use serde_json::{Map, Value, json};

use super::Reasons;
use crate::{Error, subject::Subject};

/// Parts of a status that tell what happened before.
const PARTS: [&str; 8] = [
    "stable",
    "candidate",
    "target",
    "verified",
    "history",
    "rollback",
    "quarantine",
    "refused",
];

/// The history of `object`: what its status remembers, each act with its reason.
pub(super) fn of<K: Subject>(object: &K, reasons: &Reasons) -> Result<Value, Error> {
    let status = serde_json::to_value(object)?;
    let status = status.get("status").and_then(Value::as_object);
    let part = |name: &str| status.and_then(|status| status.get(name)).cloned();
    let meta = object.meta();
    let mut history = Map::new();
    history.insert("kind".to_owned(), json!(K::KIND));
    history.insert("namespace".to_owned(), json!(meta.namespace));
    history.insert("name".to_owned(), json!(meta.name));
    for name in PARTS {
        if let Some(value) = part(name) {
            history.insert(name.to_owned(), value);
        }
    }
    let acts = part("actions");
    let acts = acts.as_ref().and_then(Value::as_array);
    let acts = acts.into_iter().flatten().cloned();
    history.insert(
        "acts".to_owned(),
        acts.map(|act| with_reason(act, reasons)).collect(),
    );
    Ok(history.into())
}

fn with_reason(mut act: Value, reasons: &Reasons) -> Value {
    let uid = act.get("uid").and_then(Value::as_str);
    let reason = uid.and_then(|uid| reasons.get(uid)).cloned();
    if let (Some(reason), Some(fields)) = (reason, act.as_object_mut()) {
        fields.insert("reason".to_owned(), reason.into());
    }
    act
}
