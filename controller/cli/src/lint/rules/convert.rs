//! JSON as CEL sees it: by the types of the schema, not by how a number happens to be written.

use std::{collections::HashMap, sync::Arc};

use cel::{
    Value as Cel,
    objects::{Key, Map},
};
use serde_json::Value;

/// `value` as the schema means it: 1 is a double where the schema says number.
pub(super) fn value(value: &Value, schema: &Value) -> Cel {
    match value {
        Value::Null => Cel::Null,
        Value::Bool(given) => Cel::Bool(*given),
        Value::String(text) => Cel::String(Arc::new(text.clone())),
        Value::Number(number) => {
            let is_double = schema.get("type").and_then(Value::as_str) == Some("number");
            match number.as_i64().filter(|_| !is_double) {
                Some(integer) => Cel::Int(integer),
                None => Cel::Float(number.as_f64().unwrap_or_default()),
            }
        }
        Value::Array(items) => {
            let of = schema.get("items").unwrap_or(&Value::Null);
            Cel::List(Arc::new(
                items.iter().map(|item| self::value(item, of)).collect(),
            ))
        }
        Value::Object(fields) => {
            let properties = schema.get("properties");
            let others = schema.get("additionalProperties").unwrap_or(&Value::Null);
            let entries = fields.iter().map(|(name, field)| {
                let property = properties.and_then(|properties| properties.get(name));
                let key = Key::String(Arc::new(name.clone()));
                (key, self::value(field, property.unwrap_or(others)))
            });
            let map: HashMap<Key, Cel> = entries.collect();
            Cel::Map(Map { map: Arc::new(map) })
        }
    }
}
