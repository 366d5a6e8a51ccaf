//! Schemas of values, read before Helm reads them.
//!
//! Invariant: no schema leads to another file or address. A schema that could be read only by unpacking is not used at all.

use serde_json::Value;

use crate::render::RenderError;
use crate::yaml::{self, Limits};

/// Keywords that lead to another place.
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// The name under which a chart has its schema.
const FILE: &str = "values.schema.json";

/// Whether Helm takes the file for a schema.
pub(super) fn is_schema(path: &str) -> bool {
    path.rsplit('/').next() == Some(FILE)
}

/// Refuses a schema that leads out of itself.
pub(super) fn check(file: &str, bytes: &[u8]) -> Result<(), RenderError> {
    let text = std::str::from_utf8(bytes).map_err(|_| {
        RenderError::refused(file, "text in another encoding", "save the file as UTF-8")
    })?;
    let documents = yaml::parse_json(text.trim_start_matches('\u{feff}'), &Limits::default())
        .map_err(|problem| RenderError::syntax(file, problem))?;
    for document in &documents {
        if let Some(keyword) = outside(&document.value) {
            return Err(RenderError::refused(
                file,
                format!("a {keyword} that leads out of the schema"),
                "write what it stands for into the schema, under $defs, and refer to that with #/$defs/…",
            ));
        }
    }
    Ok(())
}

/// The keyword that leads out of the schema.
fn outside(value: &Value) -> Option<&str> {
    match value {
        Value::Object(fields) => fields.iter().find_map(|(key, value)| {
            let leads_out = value.as_str().is_some_and(|target| {
                (REFERENCES.contains(&key.as_str()) && !target.starts_with('#'))
                    || (key == "$schema" && !is_draft(target))
            });
            if leads_out {
                Some(key.as_str())
            } else {
                outside(value)
            }
        }),
        Value::Array(items) => items.iter().find_map(outside),
        _ => None,
    }
}

/// A published draft, which programs know without asking for it.
fn is_draft(target: &str) -> bool {
    let rest = target
        .strip_prefix("http://json-schema.org/")
        .or_else(|| target.strip_prefix("https://json-schema.org/"));
    rest.is_some_and(|rest| rest.starts_with("draft") || rest.starts_with("schema"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemas_stay_within_themselves() {
        for text in [
            r##"{"$schema": "https://json-schema.org/draft-07/schema#", "properties": {"a": {"$ref": "#/$defs/a"}}}"##,
            r#"{"$schema": "http://json-schema.org/schema#", "properties": {"$ref": {"type": "string"}}}"#,
        ] {
            assert_eq!(
                check("values.schema.json", text.as_bytes()),
                Ok(()),
                "{text}"
            );
        }
        for text in [
            r#"{"properties": {"a": [{"$ref": "file:///etc/passwd"}]}}"#,
            r#"{"$ref": "other.json"}"#,
            r#"{"$schema": "https://example.com/draft"}"#,
        ] {
            let error = check("values.schema.json", text.as_bytes()).unwrap_err();
            assert_eq!(error.reason(), "Refused", "{text}");
        }
    }
}
