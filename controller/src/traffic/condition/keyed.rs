//! Istio: conditions by name, each `exact` or `regex`. A cookie is a condition on the header of that name.

use belay_engine::traffic::{Condition, Match, Part, Text};
use serde_json::{Map, Value, json};

use super::{COOKIE, Conditions, HEADERS, PLACES, Written, cookie, taken};
use crate::traffic::Refusal;

/// Conditions by name.
pub(in crate::traffic) struct Keyed;

impl Conditions for Keyed {
    fn write(fields: &mut Map<String, Value>, written: Written<'_>) -> Result<(), Refusal> {
        let name = match written.key {
            HEADERS => written.name.to_ascii_lowercase(),
            _ => written.name.to_owned(),
        };
        let key = written.key;
        let map = fields.entry(key).or_insert_with(|| json!({}));
        let map = map
            .as_object_mut()
            .ok_or_else(|| Refusal::new(format!("{key} of one of its matches is no map")))?;
        if map.keys().any(|own| own.eq_ignore_ascii_case(&name)) {
            return Err(taken(&written));
        }
        let value = match written.value {
            Text::Exact(value) => json!({ "exact": value }),
            Text::Regex(value) => json!({ "regex": value }),
        };
        map.insert(name, value);
        Ok(())
    }

    fn added(plain: &Value, with: &Value) -> Option<Match> {
        let mut all = Vec::new();
        for (part, key) in PLACES {
            let map = |of: &Value| of.get(key).and_then(Value::as_object).cloned();
            let own: Map<_, _> = map(plain).unwrap_or_default();
            for (name, value) in map(with).unwrap_or_default() {
                if !own.contains_key(&name) {
                    all.push(condition(part, &name, &value)?);
                }
            }
        }
        (!all.is_empty()).then_some(Match { all })
    }

    fn cookie(one: &Value) -> Option<Condition> {
        let headers = one.get(HEADERS)?.as_object()?;
        let (name, value) = headers
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(COOKIE))?;
        condition(Part::Header, name, value).filter(|condition| condition.part == Part::Cookie)
    }
}

fn condition(part: Part, name: &str, value: &Value) -> Option<Condition> {
    let text = |key: &str| Some(value.get(key)?.as_str()?.to_owned());
    let value = match (text("exact"), text("regex")) {
        (Some(exact), None) => Text::Exact(exact),
        (None, Some(regex)) => Text::Regex(regex),
        _ => return None,
    };
    Some(cookie::told(part, name.to_owned(), value))
}
