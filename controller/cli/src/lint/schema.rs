//! Belay's objects against the schemas of their definitions, as the API server checks them at admission: structure first, then
//! defaults, then rules.
//!
//! Invariant: a finding names its field. What the API server would take, has no finding of severity error.

mod defaults;
mod structure;

use std::{collections::BTreeMap, sync::LazyLock};

use serde_json::Value;

use super::rules;
use crate::files::API;

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Wrong {
    /// JSON pointer of the field.
    pub(super) pointer: String,
    pub(super) kind: WrongKind,
    pub(super) message: String,
}

/// In which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WrongKind {
    /// The structure.
    Schema,
    /// A rule is violated.
    Rule,
    /// A rule could not be evaluated here.
    NotEvaluated,
}

/// The schemas by kind.
static SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let definitions = belay_api::definitions().into_iter();
    let schemas = definitions.filter_map(|definition| {
        let kind = definition.spec.names.kind.clone();
        let version = definition
            .spec
            .versions
            .into_iter()
            .find(|version| version.served)?;
        let schema = serde_json::to_value(version.schema?.open_api_v3_schema?).ok()?;
        Some((kind, schema))
    });
    schemas.collect()
});

/// Everything that is wrong with `object`, which is of Belay's group.
pub(super) fn check(object: &Value) -> Vec<Wrong> {
    let text = |field: &str| {
        object
            .get(field)
            .and_then(Value::as_str)
            .unwrap_or_default()
    };
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    if api_version != API {
        let message = format!("there is no version {api_version}; write {API}");
        return vec![wrong("/apiVersion", message)];
    }
    let Some(schema) = SCHEMAS.get(kind) else {
        let known: Vec<&str> = SCHEMAS.keys().map(String::as_str).collect();
        let message = format!("there is no kind {kind}; Belay's are {}", known.join(", "));
        return vec![wrong("/kind", message)];
    };
    let mut object = object.clone();
    // Nobody writes a status, and the API server drops it.
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    let mut found = metadata(&object);
    defaults::fill(&mut object, schema);
    found.extend(structure::check(&object, schema));
    if found.is_empty() {
        found.extend(rules::check(&object, schema));
    }
    found
}

fn metadata(object: &Value) -> Vec<Wrong> {
    let at = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let name = at("/metadata/name");
    if name.is_none() && at("/metadata/generateName").is_none() {
        return vec![wrong("/metadata/name", "the object has no name".to_owned())];
    }
    let is_name = |name: &str| {
        let is_inner = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        };
        let is_outer = |byte: Option<&u8>| {
            byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        let bytes = name.as_bytes();
        bytes.len() <= 253
            && bytes.iter().copied().all(is_inner)
            && is_outer(bytes.first())
            && is_outer(bytes.last())
            && !name.contains("..")
            && !name.contains(".-")
            && !name.contains("-.")
    };
    match name.filter(|name| !is_name(name)) {
        Some(name) => {
            let message = format!(
                "{name:?} is no name: write lower-case letters, digits, - and . (at most 253)"
            );
            vec![wrong("/metadata/name", message)]
        }
        None => Vec::new(),
    }
}

fn wrong(pointer: &str, message: String) -> Wrong {
    Wrong {
        pointer: pointer.to_owned(),
        kind: WrongKind::Schema,
        message,
    }
}

#[cfg(test)]
pub(super) mod tests;
