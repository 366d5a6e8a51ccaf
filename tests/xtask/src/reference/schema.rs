//! A JSON schema as rows of a table: one row per field, nested fields by their path.

use std::fmt::Write as _;

use serde_json::Value;

use super::cell;

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// Path from the top, `a.b[].c`.
    pub(super) path: String,
    /// Type with its limits.
    pub(super) kind: String,
    /// Default, or `required`.
    pub(super) default: String,
    /// What it means, with the messages of its validation rules.
    pub(super) meaning: String,
}

/// Rows of every field below `schema`, required ones first, then by name.
pub(super) fn rows(schema: &Value) -> Vec<Row> {
    let mut rows = Vec::new();
    walk(schema, "", &mut rows);
    rows
}

/// The table of `rows`.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::from("| field | type | default | meaning |\n|---|---|---|---|\n");
    for row in rows {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            row.path, row.kind, row.default, row.meaning
        );
    }
    text
}

fn walk(schema: &Value, prefix: &str, rows: &mut Vec<Row>) {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return;
    };
    let required = |name: &str| {
        schema
            .get("required")
            .and_then(Value::as_array)
            .is_some_and(|names| names.iter().any(|n| n.as_str() == Some(name)))
    };
    let mut fields: Vec<(&String, &Value)> = properties.iter().collect();
    fields.sort_by_key(|(name, _)| (!required(name), *name));
    for (name, field) in fields {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        rows.push(Row {
            kind: cell(&kind(field)),
            default: default(field, required(name)),
            meaning: meaning(field),
            path: path.clone(),
        });
        match field.get("items") {
            Some(items) => walk(items, &format!("{path}[]"), rows),
            None => walk(field, &path, rows),
        }
    }
}

fn kind(schema: &Value) -> String {
    if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
        return "number or text".into();
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values
            .iter()
            .filter_map(Value::as_str)
            .map(|value| format!("`{value}`"))
            .collect();
        return values.join(", ");
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}{}", kind(items), limits(schema, "Items"));
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => "time".into(),
            _ if schema
                .get("pattern")
                .and_then(Value::as_str)
                .is_some_and(is_duration) =>
            {
                "duration".into()
            }
            _ => "text".into(),
        },
        Some(number @ ("integer" | "number")) => format!("{number}{}", range(schema)),
        Some("object") => match schema.get("additionalProperties") {
            Some(values @ Value::Object(_)) => format!("map to {}", kind(values)),
            _ => "object".into(),
        },
        Some(other) => other.into(),
        None => "any".into(),
    }
}

fn is_duration(pattern: &str) -> bool {
    pattern.contains("(ms|s|m|h)")
}

fn range(schema: &Value) -> String {
    let bound = |key: &str| schema.get(key).and_then(Value::as_f64);
    match (bound("minimum"), bound("maximum")) {
        (Some(min), Some(max)) => format!(", {min} to {max}"),
        (Some(min), None) => format!(", {min} or more"),
        (None, Some(max)) => format!(", at most {max}"),
        (None, None) => String::new(),
    }
}

fn limits(schema: &Value, what: &str) -> String {
    let bound = |side: &str| schema.get(format!("{side}{what}")).and_then(Value::as_u64);
    match (bound("min"), bound("max")) {
        (Some(min), Some(max)) => format!(", {min} to {max}"),
        (Some(min), None) => format!(", {min} or more"),
        (None, Some(max)) => format!(", at most {max}"),
        (None, None) => String::new(),
    }
}

fn default(schema: &Value, required: bool) -> String {
    match schema.get("default") {
        Some(value) => format!("`{}`", cell(&value.to_string())),
        None if required => "required".into(),
        None => String::new(),
    }
}

fn meaning(schema: &Value) -> String {
    let mut text = schema
        .get("description")
        .and_then(Value::as_str)
        .map(cell)
        .unwrap_or_default();
    let own = [Some(schema), schema.get("items")];
    for rule in own
        .into_iter()
        .flatten()
        .filter_map(|schema| schema.get("x-kubernetes-validations")?.as_array())
        .flatten()
    {
        if let Some(message) = rule.get("message").and_then(Value::as_str) {
            if !text.is_empty() {
                text.push_str("<br>");
            }
            let message = cell(message);
            let _ = write!(text, "*Checked:* {}.", message.trim_end_matches('.'));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_fields_are_found_by_path_with_required_ones_first() {
        let schema = json!({"properties": {
            "a": {"type": "string", "default": "x", "description": "First."},
            "steps": {"type": "array", "minItems": 1, "maxItems": 30, "items": {"type": "object", "properties": {
                "weight": {"type": "integer", "minimum": 1, "maximum": 50}
            }}}
        }, "required": ["steps"]});

        let rows = rows(&schema);

        let paths: Vec<&str> = rows.iter().map(|row| row.path.as_str()).collect();
        assert_eq!(paths, ["steps", "steps[].weight", "a"]);
        assert_eq!(rows[0].kind, "list of object, 1 to 30");
        assert_eq!(rows[0].default, "required");
        assert_eq!(rows[1].kind, "integer, 1 to 50");
        assert_eq!(rows[2].default, "`\"x\"`");
    }

    #[test]
    fn a_validation_rule_shows_its_message() {
        let schema = json!({"properties": {"a": {
            "type": "object", "x-kubernetes-validations": [{"rule": "r", "message": "give a | b"}]
        }}});
        assert_eq!(rows(&schema)[0].meaning, "*Checked:* give a \\| b.");
    }
}
