//! Objects in YAML files, each with its place.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use belay_api::names::GROUP;
use serde_json::Value;

use crate::{
    Error,
    lines::{self, Lines},
};

/// API group and version of Belay's kinds.
pub(crate) const API: &str = "belay.dev/v1alpha1";

/// Largest file that is read, in bytes.
const LIMIT_BYTES: u64 = 64 << 20;

/// One object of a file.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    pub(crate) file: String,
    pub(crate) value: Value,
    /// Lines of the document that it stands in, if they are known.
    lines: Option<Arc<Lines>>,
    /// Where it stands in its document: not at the top in a list.
    pointer: String,
}

impl Document {
    /// Whether it is of this kind of Belay's.
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.text("/apiVersion") == API && self.text("/kind") == kind
    }

    /// An object that stands in no file.
    pub(crate) fn loose(value: Value) -> Self {
        Self {
            file: String::new(),
            value,
            lines: None,
            pointer: String::new(),
        }
    }

    /// Whether it is of Belay's group, whatever its kind.
    pub(crate) fn is_belays(&self) -> bool {
        self.text("/apiVersion").split('/').next() == Some(GROUP)
    }

    pub(crate) fn kind(&self) -> &str {
        self.text("/kind")
    }

    pub(crate) fn name(&self) -> &str {
        self.text("/metadata/name")
    }

    pub(crate) fn namespace(&self) -> Option<&str> {
        let found = self.value.pointer("/metadata/namespace");
        found.and_then(Value::as_str)
    }

    /// The line in which a field stands, or what holds it.
    pub(crate) fn line(&self, pointer: &str) -> Option<usize> {
        let pointer = format!("{}{pointer}", self.pointer);
        self.lines.as_ref()?.of(&pointer)
    }

    /// Kind and name, for messages.
    pub(crate) fn title(&self) -> String {
        format!("{} {}", self.text("/kind"), self.name())
    }

    fn text(&self, pointer: &str) -> &str {
        let found = self.value.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default()
    }
}

/// All objects of `files`, those of lists one by one. `-` is standard input.
pub(crate) fn read(files: &[PathBuf]) -> Result<Vec<Document>, Error> {
    let mut documents = Vec::new();
    for path in files {
        let file = path.display().to_string();
        let failed = |message: String| Error::File {
            file: file.clone(),
            message,
        };
        let text = text(path).map_err(|error| failed(error.to_string()))?;
        let found = serde_saphyr::from_multiple::<Value>(&text)
            .map_err(|error| failed(error.to_string()))?;
        let found: Vec<Value> = found.into_iter().filter(|value| !value.is_null()).collect();
        let lines = lines::documents(&text);
        // Two readers that disagree about the documents know no lines.
        let lines = (lines.len() == found.len()).then_some(lines);
        let mut lines = lines.into_iter().flatten().map(Arc::new);
        for value in found {
            let document = Document {
                file: file.clone(),
                value,
                lines: lines.next(),
                pointer: String::new(),
            };
            add(document, &mut documents);
        }
    }
    Ok(documents)
}

fn add(document: Document, documents: &mut Vec<Document>) {
    if document.kind() != "List" {
        documents.push(document);
        return;
    }
    let items = document.value.get("items").and_then(Value::as_array);
    for (index, item) in items.into_iter().flatten().enumerate() {
        let item = Document {
            value: item.clone(),
            pointer: format!("{}/items/{index}", document.pointer),
            ..document.clone()
        };
        add(item, documents);
    }
}

/// The text of a file, or of standard input.
pub(crate) fn text(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .take(LIMIT_BYTES)
            .read_to_string(&mut text)?;
    } else {
        fs::File::open(path)?
            .take(LIMIT_BYTES)
            .read_to_string(&mut text)?;
    }
    Ok(text)
}
