//! Gateway API: lists of conditions with a type, a name and a value each.

use belay_engine::traffic::{Condition, Match, Part, Text};
use serde_json::{Map, Value, json};

use super::{COOKIE, Conditions, HEADERS, PLACES, Written, cookie, taken};
use crate::traffic::Refusal;

/// Conditions in lists.
pub(in crate::traffic) struct Listed;

impl Conditions for Listed {
    fn write(fields: &mut Map<String, Value>, written: Written<'_>) -> Result<(), Refusal> {
        let (key, name) = (written.key, written.name);
        let list = fields.entry(key).or_insert_with(|| json!([]));
        let list = list
            .as_array_mut()
            .ok_or_else(|| Refusal::new(format!("{key} of one of its matches is no list")))?;
        if list.iter().any(|entry| is_named(entry, name)) {
            return Err(taken(&written));
        }
        let (kind, value) = match written.value {
            Text::Exact(value) => ("Exact", value),
            Text::Regex(value) => ("RegularExpression", value),
        };
        list.push(json!({"type": kind, "name": name, "value": value}));
        Ok(())
    }

    fn added(plain: &Value, with: &Value) -> Option<Match> {
        let mut all = Vec::new();
        for (part, key) in PLACES {
            let list = |of: &Value| of.get(key).and_then(Value::as_array).cloned();
            let own = list(plain).map_or(0, |own| own.len());
            for entry in list(with).unwrap_or_default().iter().skip(own) {
                all.push(condition(part, entry)?);
            }
        }
        (!all.is_empty()).then_some(Match { all })
    }

    fn cookie(one: &Value) -> Option<Condition> {
        let headers = one.get(HEADERS)?.as_array()?;
        let named = headers.iter().find(|entry| is_named(entry, COOKIE))?;
        condition(Part::Header, named).filter(|condition| condition.part == Part::Cookie)
    }
}

fn condition(part: Part, entry: &Value) -> Option<Condition> {
    let text = |key: &str| Some(entry.get(key)?.as_str()?.to_owned());
    let (name, value) = (text("name")?, text("value")?);
    let value = match entry.get("type").and_then(Value::as_str) {
        Some("RegularExpression") => Text::Regex(value),
        _ => Text::Exact(value),
    };
    Some(cookie::told(part, name, value))
}

/// Names of headers are compared without regard to case; for query parameters that is on the careful side.
fn is_named(entry: &Value, name: &str) -> bool {
    let own = entry.get("name").and_then(Value::as_str);
    own.is_some_and(|own| own.eq_ignore_ascii_case(name))
}
