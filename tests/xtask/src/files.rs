//! A generated file, and the comparison with what is committed.
//!
//! Folders that hold nothing but generated files are listed in `OWNED`: a file there that is no longer generated is drift too.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use crate::Error;

/// Folders whose every file is generated.
const OWNED: [&str; 4] = [
    "crds",
    "charts/belay/files/crds",
    "charts/belay/files/permissions",
    "deploy/kustomize",
];

/// One generated file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Path from the root of the repository.
    pub path: PathBuf,
    /// All of its text.
    pub content: String,
}

impl File {
    /// A file of `content` at `path`, counted from the root of the repository.
    pub fn new(path: impl Into<PathBuf>, content: String) -> Self {
        Self {
            path: path.into(),
            content,
        }
    }
}

/// Writes the files that differ and removes leftovers; says how many were touched.
pub fn write(root: &Path, files: &[File]) -> Result<usize, Error> {
    let mut touched = 0;
    for file in files {
        let path = root.join(&file.path);
        if read(&path)?.as_deref() == Some(file.content.as_str()) {
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|source| io_error(parent, source))?;
        }
        fs::write(&path, &file.content).map_err(|source| io_error(&path, source))?;
        touched += 1;
    }
    for path in leftovers(root, files)? {
        fs::remove_file(root.join(&path)).map_err(|source| io_error(&path, source))?;
        touched += 1;
    }
    Ok(touched)
}

/// Fails, naming every file that is absent, left over, or differs.
pub fn check(root: &Path, files: &[File]) -> Result<(), Error> {
    let mut drift = leftovers(root, files)?;
    for file in files {
        if read(&root.join(&file.path))?.as_deref() != Some(file.content.as_str()) {
            drift.push(file.path.clone());
        }
    }
    if drift.is_empty() {
        Ok(())
    } else {
        drift.sort();
        Err(Error::Drift(drift))
    }
}

fn leftovers(root: &Path, files: &[File]) -> Result<Vec<PathBuf>, Error> {
    let wanted: BTreeSet<&Path> = files.iter().map(|file| file.path.as_path()).collect();
    let mut found = Vec::new();
    for folder in OWNED.map(Path::new) {
        if !files.iter().any(|file| file.path.starts_with(folder)) {
            continue;
        }
        let path = root.join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(source) => return Err(io_error(&path, source)),
        };
        for entry in entries {
            let entry = entry.map_err(|source| io_error(&path, source))?;
            let relative = folder.join(entry.file_name());
            if !wanted.contains(relative.as_path()) {
                found.push(relative);
            }
        }
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io_error(path, source)),
    }
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io {
        path: path.to_path_buf(),
        source,
    }
}
