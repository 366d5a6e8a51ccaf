//! Parts of an object as CEL sees them.

use std::{collections::HashMap, sync::Arc};

use cel::{
    Value as Cel,
    objects::{Key, Map},
};
use serde_json::Value;

/// Most elements of one list or map.
const MOST_ELEMENTS: usize = 256;

/// Most bytes of all texts together.
const MOST_TEXT: usize = 128 * 1024;

/// What `name` stands for. A part that an object lacks is empty, so that `has(status.x)` can be asked from the start.
pub(super) fn variable(object: &Value, name: &str) -> Result<Cel, String> {
    let nothing = Value::Object(serde_json::Map::new());
    let part = match name {
        "self" | "object" => object,
        part => object.get(part).unwrap_or(&nothing),
    };
    let mut left = MOST_TEXT;
    value(part, &mut left).ok_or_else(|| {
        format!(
            "{name} is too large for a rule: more than {MOST_ELEMENTS} elements in one list or map, or {} KiB of text",
            MOST_TEXT / 1024
        )
    })
}

fn value(json: &Value, left: &mut usize) -> Option<Cel> {
    Some(match json {
        Value::Null => Cel::Null,
        Value::Bool(given) => Cel::Bool(*given),
        Value::String(given) => Cel::String(text(given, left)?),
        Value::Number(number) => match number.as_i64() {
            Some(integer) => Cel::Int(integer),
            None => Cel::Float(number.as_f64().unwrap_or_default()),
        },
        Value::Array(items) if items.len() > MOST_ELEMENTS => return None,
        Value::Array(items) => {
            let items: Option<Vec<Cel>> = items.iter().map(|item| value(item, left)).collect();
            Cel::List(Arc::new(items?))
        }
        Value::Object(fields) if fields.len() > MOST_ELEMENTS => return None,
        Value::Object(fields) => {
            // Who wrote which field is long, and says nothing of health.
            let fields = fields.iter().filter(|(name, _)| *name != "managedFields");
            let entries: Option<HashMap<Key, Cel>> = fields
                .map(|(name, field)| Some((Key::String(text(name, left)?), value(field, left)?)))
                .collect();
            Cel::Map(Map {
                map: Arc::new(entries?),
            })
        }
    })
}

fn text(given: &str, left: &mut usize) -> Option<Arc<String>> {
    *left = left.checked_sub(given.len())?;
    Some(Arc::new(given.to_owned()))
}
