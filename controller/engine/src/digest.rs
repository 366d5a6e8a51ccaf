//! Identity by content: what makes two pod templates, or two renders, the same.
//!
//! Invariant: equal JSON values have equal digests whatever the order of their keys; nothing that Kubernetes adds to tell
//! revisions apart (the `pod-template-hash` label) counts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Label that the Deployment controller puts on ReplicaSets and pods to tell revisions apart.
pub const POD_TEMPLATE_HASH: &str = "pod-template-hash";

/// Label that the controllers of StatefulSets and DaemonSets put on pods to tell revisions apart.
pub const CONTROLLER_REVISION_HASH: &str = "controller-revision-hash";

/// Letters that can't form words and don't look alike, as Kubernetes uses in generated names.
const NAME_ALPHABET: &[u8; 16] = b"bcdfghjklmnpqrst";

/// SHA-256 of a canonical JSON value, as 64 hexadecimal digits.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Digest of any JSON value.
    pub fn of(value: &Value) -> Self {
        let mut hasher = Sha256::new();
        feed(&mut hasher, value);
        Self(hex(&hasher.finalize()))
    }

    /// Digest of a pod template without its `pod-template-hash` label.
    pub fn of_template(template: &Value) -> Self {
        Self::of(&without_hash(template))
    }

    /// The digest written elsewhere, for example in a status; not checked.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All 64 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Ten characters that are safe in names and labels: the value of `pod-template-hash` for this template.
    pub fn short(&self) -> String {
        self.0
            .bytes()
            .take(10)
            .map(|digit| {
                let index = char::from(digit).to_digit(16).unwrap_or(0) as usize;
                NAME_ALPHABET.get(index).copied().map_or('b', char::from)
            })
            .collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({})", self.short())
    }
}

/// The template without its `pod-template-hash` label; an emptied label map stays, as the API server keeps it.
pub fn without_hash(template: &Value) -> Value {
    let mut template = template.clone();
    if let Some(labels) = template
        .pointer_mut("/metadata/labels")
        .and_then(Value::as_object_mut)
    {
        labels.remove(POD_TEMPLATE_HASH);
    }
    template
}

fn feed(hasher: &mut Sha256, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_unstable();
            hasher.update(b"{");
            for key in keys {
                feed(hasher, &Value::String(key.clone()));
                hasher.update(b":");
                if let Some(inner) = map.get(key) {
                    feed(hasher, inner);
                }
                hasher.update(b",");
            }
            hasher.update(b"}");
        }
        Value::Array(items) => {
            hasher.update(b"[");
            for item in items {
                feed(hasher, item);
                hasher.update(b",");
            }
            hasher.update(b"]");
        }
        scalar => hasher.update(scalar.to_string().as_bytes()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            for nibble in [byte >> 4, byte & 0x0f] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
            text
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_keys_does_not_matter_but_the_order_of_items_does() {
        assert_eq!(
            Digest::of(&json!({"a": 1, "b": [1, 2]})),
            Digest::of(&json!({"b": [1, 2], "a": 1}))
        );
        assert_ne!(Digest::of(&json!([1, 2])), Digest::of(&json!([2, 1])));
        assert_ne!(Digest::of(&json!({"a": "1"})), Digest::of(&json!({"a": 1})));
    }

    #[test]
    fn a_replica_sets_template_equals_the_deployments() {
        let plain = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": []}});
        let hashed = json!({"metadata": {"labels": {"app": "a", "pod-template-hash": "x"}}, "spec": {"containers": []}});
        assert_eq!(Digest::of_template(&plain), Digest::of_template(&hashed));
    }

    #[test]
    fn the_short_form_is_ten_safe_letters() {
        let short = Digest::of(&json!(null)).short();
        assert_eq!(short.len(), 10);
        assert!(short.bytes().all(|b| NAME_ALPHABET.contains(&b)));
    }
}
