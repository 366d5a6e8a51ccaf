//! One text per JSON value, and digests of it.
//!
//! Invariant: two values that are equal have the same text, whatever the order of their keys. The order is set here and
//! not left to `serde_json::Map`, which keeps or sorts keys depending on the features other crates ask for.

use std::fmt;

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::text::hex;

/// SHA-256 of canonical JSON, written `sha256:` and 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContentDigest(String);

impl ContentDigest {
    /// Digests objects in the order given.
    pub(super) fn of_text(canonical: &str) -> Self {
        Self(format!("sha256:{}", hex(Sha256::digest(canonical))))
    }

    /// The digest of one value, for example of one object before it is applied.
    pub fn of_value(value: &Value) -> Self {
        let mut text = String::new();
        write_value(&mut text, value);
        Self::of_text(&text)
    }

    /// The whole text, with its prefix.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    pub fn short(&self) -> &str {
        self.0.get(7..19).unwrap_or(&self.0)
    }
}

impl fmt::Display for ContentDigest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Writes a list of values.
pub(crate) fn write_list<'a>(out: &mut String, values: impl IntoIterator<Item = &'a Value>) {
    out.push('[');
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_value(out, value);
    }
    out.push(']');
}

/// Writes one value, without spaces and with its keys sorted.
pub(crate) fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Array(items) => write_list(out, items),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_value(out, value);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn the_text_is_compact_and_sorted() {
        let mut text = String::new();
        write_value(
            &mut text,
            &json!({"b": [1, 1.5, null, true], "a": {"z": "\"ü\n", "y": {}}}),
        );
        assert_eq!(text, r#"{"a":{"y":{},"z":"\"ü\n"},"b":[1,1.5,null,true]}"#);
    }

    #[test]
    fn the_short_form_is_the_beginning_of_the_digits() {
        let digest = ContentDigest::of_value(&json!({}));
        assert!(
            digest
                .as_str()
                .strip_prefix("sha256:")
                .unwrap()
                .starts_with(digest.short())
        );
        assert_eq!((digest.short().len(), digest.as_str().len()), (12, 71));
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[a-zäö\"\\\\ ]{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[a-z]{1,4}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// The same value with all keys inserted in reverse.
    fn reversed(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(reversed).collect(),
            Value::Object(map) => {
                let entries: Vec<_> = map
                    .iter()
                    .map(|(key, value)| (key.clone(), reversed(value)))
                    .collect();
                Value::Object(entries.into_iter().rev().collect::<Map<_, _>>())
            }
            scalar => scalar.clone(),
        }
    }

    proptest! {
        #[test]
        fn key_order_does_not_matter_and_content_does(one in values(), other in values()) {
            prop_assert_eq!(ContentDigest::of_value(&one), ContentDigest::of_value(&reversed(&one)));
            prop_assert_eq!(one == other, ContentDigest::of_value(&one) == ContentDigest::of_value(&other));
        }

        #[test]
        fn the_text_reads_back_as_the_value(value in values()) {
            let mut text = String::new();
            write_value(&mut text, &value);
            prop_assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        }
    }
}
