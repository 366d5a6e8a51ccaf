//! Documents become objects with a key, a source and the guarantees an applier needs.
//!
//! Invariant: every object has `apiVersion`, `kind` and a fixed `metadata.name`, its labels and annotations are text,
//! and no two objects are the same one. Left out: whether the API server knows the kind; only it can tell.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Value};

use super::{ContentDigest, RenderError, Rendered, Substitution, canonical, sops};
use crate::yaml::Document;

/// Lists inside lists.
const LIST_DEPTH: usize = 4;
const OBJECTS: usize = 10_000;

/// Which object it is, apart from the API version it is written in.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectKey {
    /// The API group; empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace as written; whether the kind has namespaces is not known here.
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.kind)?;
        if !self.group.is_empty() {
            write!(formatter, ".{}", self.group)?;
        }
        formatter.write_str(" ")?;
        if let Some(namespace) = &self.namespace {
            write!(formatter, "{namespace}/")?;
        }
        formatter.write_str(&self.name)
    }
}

/// Where an object is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectSource {
    /// The file's path in the repository; for a build, the kustomization file.
    pub file: String,
    /// The document's position in the file, or in the build's output, from 1.
    pub document: usize,
}

impl fmt::Display for ObjectSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, document {}", self.file, self.document)
    }
}

/// Whether what is said about something may quote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Secrecy {
    /// It may.
    #[default]
    Open,
    /// It holds, or may hold, the value of a Secret that is not in the repository's clear text.
    Secret,
}

/// A document on its way to become objects.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) file: String,
    pub(super) document: Document,
    pub(super) secrecy: Secrecy,
}

impl Draft {
    /// A document of a file that anybody may read who may read the repository.
    pub(super) fn open(file: String, document: Document) -> Self {
        Self {
            file,
            document,
            secrecy: Secrecy::Open,
        }
    }
}

/// One object of a render.
#[derive(Debug, Clone, PartialEq)]
pub struct RenderedObject {
    /// Which object it is.
    pub key: ObjectKey,
    /// Where it is written.
    pub source: ObjectSource,
    /// The object itself.
    pub value: Value,
    /// Whether what the API server says about it may be repeated.
    pub secrecy: Secrecy,
}

impl Rendered {
    /// A render without any object, for who takes an empty directory at its word.
    pub fn nothing() -> Self {
        let mut text = String::new();
        canonical::write_list(&mut text, std::iter::empty());
        Self {
            digest: ContentDigest::of_text(&text),
            json_bytes: text.len(),
            objects: Vec::new(),
            warnings: Vec::new(),
            tool: None,
        }
    }
}

/// Checks all documents of a directory and makes a render of them.
pub(super) fn assemble(
    path: &str,
    mut drafts: Vec<Draft>,
    substitution: Option<&Substitution>,
    warnings: Vec<String>,
    tool: Option<String>,
) -> Result<Rendered, RenderError> {
    if let Some(substitution) = substitution {
        substitution.apply(&mut drafts)?;
    }
    let mut objects = Vec::new();
    for draft in drafts {
        if sops::is_encrypted(&draft.document.value) {
            return Err(RenderError::refused(
                &draft.file,
                "a value that is still encrypted with SOPS",
                "commit the file as sops writes it, whole, with what it has put under sops",
            ));
        }
        let origin = ObjectSource {
            file: draft.file,
            document: draft.document.number,
        };
        flatten(
            (&origin, draft.secrecy),
            draft.document.value,
            0,
            &mut objects,
        )?;
        if objects.len() > OBJECTS {
            return Err(RenderError::TooLarge {
                what: format!("the render of {path}"),
                limit: format!("{OBJECTS} objects"),
            });
        }
    }
    if objects.is_empty() {
        return Err(RenderError::EmptyRender {
            path: path.to_owned(),
        });
    }
    refuse_duplicates(&objects)?;
    let mut sorted: Vec<&RenderedObject> = objects.iter().collect();
    sorted.sort_by_key(|object| &object.key);
    let mut text = String::new();
    canonical::write_list(&mut text, sorted.into_iter().map(|object| &object.value));
    Ok(Rendered {
        digest: ContentDigest::of_text(&text),
        json_bytes: text.len(),
        objects,
        warnings,
        tool,
    })
}

fn flatten(
    (origin, secrecy): (&ObjectSource, Secrecy),
    value: Value,
    depth: usize,
    objects: &mut Vec<RenderedObject>,
) -> Result<(), RenderError> {
    let problem = |text: &str| {
        Err(RenderError::Object {
            origin: origin.clone(),
            problem: text.to_owned(),
        })
    };
    let mut object = match value {
        Value::Null => return Ok(()),
        Value::Object(object) => object,
        _ => return problem("not an object; a manifest starts with apiVersion, kind and metadata"),
    };
    let is_list = object
        .get("kind")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.ends_with("List"));
    match object.remove("items") {
        Some(Value::Array(items)) if is_list => {
            if depth >= LIST_DEPTH {
                return problem(
                    "lists are nested too deep; write the objects as documents of their own",
                );
            }
            items
                .into_iter()
                .try_for_each(|item| flatten((origin, secrecy), item, depth + 1, objects))
        }
        items => {
            object.extend(items.map(|items| ("items".to_owned(), items)));
            match check(&object) {
                Ok(key) => {
                    objects.push(RenderedObject {
                        key,
                        source: origin.clone(),
                        value: Value::Object(object),
                        secrecy,
                    });
                    Ok(())
                }
                Err(text) => problem(&text),
            }
        }
    }
}

/// The key of an object, or what is wrong with it.
fn check(object: &Map<String, Value>) -> Result<ObjectKey, String> {
    let api_version = text_field(object, "apiVersion")?
        .ok_or("apiVersion is missing; add it, for example apps/v1")?;
    let kind =
        text_field(object, "kind")?.ok_or("kind is missing; add it, for example Deployment")?;
    let Some(Value::Object(metadata)) = object.get("metadata") else {
        return Err(format!("the {kind} has no metadata; add metadata.name"));
    };
    let Some(name) = text_field(metadata, "name").map_err(|text| format!("metadata.{text}"))?
    else {
        let generated = metadata.contains_key("generateName");
        let advice = if generated {
            "write a fixed name instead of generateName"
        } else {
            "add it"
        };
        return Err(format!("the {kind} has no metadata.name; {advice}"));
    };
    let namespace = text_field(metadata, "namespace").map_err(|text| format!("metadata.{text}"))?;
    for field in ["labels", "annotations"] {
        text_values(metadata, field).map_err(|problem| format!("{kind} {name}: {problem}"))?;
    }
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    Ok(ObjectKey {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    })
}

fn text_field<'a>(object: &'a Map<String, Value>, field: &str) -> Result<Option<&'a str>, String> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!(
            "{field} is {}, not text; put it in quotes",
            type_of(other)
        )),
    }
}

fn text_values(metadata: &Map<String, Value>, field: &str) -> Result<(), String> {
    let entries = match metadata.get(field) {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(entries)) => entries,
        Some(other) => {
            return Err(format!(
                "metadata.{field} is {}; write keys with text values",
                type_of(other)
            ));
        }
    };
    match entries.iter().find(|(_, value)| !value.is_string()) {
        Some((key, value)) => Err(format!(
            "metadata.{field}[{key:?}] is {}, not text; put it in quotes",
            type_of(value)
        )),
        None => Ok(()),
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn refuse_duplicates(objects: &[RenderedObject]) -> Result<(), RenderError> {
    let mut seen: HashMap<&ObjectKey, &ObjectSource> = HashMap::with_capacity(objects.len());
    for object in objects {
        if let Some(first) = seen.insert(&object.key, &object.source) {
            return Err(RenderError::Duplicate {
                object: object.key.to_string(),
                first: first.clone(),
                second: object.source.clone(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn render(values: Vec<(&str, Value)>) -> Result<Rendered, RenderError> {
        let documents = values
            .into_iter()
            .enumerate()
            .map(|(index, (file, value))| {
                Draft::open(file.to_owned(), Document::new(index + 1, value))
            })
            .collect();
        assemble("deploy", documents, None, Vec::new(), None)
    }

    fn config(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}})
    }

    #[test]
    fn lists_are_flattened_and_keys_read() {
        let web = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"}});
        let list = json!({"apiVersion": "v1", "kind": "List", "items": [config("a"), web]});
        let rendered = render(vec![("a.yaml", list), ("b.yaml", Value::Null)]).unwrap();
        let keys: Vec<String> = rendered
            .objects
            .iter()
            .map(|object| object.key.to_string())
            .collect();
        assert_eq!(keys, ["ConfigMap a", "Deployment.apps shop/web"]);
    }

    #[test]
    fn a_kind_that_merely_has_items_is_kept_whole() {
        let odd = json!({"apiVersion": "x.io/v1", "kind": "Basket", "metadata": {"name": "a"}, "items": [1]});
        assert_eq!(
            render(vec![("a.yaml", odd.clone())]).unwrap().objects[0].value,
            odd
        );
    }

    #[test]
    fn the_same_object_twice_is_refused_naming_both_files_even_in_another_version() {
        let beta = json!({"apiVersion": "apps/v1beta1", "kind": "Deployment", "metadata": {"name": "web"}});
        let stable =
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}});
        let error = render(vec![("a.yaml", beta), ("b.yaml", stable)]).unwrap_err();
        assert_eq!(error.reason(), "DuplicateObject");
        assert!(
            error.to_string().contains("a.yaml") && error.to_string().contains("b.yaml"),
            "{error}"
        );
    }

    #[test]
    fn incomplete_objects_are_refused_naming_file_and_document_but_no_value() {
        for (value, word) in [
            (
                json!({"kind": "A", "metadata": {"name": "x"}}),
                "apiVersion",
            ),
            (
                json!({"apiVersion": "v1", "metadata": {"name": "x"}}),
                "kind",
            ),
            (json!({"apiVersion": "v1", "kind": "A"}), "metadata"),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"generateName": "x"}}),
                "generateName",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": 5}}),
                "quotes",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "x", "labels": {"v": 4711}}}),
                "labels",
            ),
            (
                json!({"apiVersion": "v1", "kind": "A", "metadata": {"name": "x", "annotations": {"v": true}}}),
                "annotations",
            ),
            (json!("hush"), "not an object"),
            (json!(["hush"]), "not an object"),
        ] {
            let text = render(vec![("dir/a.yaml", value)]).unwrap_err().to_string();
            assert!(
                text.contains("dir/a.yaml, document 1") && text.contains(word),
                "{text}"
            );
            assert!(!text.contains("4711") && !text.contains("hush"), "{text}");
        }
    }

    #[test]
    fn nothing_is_an_error_of_its_own() {
        assert_eq!(
            render(vec![("a.yaml", Value::Null)]).unwrap_err().reason(),
            "EmptyRender"
        );
        let empty = json!({"apiVersion": "v1", "kind": "List", "items": []});
        assert_eq!(
            render(vec![("a.yaml", empty)]).unwrap_err().reason(),
            "EmptyRender"
        );
    }

    #[test]
    fn the_digest_is_of_the_content_not_of_its_place_or_order() {
        let one = render(vec![("a.yaml", config("a")), ("b.yaml", config("b"))]).unwrap();
        let other = render(vec![("z.yaml", config("b")), ("y.yaml", config("a"))]).unwrap();
        assert_eq!(one.digest, other.digest);
        assert_ne!(
            one.digest,
            render(vec![("a.yaml", config("a"))]).unwrap().digest
        );
    }
}
