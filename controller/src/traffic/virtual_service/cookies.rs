//! The cookie that a destination gives to clients: a header of that destination's answers.
//!
//! It is added, so that cookies of the application stay what they are.

use belay_engine::traffic::{Sessions, Split};
use serde_json::{Map, Value};

use super::Destinations;
use crate::traffic::{
    Refusal,
    sessions::{self, Given},
    weights::{Shape as _, Target},
};

/// Where headers are that a destination adds to answers.
const PATH: [&str; 3] = ["headers", "response", "add"];

/// The destinations of a shared rule, each with the cookie of its version.
pub(super) fn set(
    shape: &Destinations<'_>,
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
        let mut place = entry;
        for key in PATH {
            let fields = object(place)?;
            let known = fields.get(key).and_then(Value::as_object);
            if known.is_some_and(Map::is_empty) {
                return Err(Refusal::new(format!(
                    "{key} of one of its destinations is empty; take it out"
                )));
            }
            place = fields
                .entry(key)
                .or_insert_with(|| Value::Object(Map::new()));
        }
        let added = object(place)?;
        if added
            .keys()
            .any(|own| own.eq_ignore_ascii_case(sessions::HEADER))
        {
            return Err(Refusal::new(
                "one of its destinations gives a cookie already; let the application give it, or take affinity out of spec.traffic",
            ));
        }
        let header = sessions::set_cookie(sessions, given);
        added.insert(sessions::HEADER.to_owned(), Value::from(header));
    }
    Ok(entries)
}

fn object(value: &mut Value) -> Result<&mut Map<String, Value>, Refusal> {
    value
        .as_object_mut()
        .ok_or_else(|| Refusal::new("headers of one of its destinations are no map"))
}

/// The destination without a cookie of Belay's.
pub(super) fn without(entry: &mut Value) {
    if of(entry).is_some() {
        take_out(entry, &PATH);
    }
}

/// Takes the cookie out, and every map that is empty then.
fn take_out(place: &mut Value, path: &[&str]) {
    let Some(fields) = place.as_object_mut() else {
        return;
    };
    let Some((key, rest)) = path.split_first() else {
        fields.remove(sessions::HEADER);
        return;
    };
    if let Some(inner) = fields.get_mut(*key) {
        take_out(inner, rest);
        if inner.as_object().is_some_and(Map::is_empty) {
            fields.remove(*key);
        }
    }
}

/// The sessions that the destinations' cookies are about.
pub(super) fn sessions(entries: &[Value]) -> Option<Sessions> {
    entries.iter().find_map(of)
}

fn of(entry: &Value) -> Option<Sessions> {
    let added = PATH.iter().try_fold(entry, |value, key| value.get(key))?;
    sessions::of_header(added.get(sessions::HEADER)?.as_str()?)
}
