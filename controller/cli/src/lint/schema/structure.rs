//! The structure of an object against its schema.

use regex::Regex;
use serde_json::{Map, Value};

use super::{Wrong, WrongKind};
use crate::lines::escaped;

/// Longest text of a value that is repeated.
const SHOWN: usize = 60;

/// Everything that does not fit.
pub(super) fn check(value: &Value, schema: &Value) -> Vec<Wrong> {
    let mut check = Check { found: Vec::new() };
    check.value(value, schema, "", Place::Root);
    check.found
}

/// Whether the fields that every object has are allowed beside those of the schema.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Inside,
}

struct Check {
    found: Vec<Wrong>,
}

impl Check {
    fn say(&mut self, pointer: &str, message: String) {
        self.found.push(Wrong {
            pointer: pointer.to_owned(),
            kind: WrongKind::Schema,
            message,
        });
    }

    fn value(&mut self, value: &Value, schema: &Value, pointer: &str, place: Place) {
        if value.is_null() {
            if schema.get("nullable") != Some(&Value::Bool(true)) {
                self.say(
                    pointer,
                    "it is null: give a value, or leave the field out".to_owned(),
                );
            }
            return;
        }
        if !self.has_type(value, schema, pointer) {
            return;
        }
        self.one_of_its_values(value, schema, pointer);
        match value {
            Value::Object(fields) => self.object(fields, schema, pointer, place),
            Value::Array(items) => self.array(items, schema, pointer),
            Value::String(text) => self.text(text, schema, pointer),
            Value::Number(number) => {
                self.number(number.as_f64().unwrap_or_default(), schema, pointer);
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn has_type(&mut self, value: &Value, schema: &Value, pointer: &str) -> bool {
        if schema.get("x-kubernetes-int-or-string") == Some(&Value::Bool(true)) {
            let fits = value.is_string() || is_integer(value);
            if !fits {
                self.say(pointer, "write a number or a text".to_owned());
            }
            return fits;
        }
        let Some(wanted) = schema.get("type").and_then(Value::as_str) else {
            return true;
        };
        let fits = match wanted {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "boolean" => value.is_boolean(),
            "integer" => is_integer(value),
            "number" => value.is_number(),
            _ => true,
        };
        if !fits {
            let given = match value {
                Value::Object(_) => "fields".to_owned(),
                Value::Array(_) => "a list".to_owned(),
                other => shown(other),
            };
            self.say(
                pointer,
                format!("it must be of type {wanted}, and is {given}"),
            );
        }
        fits
    }

    fn one_of_its_values(&mut self, value: &Value, schema: &Value, pointer: &str) {
        let Some(allowed) = schema.get("enum").and_then(Value::as_array) else {
            return;
        };
        if !allowed.contains(value) {
            let allowed: Vec<String> = allowed.iter().map(shown).collect();
            self.say(
                pointer,
                format!("{} is none of {}", shown(value), allowed.join(", ")),
            );
        }
    }

    fn object(&mut self, fields: &Map<String, Value>, schema: &Value, pointer: &str, place: Place) {
        let required = schema.get("required").and_then(Value::as_array);
        for name in required.into_iter().flatten().filter_map(Value::as_str) {
            if !fields.contains_key(name) {
                self.say(pointer, format!("{name} is missing"));
            }
        }
        let bounds = (
            bound(schema, "minProperties"),
            bound(schema, "maxProperties"),
        );
        self.size(fields.len(), bounds, "fields", pointer);
        let properties = schema.get("properties").and_then(Value::as_object);
        let others = schema
            .get("additionalProperties")
            .filter(|others| others.is_object());
        let open = schema.get("x-kubernetes-preserve-unknown-fields") == Some(&Value::Bool(true))
            || schema.get("additionalProperties") == Some(&Value::Bool(true));
        for (name, value) in fields {
            let below = format!("{pointer}/{}", escaped(name));
            let property = properties
                .and_then(|properties| properties.get(name))
                .or(others);
            match property {
                Some(property) => self.value(value, property, &below, Place::Inside),
                None if open || is_of_every_object(name, place) => {}
                None => {
                    let known: Vec<&str> = properties
                        .into_iter()
                        .flat_map(Map::keys)
                        .map(String::as_str)
                        .collect();
                    self.say(&below, unknown(name, &known));
                }
            }
        }
    }

    fn array(&mut self, items: &[Value], schema: &Value, pointer: &str) {
        self.size(
            items.len(),
            (bound(schema, "minItems"), bound(schema, "maxItems")),
            "items",
            pointer,
        );
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(item, schema, &format!("{pointer}/{index}"), Place::Inside);
            }
        }
        self.unique(items, schema, pointer);
    }

    /// Items of a set, or of a map by its keys, are there once.
    fn unique(&mut self, items: &[Value], schema: &Value, pointer: &str) {
        let kind = schema.get("x-kubernetes-list-type").and_then(Value::as_str);
        let keys = schema
            .get("x-kubernetes-list-map-keys")
            .and_then(Value::as_array);
        let key = |item: &Value| -> Value {
            match (kind, keys) {
                (Some("map"), Some(keys)) => {
                    let names = keys.iter().filter_map(Value::as_str);
                    names
                        .map(|name| item.get(name).cloned().unwrap_or_default())
                        .collect()
                }
                _ => item.clone(),
            }
        };
        if !matches!(kind, Some("set" | "map")) {
            return;
        }
        for (index, item) in items.iter().enumerate() {
            let before = items
                .iter()
                .take(index)
                .any(|other| key(other) == key(item));
            if before {
                self.say(
                    &format!("{pointer}/{index}"),
                    "the same is in the list already".to_owned(),
                );
            }
        }
    }

    fn text(&mut self, text: &str, schema: &Value, pointer: &str) {
        let length = text.chars().count();
        self.size(
            length,
            (bound(schema, "minLength"), bound(schema, "maxLength")),
            "characters",
            pointer,
        );
        let Some(pattern) = schema.get("pattern").and_then(Value::as_str) else {
            return;
        };
        match Regex::new(pattern) {
            Ok(regex) if regex.is_match(text) => {}
            Ok(_) => self.say(
                pointer,
                format!("{} does not match {pattern}", shown(&Value::from(text))),
            ),
            Err(_) => self.found.push(Wrong {
                pointer: pointer.to_owned(),
                kind: WrongKind::NotEvaluated,
                message: format!("the pattern {pattern} can't be tried here"),
            }),
        }
    }

    fn number(&mut self, number: f64, schema: &Value, pointer: &str) {
        let at = |name: &str| schema.get(name).and_then(Value::as_f64);
        let is_set = |name: &str| schema.get(name) == Some(&Value::Bool(true));
        if let Some(least) = at("minimum") {
            let fits = if is_set("exclusiveMinimum") {
                number > least
            } else {
                number >= least
            };
            if !fits {
                let word = if is_set("exclusiveMinimum") {
                    "more than"
                } else {
                    "at least"
                };
                self.say(
                    pointer,
                    format!("{number} is too little: write {word} {least}"),
                );
            }
        }
        if let Some(most) = at("maximum") {
            let fits = if is_set("exclusiveMaximum") {
                number < most
            } else {
                number <= most
            };
            if !fits {
                let word = if is_set("exclusiveMaximum") {
                    "less than"
                } else {
                    "at most"
                };
                self.say(
                    pointer,
                    format!("{number} is too much: write {word} {most}"),
                );
            }
        }
    }

    fn size(
        &mut self,
        size: usize,
        (least, most): (Option<u64>, Option<u64>),
        of: &str,
        pointer: &str,
    ) {
        let size = u64::try_from(size).unwrap_or(u64::MAX);
        if let Some(least) = least.filter(|least| size < *least) {
            self.say(
                pointer,
                format!("{size} {of} are too few: give at least {least}"),
            );
        }
        if let Some(most) = most.filter(|most| size > *most) {
            self.say(
                pointer,
                format!("{size} {of} are too many: give at most {most}"),
            );
        }
    }
}

fn bound(schema: &Value, name: &str) -> Option<u64> {
    schema.get(name).and_then(Value::as_u64)
}

/// 3 and 3.0 are integers.
fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn is_of_every_object(name: &str, place: Place) -> bool {
    place == Place::Root && matches!(name, "apiVersion" | "kind" | "metadata")
}

fn unknown(name: &str, known: &[&str]) -> String {
    let same = |other: &&&str| other.eq_ignore_ascii_case(name);
    match known.iter().find(same) {
        Some(meant) => format!("there is no field {name}; {meant} is meant"),
        None => format!("there is no field {name}; there are {}", known.join(", ")),
    }
}

fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}
