//! Configuration that goes with a version: which ConfigMaps and Secrets a pod template refers to, and the stamp on the template that
//! says with which content of them its pods are to run.
//!
//! A stamp is an annotation of the template, so pods carry it, and it is part of the template's identity: other content is another
//! version. An admission policy reads it and leads each reference of a pod to the immutable copy `<name>-<hash>`.
//!
//! Invariant: a stamp holds names and hashes, never content.

use std::{collections::BTreeMap, fmt};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Digest, without_hash};

/// Annotation of a pod template, and of its pods: the stamp.
pub const STAMP_ANNOTATION: &str = "belay.dev/config-version";

/// Longest name whose copy still has a valid one: the API server's limit, less the hash and its dash.
pub const MAX_NAME_BYTES: usize = 253 - 11;

/// Kinds of objects that hold configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ConfigKind {
    /// A `ConfigMap`.
    ConfigMap,
    /// A `Secret`.
    Secret,
}

impl ConfigKind {
    /// The kind's name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Secret => "Secret",
        }
    }

    /// How a stamp writes it.
    const fn letter(self) -> char {
        match self {
            Self::ConfigMap => 'c',
            Self::Secret => 's',
        }
    }
}

/// What pods do without an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Need {
    /// They start without it.
    Optional,
    /// They don't start.
    Required,
}

/// An object that a template refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    /// Its kind.
    pub kind: ConfigKind,
    /// Its name.
    pub name: String,
    /// What pods do without it: the strongest need of all places that refer to it.
    pub need: Need,
}

/// With which content a version's pods run: each object with the hash of its content, sorted, for example
/// `c/settings=bcdfghjklm,s/tokens=mnpqrstbcd`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Stamp(String);

impl Stamp {
    /// The stamp for these objects and hashes; none if there are no objects.
    pub fn of(hashes: &BTreeMap<(ConfigKind, String), String>) -> Option<Self> {
        let entries: Vec<String> = hashes
            .iter()
            .map(|((kind, name), hash)| format!("{}/{name}={hash}", kind.letter()))
            .collect();
        (!entries.is_empty()).then(|| Self(entries.join(",")))
    }

    /// The stamp of a template that has one.
    pub fn on(template: &Value) -> Option<Self> {
        let annotations = template.pointer("/metadata/annotations")?;
        let text = annotations.get(STAMP_ANNOTATION)?.as_str()?;
        Some(Self(text.to_owned()))
    }

    /// As it is written in the annotation.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its objects with their hashes.
    pub fn entries(&self) -> impl Iterator<Item = (ConfigKind, &str, &str)> {
        self.0.split(',').filter_map(|entry| {
            let (object, hash) = entry.split_once('=')?;
            let (letter, name) = object.split_once('/')?;
            let kind = match letter {
                "c" => ConfigKind::ConfigMap,
                "s" => ConfigKind::Secret,
                _ => return None,
            };
            Some((kind, name, hash))
        })
    }

    /// The copies that pods with this stamp read.
    pub fn copies(&self) -> impl Iterator<Item = (ConfigKind, String)> {
        self.entries()
            .map(|(kind, name, hash)| (kind, copy_name(name, hash)))
    }

    /// Whether all of this stamp that `other` does not have is in `known`.
    pub fn adds_to(&self, other: &Self, known: &Self) -> bool {
        self.entries()
            .filter(|entry| !other.entries().any(|of| of == *entry))
            .all(|entry| known.entries().any(|of| of == entry))
    }

    /// A few letters to tell stamps apart, for people.
    pub fn short(&self) -> String {
        let mut short = Digest::of(&Value::String(self.0.clone())).short();
        short.truncate(5);
        short
    }
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stamp({})", self.0)
    }
}

/// Name of the immutable copy of an object.
pub fn copy_name(name: &str, hash: &str) -> String {
    format!("{name}-{hash}")
}

/// What a pod template is without `pod-template-hash` and without a stamp: what its author wrote.
pub fn without_stamp(template: &Value) -> Value {
    let mut template = without_hash(template);
    let Some(metadata) = template
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
    else {
        return template;
    };
    let Some(annotations) = metadata
        .get_mut("annotations")
        .and_then(Value::as_object_mut)
    else {
        return template;
    };
    // An empty map is as good as none: the API server drops it.
    if annotations.remove(STAMP_ANNOTATION).is_some() && annotations.is_empty() {
        metadata.remove("annotations");
    }
    template
}

/// Identity of a template with this stamp, where `bare` is the digest of what its author wrote.
pub fn digest_with(bare: &Digest, stamp: Option<&Stamp>) -> Digest {
    stamp.map_or_else(
        || bare.clone(),
        |stamp| Digest::of(&serde_json::json!([bare, stamp])),
    )
}

/// The ConfigMaps and Secrets that a template's containers and volumes refer to, each once. Pull secrets are the node's business, and no
/// content of pods.
pub fn references(template: &Value) -> Vec<Reference> {
    let mut found = BTreeMap::new();
    for volume in items(template, "/spec/volumes") {
        of_source(&mut found, volume, "/secret/secretName");
        for source in items(volume, "/projected/sources") {
            of_source(&mut found, source, "/secret/name");
        }
    }
    for containers in ["/spec/initContainers", "/spec/containers"] {
        for container in items(template, containers) {
            for variable in items(container, "/env") {
                let source = variable.get("valueFrom").unwrap_or(&Value::Null);
                note(
                    &mut found,
                    ConfigKind::ConfigMap,
                    source.get("configMapKeyRef"),
                    "name",
                );
                note(
                    &mut found,
                    ConfigKind::Secret,
                    source.get("secretKeyRef"),
                    "name",
                );
            }
            for source in items(container, "/envFrom") {
                note(
                    &mut found,
                    ConfigKind::ConfigMap,
                    source.get("configMapRef"),
                    "name",
                );
                note(
                    &mut found,
                    ConfigKind::Secret,
                    source.get("secretRef"),
                    "name",
                );
            }
        }
    }
    found
        .into_iter()
        .map(|((kind, name), need)| Reference { kind, name, need })
        .collect()
}

type Found = BTreeMap<(ConfigKind, String), Need>;

/// A volume, or one source of a projected volume.
fn of_source(found: &mut Found, source: &Value, secret_name: &str) {
    let key = secret_name.rsplit('/').next().unwrap_or_default();
    note(
        found,
        ConfigKind::ConfigMap,
        source.get("configMap"),
        "name",
    );
    note(found, ConfigKind::Secret, source.get("secret"), key);
}

fn note(found: &mut Found, kind: ConfigKind, place: Option<&Value>, key: &str) {
    let Some(place) = place else { return };
    let Some(name) = place.get(key).and_then(Value::as_str) else {
        return;
    };
    let need = match place.get("optional").and_then(Value::as_bool) {
        Some(true) => Need::Optional,
        _ => Need::Required,
    };
    let known = found.entry((kind, name.to_owned())).or_insert(need);
    *known = need.max(*known);
}

fn items<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn stamp(text: &str) -> Stamp {
        Stamp(text.to_owned())
    }

    #[test]
    fn every_place_that_refers_to_configuration_is_found_once_with_its_strongest_need() {
        let template = json!({"spec": {
            "imagePullSecrets": [{"name": "registry"}],
            "volumes": [
                {"name": "a", "configMap": {"name": "files", "optional": true}},
                {"name": "b", "secret": {"secretName": "certificate"}},
                {"name": "c", "projected": {"sources": [
                    {"configMap": {"name": "bundle"}}, {"secret": {"name": "key", "optional": true}}, {"downwardAPI": {}}]}},
                {"name": "d", "emptyDir": {}},
            ],
            "initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "files"}}]}],
            "containers": [{"name": "m",
                "env": [{"name": "A", "value": "x"},
                        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "flags", "key": "b"}}},
                        {"name": "C", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "c"}}}],
                "envFrom": [{"secretRef": {"name": "tokens", "optional": true}}]}],
        }});
        let found: Vec<(char, String, Need)> = references(&template)
            .into_iter()
            .map(|reference| (reference.kind.letter(), reference.name, reference.need))
            .collect();
        let expected = [
            ('c', "bundle", Need::Required),
            ('c', "files", Need::Required),
            ('c', "flags", Need::Required),
            ('s', "certificate", Need::Required),
            ('s', "key", Need::Optional),
            ('s', "tokens", Need::Required),
        ];
        let expected: Vec<(char, String, Need)> = expected
            .into_iter()
            .map(|(kind, name, need)| (kind, name.to_owned(), need))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_template_without_its_stamp_is_what_was_written() {
        let written = json!({"metadata": {"labels": {"app": "a"}}, "spec": {}});
        let mut stamped = written.clone();
        stamped["metadata"]["annotations"] = json!({STAMP_ANNOTATION: "c/a=bcdfg"});
        stamped["metadata"]["labels"]["pod-template-hash"] = json!("x");
        assert_eq!(Stamp::on(&stamped), Some(stamp("c/a=bcdfg")));
        assert_eq!(without_stamp(&stamped), written);
        stamped["metadata"]["annotations"]["mine"] = json!("x");
        let bare = without_stamp(&stamped);
        assert_eq!(bare["metadata"]["annotations"], json!({"mine": "x"}));
        let digest = Digest::of(&bare);
        assert_eq!(digest_with(&digest, None), digest);
        assert_ne!(digest_with(&digest, Some(&stamp("c/a=bcdfg"))), digest);
    }

    #[test]
    fn copies_are_named_by_object_and_hash() {
        let both = stamp("c/settings=bcdfg,s/tokens=hjklm");
        let copies: Vec<(ConfigKind, String)> = both.copies().collect();
        let expected = vec![
            (ConfigKind::ConfigMap, "settings-bcdfg".to_owned()),
            (ConfigKind::Secret, "tokens-hjklm".to_owned()),
        ];
        assert_eq!(copies, expected);
        let hashes = both
            .entries()
            .map(|(kind, name, hash)| ((kind, name.to_owned()), hash.to_owned()))
            .collect();
        assert_eq!(Stamp::of(&hashes), Some(both));
    }

    #[test]
    fn what_a_stamp_adds_is_compared_object_by_object() {
        let old = stamp("c/a=1,c/b=1");
        assert!(stamp("c/a=2").adds_to(&old, &stamp("c/a=2,c/b=1")));
        assert!(!stamp("c/a=3").adds_to(&old, &stamp("c/a=2,c/b=1")));
        assert!(stamp("c/a=1").adds_to(&old, &stamp("c/x=9")));
    }
}
