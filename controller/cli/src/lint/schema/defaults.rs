//! Defaults, put where the API server puts them before it evaluates rules.

use serde_json::Value;

/// Fills in what `value` leaves out. A null where nothing may be null counts as left out when there is a default.
pub(super) fn fill(value: &mut Value, schema: &Value) {
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                let is_nullable = property.get("nullable") == Some(&Value::Bool(true));
                let Some(default) = property.get("default") else {
                    continue;
                };
                let given = fields.get(name);
                if given.is_none() || (given == Some(&Value::Null) && !is_nullable) {
                    fields.insert(name.clone(), default.clone());
                }
            }
            for (name, field) in fields.iter_mut() {
                let property = properties.and_then(|properties| properties.get(name));
                let property = property.or_else(|| schema.get("additionalProperties"));
                if let Some(property) = property {
                    fill(field, property);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for item in items {
                    fill(item, schema);
                }
            }
        }
        _ => {}
    }
}
