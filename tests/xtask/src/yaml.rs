//! Values as YAML, always the same bytes for the same value: keys are sorted, and no line is folded.

use serde_json::Value;

use crate::Error;

/// First line of every generated YAML file.
pub const HEADER: &str =
    "# Generated from the Rust code by `cargo xtask generate`. Change the code, not this file.\n";

/// `value` as one YAML document that ends with a line break. `what` names it in errors.
pub fn document(what: &str, value: &Value) -> Result<String, Error> {
    let options = serde_saphyr::ser_options! { folded_wrap_chars: 4096 };
    let mut text =
        serde_saphyr::to_string_with_options(&sorted(value), options).map_err(|error| {
            Error::Text {
                what: what.to_owned(),
                message: error.to_string(),
            }
        })?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

/// The same value with the keys of every map in order, whatever map type `serde_json` was built with.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            entries
                .into_iter()
                .map(|(key, inner)| (key.clone(), sorted(inner)))
                .collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        scalar => scalar.clone(),
    }
}
