//! The cookie that a destination gives to clients: a filter of that destination alone.
//!
//! It is added, so that cookies of the application stay what they are. A destination that modifies its answers' headers already is
//! refused: such a filter may stand there only once.

use belay_engine::traffic::{Sessions, Split};
use serde_json::{Value, json};

use crate::traffic::{
    Refusal,
    sessions::{self, Given},
    weights::{Shape, Target},
};

const KIND: &str = "ResponseHeaderModifier";

/// The destinations of a shared rule, each with the cookie of its version.
pub(super) fn set(
    shape: &impl Shape,
    mut entries: Vec<Value>,
    split: &Split,
) -> Result<Vec<Value>, Refusal> {
    let Some(sessions) = &split.sessions else {
        return Ok(entries);
    };
    for entry in &mut entries {
        let given = match shape.target(entry) {
            Target::Canary => Given::Canary,
            Target::Stable => Given::Stable(split.canary_percent),
            Target::Home | Target::Other => continue,
        };
        let header = sessions::set_cookie(sessions, given);
        let filter = json!({"type": KIND, "responseHeaderModifier": {
            "add": [{"name": sessions::HEADER, "value": header}],
        }});
        let fields = entry
            .as_object_mut()
            .ok_or_else(|| Refusal::new("one of its backendRefs is no object"))?;
        let filters = fields.entry("filters").or_insert_with(|| json!([]));
        let Some(filters) = filters.as_array_mut() else {
            continue;
        };
        if has_own(filters) {
            return Err(Refusal::new(
                "one of its backendRefs modifies headers of answers already, and a cookie is given likewise; move that filter to the rule, or take affinity out of spec.traffic",
            ));
        }
        filters.push(filter);
    }
    Ok(entries)
}

fn has_own(filters: &[Value]) -> bool {
    filters
        .iter()
        .any(|filter| filter.get("type").and_then(Value::as_str) == Some(KIND))
}

/// The destination without a cookie of Belay's.
pub(super) fn without(entry: &mut Value) {
    let Some(fields) = entry.as_object_mut() else {
        return;
    };
    if let Some(filters) = fields.get_mut("filters").and_then(Value::as_array_mut) {
        let before = filters.len();
        filters.retain(|filter| header(filter).and_then(sessions::of_header).is_none());
        if filters.is_empty() && before > 0 {
            fields.remove("filters");
        }
    }
}

/// The sessions that the destinations' cookies are about.
pub(super) fn sessions(entries: &[Value]) -> Option<Sessions> {
    let filters = entries
        .iter()
        .filter_map(|entry| entry.get("filters")?.as_array());
    filters
        .flatten()
        .find_map(|filter| sessions::of_header(header(filter)?))
}

fn header(filter: &Value) -> Option<&str> {
    let added = filter.pointer("/responseHeaderModifier/add")?.as_array()?;
    match added.as_slice() {
        [one] => one.get("value")?.as_str(),
        _ => None,
    }
}
