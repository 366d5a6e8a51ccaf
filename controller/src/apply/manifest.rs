//! From rendered manifests to what is sent to the API server.
//!
//! Invariant: what is sent holds the user's fields, Belay's label and annotation of ownership, and nothing that only the API
//! server writes.

use std::collections::HashMap;

use belay_api::{
    names::{GROUP, RELEASE_LABEL, RELEASE_UID_ANNOTATION},
    rollout::WorkloadKind,
};
use belay_engine::{
    digest::Digest,
    release::{observed::ObjectKey, words::Words},
};
use kube::discovery::{ApiResource, Scope};
use serde_json::{Map, Value, json};

use super::{
    Failure, Kind, Kinds, Target,
    failure::Secrecy,
    order::rank,
    same,
    standing::{Company, Standing},
    turn::{self, Part, Turn},
    words,
};

/// One rendered object, and where it is written.
#[derive(Clone, Debug, PartialEq)]
pub struct Manifest {
    /// File and document, or another place that people know it by.
    pub source: String,
    /// The object.
    pub value: Value,
    /// Whether what the API server says about it may be repeated.
    pub secrecy: Secrecy,
}

/// The Release that objects belong to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// Its namespace, in which objects without a namespace are put.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
}

/// An object that is ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Prepared {
    /// Its identity.
    pub key: ObjectKey,
    /// Its kind.
    pub kind: Kind,
    /// When its turn comes.
    pub turn: Turn,
    /// Where it is written.
    pub source: String,
    /// What is sent.
    pub body: Value,
    /// Digest of that, for an object that is not sent again for nothing (see [`super::same`]).
    pub digest: Option<String>,
    /// Whether what the API server says about it may be repeated.
    pub secrecy: Secrecy,
    /// What its annotations say.
    pub words: Words,
    /// Whether the API server can take it before the rest of the set is there.
    pub standing: Standing,
}

impl Prepared {
    /// For messages: where it is written, and what it is.
    pub fn place(&self) -> String {
        format!("{}: {}", self.source, self.key)
    }

    /// Whether it is of no more use when it is done: a Job with a time to live takes itself away, and one with a turn of its own
    /// is not made again.
    pub fn is_passing(&self) -> bool {
        self.turn.part != Part::Main
            || self.key.group == "batch"
                && self.key.kind == "Job"
                && self.body.pointer("/spec/ttlSecondsAfterFinished").is_some()
    }

    /// What it is, if a Rollout can govern it.
    pub fn workload_kind(&self) -> Option<WorkloadKind> {
        workload_kind(&self.key)
    }
}

/// The kind of the workload, if a Rollout can govern it.
pub fn workload_kind(key: &ObjectKey) -> Option<WorkloadKind> {
    match (key.group.as_str(), key.kind.as_str()) {
        ("apps", "Deployment") => Some(WorkloadKind::Deployment),
        ("apps", "StatefulSet") => Some(WorkloadKind::StatefulSet),
        ("apps", "DaemonSet") => Some(WorkloadKind::DaemonSet),
        _ => None,
    }
}

/// Prepares all objects of a set, in the order in which they are applied.
pub async fn prepare(
    manifests: &[Manifest],
    content: &Digest,
    owner: &Owner,
    target: &Target,
) -> Result<Vec<Prepared>, Failure> {
    if target.is_remote() {
        refuse_rollouts(manifests)?;
    }
    let kinds = &target.kinds;
    let introduced = introduced_kinds(manifests);
    let company = Company::of(manifests, &owner.namespace);
    let mut seen: HashMap<ObjectKey, String> = HashMap::new();
    let mut prepared = Vec::with_capacity(manifests.len());
    for manifest in manifests {
        let (kind, is_new) = resolve(manifest, kinds, &introduced).await?;
        let mut object = prepare_one(manifest, content, owner, kind)?;
        object.standing = if is_new {
            Standing::NeedsKind
        } else {
            company.standing(&object.key, &object.body)
        };
        if let Some(first) = seen.insert(object.key.clone(), object.source.clone()) {
            return Err(Failure::content(format!(
                "{}: the same object is in {first}; remove one of them",
                object.place()
            )));
        }
        object.digest = same::digest(&object);
        prepared.push(object);
    }
    prepared.sort_by(|a, b| (a.turn, &a.key).cmp(&(b.turn, &b.key)));
    Ok(prepared)
}

/// A Rollout is judged where it is, and nobody here would hear of its verdict.
fn refuse_rollouts(manifests: &[Manifest]) -> Result<(), Failure> {
    let is_rollout = |manifest: &&Manifest| {
        let group = text(&manifest.value, "apiVersion").split('/').next();
        group == Some(GROUP) && text(&manifest.value, "kind") == "Rollout"
    };
    match manifests.iter().find(is_rollout) {
        None => Ok(()),
        Some(rollout) => Err(Failure::content(format!(
            "{}: a Rollout can't be brought into another cluster: its verdict would not count here. Take it out, or have the Belay of \
             that cluster follow the source with a Release of its own",
            rollout.source
        ))),
    }
}

async fn resolve(
    manifest: &Manifest,
    kinds: &Kinds,
    introduced: &HashMap<(String, String), Kind>,
) -> Result<(Kind, bool), Failure> {
    let api_version = text(&manifest.value, "apiVersion");
    let name = text(&manifest.value, "kind");
    if let Some(kind) = kinds.resolve(api_version, name).await? {
        if kind.is_kept {
            return Ok((kind, false));
        }
        return Err(Failure::content(format!(
            "{}: objects of kind {name} ({api_version}) can't be kept by a Release; remove it",
            manifest.source
        )));
    }
    let key = (api_version.to_owned(), name.to_owned());
    introduced.get(&key).map(|kind| (kind.clone(), true)).ok_or_else(|| {
        Failure::environment(format!(
            "{}: the API server does not know kind {name} of {api_version}; correct it, or install its definition first",
            manifest.source
        ))
    })
}

fn prepare_one(
    manifest: &Manifest,
    content: &Digest,
    owner: &Owner,
    kind: Kind,
) -> Result<Prepared, Failure> {
    let mut body = manifest.value.clone();
    let lacking =
        |what: &str| Failure::content(format!("{}: the object has no {what}", manifest.source));
    let object = body.as_object_mut().ok_or_else(|| lacking("fields"))?;
    object.remove("status");
    let words = words::rendered(&manifest.value).map_err(|why| meaningless(manifest, &why))?;
    let metadata = object
        .get_mut("metadata")
        .and_then(Value::as_object_mut)
        .ok_or_else(|| lacking("metadata"))?;
    for field in [
        "managedFields",
        "resourceVersion",
        "uid",
        "generation",
        "creationTimestamp",
        "selfLink",
    ] {
        metadata.remove(field);
    }
    let name = metadata
        .get("name")
        .and_then(Value::as_str)
        .ok_or_else(|| lacking("name"))?
        .to_owned();
    let namespace = if kind.is_namespaced() {
        let written = metadata.get("namespace").and_then(Value::as_str);
        let namespace = written.unwrap_or(&owner.namespace).to_owned();
        metadata.insert("namespace".to_owned(), json!(namespace));
        Some(namespace)
    } else {
        metadata.remove("namespace");
        None
    };
    put(metadata, "labels", RELEASE_LABEL, &owner.name);
    put(metadata, "annotations", RELEASE_UID_ANNOTATION, &owner.uid);
    let group = kind.resource.group.clone();
    let turn = turn::turn(&body, rank(&group, &kind.resource.kind))
        .map_err(|why| meaningless(manifest, &why))?;
    let name = match turn.part {
        Part::Main => name,
        Part::Pre | Part::Post => turn::bind(&mut body, &name, content),
    };
    Ok(Prepared {
        turn,
        key: ObjectKey {
            group,
            kind: kind.resource.kind.clone(),
            namespace,
            name,
        },
        kind,
        source: manifest.source.clone(),
        secrecy: manifest.secrecy,
        body,
        digest: None,
        words,
        standing: Standing::Alone,
    })
}

/// Refuses an annotation. What may hold a secret value is not quoted.
fn meaningless(manifest: &Manifest, why: &str) -> Failure {
    let why = match manifest.secrecy {
        Secrecy::Open => why,
        Secrecy::Secret => {
            "one of its annotations belay.dev/… says what means nothing; see the table of them"
        }
    };
    Failure::content(format!("{}: {why}", manifest.source))
}

fn put(metadata: &mut Map<String, Value>, map: &str, key: &str, value: &str) {
    let entry = metadata.entry(map).or_insert_with(|| json!({}));
    if !entry.is_object() {
        *entry = json!({});
    }
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(key.to_owned(), json!(value));
    }
}

/// Kinds that definitions in the set bring along, by API version and kind.
fn introduced_kinds(manifests: &[Manifest]) -> HashMap<(String, String), Kind> {
    let mut kinds = HashMap::new();
    for Manifest { value, .. } in manifests {
        if text(value, "kind") != "CustomResourceDefinition" {
            continue;
        }
        let at = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
        let (Some(group), Some(kind), Some(plural)) = (
            at("/spec/group"),
            at("/spec/names/kind"),
            at("/spec/names/plural"),
        ) else {
            continue;
        };
        let scope = match at("/spec/scope") {
            Some("Cluster") => Scope::Cluster,
            _ => Scope::Namespaced,
        };
        let versions = value.pointer("/spec/versions").and_then(Value::as_array);
        for version in versions.into_iter().flatten() {
            let has_status = version.pointer("/subresources/status").is_some();
            let version = text(version, "name");
            let api_version = format!("{group}/{version}");
            let resource = ApiResource {
                group: group.to_owned(),
                version: version.to_owned(),
                api_version: api_version.clone(),
                kind: kind.to_owned(),
                plural: plural.to_owned(),
            };
            let introduced = Kind {
                resource,
                scope: scope.clone(),
                is_kept: true,
                has_status,
            };
            kinds.insert((api_version, kind.to_owned()), introduced);
        }
    }
    kinds
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_maps() -> Kind {
        Kind {
            resource: ApiResource {
                group: String::new(),
                version: "v1".into(),
                api_version: "v1".into(),
                kind: "ConfigMap".into(),
                plural: "configmaps".into(),
            },
            scope: Scope::Namespaced,
            is_kept: true,
            has_status: false,
        }
    }

    fn owner() -> Owner {
        Owner {
            namespace: "shop".into(),
            name: "shop".into(),
            uid: "u-1".into(),
        }
    }

    #[test]
    fn only_the_users_fields_and_belays_marks_are_sent() {
        let manifest = Manifest {
            source: "a.yaml".into(),
            secrecy: Secrecy::Open,
            value: json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"}, "status": {"x": 1},
                "metadata": {"name": "web", "labels": {"app": "web"}, "uid": "x", "resourceVersion": "3", "managedFields": []}}),
        };
        let prepared =
            prepare_one(&manifest, &Digest::of(&json!("a")), &owner(), config_maps()).unwrap();
        assert_eq!(
            prepared.body,
            json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "1"},
                "metadata": {"name": "web", "namespace": "shop", "labels": {"app": "web", "belay.dev/release": "shop"},
                    "annotations": {"belay.dev/release-uid": "u-1"}}})
        );
        assert_eq!(prepared.key.to_string(), "ConfigMap shop/web");
    }

    #[test]
    fn a_word_that_means_nothing_is_refused_with_its_file() {
        let mut manifest = Manifest {
            source: "a.yaml".into(),
            secrecy: Secrecy::Open,
            value: json!({"apiVersion": "v1", "kind": "ConfigMap",
                "metadata": {"name": "web", "annotations": {"belay.dev/reconcile": "off"}}}),
        };
        let refused =
            prepare_one(&manifest, &Digest::of(&json!("a")), &owner(), config_maps()).unwrap_err();
        assert!(
            refused
                .message
                .starts_with("a.yaml: annotation belay.dev/reconcile says \"off\""),
            "{refused}"
        );
        // What may hold a secret value is not quoted.
        manifest.secrecy = Secrecy::Secret;
        let refused =
            prepare_one(&manifest, &Digest::of(&json!("a")), &owner(), config_maps()).unwrap_err();
        assert!(!refused.message.contains("off"), "{refused}");
    }

    #[test]
    fn definitions_in_the_set_introduce_their_kinds() {
        let definition = Manifest {
            source: "crd.yaml".into(),
            secrecy: Secrecy::Open,
            value: json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "spec": {"group": "example.com", "scope": "Cluster", "names": {"kind": "Thing", "plural": "things"},
                    "versions": [{"name": "v1"}]}}),
        };
        let kinds = introduced_kinds(&[definition]);
        let kind = &kinds[&("example.com/v1".to_owned(), "Thing".to_owned())];
        assert_eq!(
            (kind.resource.plural.as_str(), kind.is_namespaced()),
            ("things", false)
        );
    }
}
