//! What a kustomization may ask for.
//!
//! Invariant: fields are allowed by name, never forbidden by name, because kustomize matches field names without regard
//! to case and learns new ones. Everything a kustomization can make kustomize load is returned as a reference into the
//! repository, or refused: addresses, Helm charts, plugins and functions.

use serde_json::{Map, Value};

use crate::render::RenderError;
use crate::yaml::{self, Limits};

/// Something a kustomization makes kustomize load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reference {
    /// A file or a directory with a kustomization of its own.
    Any(String),
    /// A file.
    File(String),
    /// A file with configuration for built-in transformers.
    Transformers(String),
}

impl Reference {
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Any(text) | Self::File(text) | Self::Transformers(text) => text,
        }
    }
}

/// Fields that load nothing.
const HARMLESS: [&str; 16] = [
    "apiVersion",
    "kind",
    "metadata",
    "namePrefix",
    "nameSuffix",
    "namespace",
    "commonLabels",
    "labels",
    "commonAnnotations",
    "images",
    "imageTags",
    "replicas",
    "vars",
    "sortOptions",
    "generatorOptions",
    "buildMetadata",
];

/// Built-in transformers that load nothing.
const TRANSFORMERS: [&str; 13] = [
    "AnnotationsTransformer",
    "HashTransformer",
    "ImageTagTransformer",
    "LabelTransformer",
    "LegacyOrderTransformer",
    "NamespaceTransformer",
    "PatchTransformer",
    "PrefixTransformer",
    "PrefixSuffixTransformer",
    "ReplicaCountTransformer",
    "SortOrderTransformer",
    "SuffixTransformer",
    "ValueAddTransformer",
];

/// What the kustomization in `file` loads.
pub(super) fn references(
    file: &str,
    kustomization: &Map<String, Value>,
) -> Result<Vec<Reference>, RenderError> {
    let mut found = Vec::new();
    for (field, value) in kustomization {
        let reader = Reader { file, field };
        match field.as_str() {
            "resources" | "bases" | "components" => {
                found.extend(reader.texts(value)?.into_iter().map(Reference::Any));
            }
            "crds" | "configurations" => {
                found.extend(reader.texts(value)?.into_iter().map(Reference::File));
            }
            "patchesStrategicMerge" => {
                let texts = reader
                    .texts(value)?
                    .into_iter()
                    .filter(|text| !is_inline(text));
                found.extend(texts.map(Reference::File));
            }
            "patches" | "patchesJson6902" | "replacements" | "configMapGenerator"
            | "secretGenerator" => {
                found.extend(
                    reader
                        .files_of_entries(value)?
                        .into_iter()
                        .map(Reference::File),
                );
            }
            "openapi" => found.extend(
                reader
                    .files_of_entry(value)?
                    .into_iter()
                    .map(Reference::File),
            ),
            "generators" | "transformers" | "validators" => {
                for text in reader.texts(value)? {
                    if is_inline(&text) {
                        transformers(file, &text)?;
                    } else {
                        found.push(Reference::Transformers(text));
                    }
                }
            }
            "helmCharts" | "helmGlobals" | "helmChartInflationGenerator" => {
                return Err(RenderError::refused(
                    file,
                    field,
                    "charts are not inflated here; commit the rendered manifests",
                ));
            }
            known if HARMLESS.contains(&known) => {}
            _ => {
                return Err(reader
                    .refuse("it is not a field of kustomize 5; check its spelling and capitals"));
            }
        }
    }
    found
        .iter()
        .try_for_each(|reference| refuse_remote(file, reference.text()))?;
    Ok(found)
}

/// Checks configuration for transformers and gives it back as values.
pub(super) fn transformers(file: &str, text: &str) -> Result<Vec<Value>, RenderError> {
    let documents = yaml::parse_yaml(text, &Limits::default())
        .map_err(|problem| RenderError::syntax(file, problem))?;
    let values: Vec<Value> = documents
        .into_iter()
        .map(|document| document.value)
        .filter(|value| !value.is_null())
        .collect();
    for value in &values {
        check_transformer(file, value)?;
    }
    Ok(values)
}

fn check_transformer(file: &str, value: &Value) -> Result<(), RenderError> {
    let instead =
        "only kustomize's built-in transformers run here; write the result into the manifests";
    let is_builtin = value.get("apiVersion").and_then(Value::as_str) == Some("builtin");
    let kind = value
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if !is_builtin || !TRANSFORMERS.contains(&kind) {
        return Err(RenderError::refused(file, "a plugin or generator", instead));
    }
    let annotations = value
        .pointer("/metadata/annotations")
        .and_then(Value::as_object);
    if annotations
        .is_some_and(|annotations| annotations.keys().any(|key| key.starts_with("config.")))
    {
        return Err(RenderError::refused(file, "a function annotation", instead));
    }
    // Names are matched without regard to case, and beyond ASCII in ways of their own.
    let loads = |key: &String| {
        !key.is_ascii()
            || ["path", "paths", "file", "files"].contains(&key.to_ascii_lowercase().as_str())
    };
    if value
        .as_object()
        .is_some_and(|fields| fields.keys().any(loads))
    {
        let instead =
            "write the patch into the file, or use the field patches of the kustomization";
        return Err(RenderError::refused(
            file,
            "a transformer that loads a file",
            instead,
        ));
    }
    Ok(())
}

struct Reader<'a> {
    file: &'a str,
    field: &'a str,
}

impl Reader<'_> {
    fn refuse(&self, instead: &str) -> RenderError {
        RenderError::refused(
            self.file,
            format!("the field {:?}", crate::text::one_line(self.field, 60)),
            instead,
        )
    }

    fn texts(&self, value: &Value) -> Result<Vec<String>, RenderError> {
        let items = match value {
            Value::Null => return Ok(Vec::new()),
            Value::Array(items) => items,
            _ => {
                return Err(
                    self.refuse("it is not a list; write one entry per line with - in front")
                );
            }
        };
        let text = |item: &Value| {
            item.as_str()
                .map(str::to_owned)
                .ok_or_else(|| self.refuse("its entries are not all text"))
        };
        items.iter().map(text).collect()
    }

    fn files_of_entries(&self, value: &Value) -> Result<Vec<String>, RenderError> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => {
                let files: Result<Vec<Vec<String>>, _> =
                    items.iter().map(|item| self.files_of_entry(item)).collect();
                Ok(files?.concat())
            }
            _ => Err(self.refuse("it is not a list; write one entry per line with - in front")),
        }
    }

    /// The files one generator, patch or replacement loads.
    fn files_of_entry(&self, entry: &Value) -> Result<Vec<String>, RenderError> {
        let Value::Object(entry) = entry else {
            return Err(self.refuse("its entries are not all objects"));
        };
        let mut files = Vec::new();
        for (key, value) in entry {
            if !key.is_ascii() {
                return Err(self.refuse("it has a key that is no field of kustomize 5"));
            }
            match key.to_ascii_lowercase().as_str() {
                "path" | "env" | "file" => match value {
                    Value::Null => {}
                    Value::String(text) => files.push(text.clone()),
                    _ => return Err(self.refuse("a path in it is not text")),
                },
                "envs" => files.extend(self.texts(value)?),
                // Entries are a path, or a name, = and a path.
                "files" => {
                    for text in self.texts(value)? {
                        refuse_remote(self.file, &text)?;
                        files.push(
                            text.split_once('=')
                                .map_or(text.clone(), |(_, path)| path.to_owned()),
                        );
                    }
                }
                _ => {}
            }
        }
        files.retain(|file| !file.is_empty());
        Ok(files)
    }
}

/// Whether kustomize takes the text for content instead of a path.
fn is_inline(text: &str) -> bool {
    text.contains('\n') || text.trim_start().starts_with('{')
}

fn refuse_remote(file: &str, text: &str) -> Result<(), RenderError> {
    let lower = text.to_ascii_lowercase();
    let is_remote = text.contains([':', '?', '\n', '\\'])
        || lower.starts_with("github.com/")
        || lower.starts_with("//")
        || text
            .split('/')
            .next()
            .is_some_and(|first| first.contains('@'));
    if is_remote {
        let instead = "what is released must be in the commit; copy it into the repository and refer to it by its path";
        return Err(RenderError::refused(
            file,
            "an address outside the repository",
            instead,
        ));
    }
    if text.is_empty() || text.starts_with('/') {
        return Err(RenderError::refused(
            file,
            "an empty or absolute path",
            "write it relative to the kustomization",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
