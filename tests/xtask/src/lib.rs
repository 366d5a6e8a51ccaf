//! The generated files of the repository: custom resource definitions, permissions, manifests and reference pages.
//!
//! Invariant: what is generated is a function of the code and of the chart alone, so the same tree always gives the same bytes,
//! and a test fails when a committed file differs. Nothing here needs a cluster; the plain manifests need Helm, which renders
//! the chart that was generated before.

pub mod alerts;
pub mod definitions;
pub mod files;
pub mod manifests;
pub mod permissions;
pub mod reference;
pub mod yaml;

use std::path::{Path, PathBuf};

pub use files::{File, check, write};
use thiserror::Error;

/// Why generating or checking failed.
#[derive(Debug, Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A value could not be turned into text.
    #[error("{what} can't be written as text: {message}")]
    Text {
        /// What was to be written.
        what: String,
        /// What the serializer said.
        message: String,
    },
    /// A file that is read is not what it should be.
    #[error("{path}: {message}")]
    Input {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what to do.
        message: String,
    },
    /// A program that is needed can't be had.
    #[error("{0}")]
    Program(String),
    /// Committed files differ from what the code says.
    #[error(
        "out of date: {}. Run `cargo xtask generate` and commit what it writes",
        .0.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Drift(Vec<PathBuf>),
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// Every generated file that needs nothing but the code, ordered by path.
pub fn generated(root: &Path) -> Result<Vec<File>, Error> {
    let mut files = definitions::files()?;
    files.extend(permissions::files()?);
    files.extend(reference::files(root)?);
    files.push(alerts::file(root)?);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}
