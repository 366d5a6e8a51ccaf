//! Identity of the content of ConfigMaps and Secrets.
//!
//! Hashes are visible to whoever sees pods, and a short secret could be guessed by its hash. So the hash of a Secret's content contains
//! the UID of the Secret, which only they see who may read the Secret: one that is made anew counts as other content.

use belay_api::names::{CONFIG_ANNOTATION, CONFIG_LIVE};
use belay_engine::{config::ConfigKind, digest::Digest};
use jiff::Timestamp;
use kube::{ResourceExt as _, api::DynamicObject};
use serde_json::{Map, Value, json};

/// Tokens of service accounts are bound to their Secret, and a copy would be none.
const TOKEN_TYPE: &str = "kubernetes.io/service-account-token";

/// What an object is to versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It does not exist.
    Absent,
    /// It goes with no version.
    Live,
    /// Belay may not read it.
    Forbidden,
    /// It has this content.
    Present(Digest),
}

/// What is known of an object.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub(super) found: Found,
    /// When this process saw it change.
    pub(super) changed_at: Timestamp,
}

/// What an object that exists is to versions.
pub(super) fn found(kind: ConfigKind, object: &DynamicObject) -> Found {
    let marked = object.annotations().get(CONFIG_ANNOTATION);
    let is_token = kind == ConfigKind::Secret
        && object.data.get("type").and_then(Value::as_str) == Some(TOKEN_TYPE);
    if is_token || marked.is_some_and(|value| value == CONFIG_LIVE) {
        return Found::Live;
    }
    Found::Present(digest(kind, object.uid(), object))
}

/// Identity of what an object holds, as content of the object with this UID.
pub(super) fn digest(kind: ConfigKind, uid: Option<String>, object: &DynamicObject) -> Digest {
    let salt = match kind {
        ConfigKind::ConfigMap => None,
        ConfigKind::Secret => uid,
    };
    Digest::of(&json!([kind.name(), salt, body(kind, object)]))
}

/// Everything of an object that pods read.
pub(super) fn body(kind: ConfigKind, object: &DynamicObject) -> Map<String, Value> {
    let fields: &[&str] = match kind {
        ConfigKind::ConfigMap => &["data", "binaryData"],
        ConfigKind::Secret => &["data", "type"],
    };
    fields
        .iter()
        .filter_map(|field| Some(((*field).to_owned(), object.data.get(*field)?.clone())))
        .collect()
}

/// How a stamp names this content for a workload. Each workload has copies of its own, so that none depends on another's.
pub(super) fn hash(workload_uid: &str, content: &Digest) -> String {
    Digest::of(&json!([workload_uid, content])).short()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: &Value) -> DynamicObject {
        serde_json::from_value(value.clone()).unwrap()
    }

    #[test]
    fn content_counts_and_nothing_else() {
        let plain = json!({"metadata": {"name": "a"}, "data": {"k": "v"}});
        let labelled = json!({"metadata": {"name": "a", "labels": {"x": "y"}, "resourceVersion": "9"}, "data": {"k": "v"}, "immutable": true});
        let other = json!({"metadata": {"name": "a"}, "data": {"k": "w"}});
        let found = |value| found(ConfigKind::ConfigMap, &object(value));
        assert_eq!(found(&plain), found(&labelled));
        assert_ne!(found(&plain), found(&other));
    }

    #[test]
    fn a_secret_is_not_known_by_the_hash_of_its_content_alone() {
        let secret = |uid: &str| json!({"metadata": {"name": "a", "uid": uid}, "type": "Opaque", "data": {"k": "dg=="}});
        let found = |uid| found(ConfigKind::Secret, &object(&secret(uid)));
        assert_ne!(found("1"), found("2"));
    }

    #[test]
    fn what_is_marked_or_bound_to_its_object_stays_live() {
        let marked =
            json!({"metadata": {"annotations": {"belay.dev/config": "Live"}}, "data": {"k": "v"}});
        assert_eq!(found(ConfigKind::ConfigMap, &object(&marked)), Found::Live);
        let token = json!({"metadata": {}, "type": TOKEN_TYPE});
        assert_eq!(found(ConfigKind::Secret, &object(&token)), Found::Live);
    }
}
