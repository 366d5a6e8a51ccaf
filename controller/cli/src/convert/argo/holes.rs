//! `{{args.name}}` of Argo Rollouts and `{{name}}` of Belay.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::convert::{note::Notes, text};

/// Name and key of a Secret.
pub(super) type SecretKey = (String, String);

/// Arguments of a template whose values stand in Secrets.
pub(super) type Secrets = BTreeMap<String, SecretKey>;

/// `text` with its holes as Belay writes them.
pub(super) fn translated(text: &str, field: &str, notes: &mut Notes) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, after)) = after.split_once("}}") else {
            break;
        };
        out.push_str(before);
        let name = if let Some(name) = inner.trim().strip_prefix("args.") {
            text::argument(name.trim())
        } else {
            notes.left(
                field,
                format!("{{{{{inner}}}}} is no argument; make one of it, and give its value where the template is used"),
            );
            inner.to_owned()
        };
        out.extend(["{{", &name, "}}"]);
        rest = after;
    }
    out.push_str(rest);
    out
}

/// All texts of `value` with their holes as Belay writes them.
pub(super) fn translated_all(value: Value, field: &str, notes: &mut Notes) -> Value {
    match value {
        Value::String(text) => Value::String(translated(&text, field, notes)),
        Value::Array(items) => items
            .into_iter()
            .map(|item| translated_all(item, field, notes))
            .collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(key, value)| (key, translated_all(value, field, notes)))
            .collect::<Map<_, _>>()
            .into(),
        other => other,
    }
}

/// What stands before a hole that ends `text` and is filled from a Secret, and that Secret.
pub(super) fn secret<'a>(text: &'a str, secrets: &'a Secrets) -> Option<(&'a str, &'a SecretKey)> {
    let (before, hole) = text.split_once("{{")?;
    let name = hole.trim_end().strip_suffix("}}")?.trim();
    let name = name.strip_prefix("args.")?.trim();
    secrets.get(name).map(|secret| (before, secret))
}

/// As it stands in Belay's manifests.
pub(super) fn secret_key((name, key): &SecretKey) -> Value {
    json!({"name": name, "key": key})
}
