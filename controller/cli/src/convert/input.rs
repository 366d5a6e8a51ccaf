//! Objects from files, folders and standard input.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::note::About;
use crate::Error;

/// Largest file that is read.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// An object of a file.
#[derive(Clone, Debug)]
pub(super) struct Object {
    pub(super) about: About,
    pub(super) api_version: String,
    pub(super) document: Value,
}

impl Object {
    fn of(file: &str, document: Value) -> Self {
        let text = |pointer: &str| {
            let value = document.pointer(pointer).and_then(Value::as_str);
            value.map(str::to_owned)
        };
        Self {
            about: About {
                file: file.to_owned(),
                kind: text("/kind").unwrap_or_default(),
                namespace: text("/metadata/namespace"),
                name: text("/metadata/name").unwrap_or_default(),
            },
            api_version: text("/apiVersion").unwrap_or_default(),
            document,
        }
    }

    /// The API group; empty for the core group.
    pub(super) fn group(&self) -> &str {
        let parts = self.api_version.split_once('/');
        parts.map_or("", |(group, _)| group)
    }

    /// Whether it is of this kind.
    pub(super) fn is(&self, group: &str, kind: &str) -> bool {
        self.group() == group && self.about.kind == kind
    }
}

/// Reads files of YAML or JSON, folders of such files, and standard input for `-`. Lists, as `kubectl get -o yaml` prints them,
/// are taken apart.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<Object>, Error> {
    let mut objects = Vec::new();
    for path in files(paths)? {
        let file = path.display().to_string();
        let failed = |message: String| Error::File {
            file: file.clone(),
            message,
        };
        let text = content(&path).map_err(|error| failed(error.to_string()))?;
        let documents = serde_saphyr::from_multiple::<Value>(&text)
            .map_err(|error| failed(error.to_string()))?;
        for document in documents {
            add(&file, document, &mut objects);
        }
    }
    Ok(objects)
}

fn add(file: &str, mut document: Value, objects: &mut Vec<Object>) {
    let kind = document.get("kind").and_then(Value::as_str);
    let is_list = kind.is_some_and(|kind| kind.ends_with("List"));
    match document.get_mut("items").map(Value::take) {
        Some(Value::Array(items)) if is_list => {
            for item in items {
                add(file, item, objects);
            }
        }
        _ if document.is_object() => objects.push(Object::of(file, document)),
        _ => {}
    }
}

/// The files that are meant; those of a folder in order of their names, and not those of folders in it.
fn files(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            files.push(path.clone());
            continue;
        }
        let failed = |error: std::io::Error| Error::File {
            file: path.display().to_string(),
            message: error.to_string(),
        };
        let entries = fs::read_dir(path).map_err(failed)?;
        let mut own = Vec::new();
        for entry in entries {
            own.push(entry.map_err(failed)?.path());
        }
        own.retain(|file| {
            let ending = file.extension().and_then(|ending| ending.to_str());
            file.is_file() && matches!(ending, Some("yaml" | "yml" | "json"))
        });
        own.sort();
        files.append(&mut own);
    }
    Ok(files)
}

fn content(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        std::io::stdin()
            .take(MOST_BYTES)
            .read_to_string(&mut text)?;
    } else {
        fs::File::open(path)?
            .take(MOST_BYTES)
            .read_to_string(&mut text)?;
    }
    Ok(text)
}
