//! What one run of git needs to get at a repository: files with secrets, and the settings that point to them.
//!
//! Invariant: the files are for this user alone, in memory where the machine offers that, and gone when the run is over.

use std::path::Path;

use tempfile::TempDir;

use crate::git::Extra;
use crate::ssh::SshPrograms;
use crate::{Repository, SourceError};

/// Begins the names of folders with secrets.
pub(crate) const PREFIX: &str = "belay-run-";
/// A file system in memory, on most machines and in containers.
pub(crate) const MEMORY: &str = "/dev/shm";

/// Files of one run. They go when dropped.
#[derive(Debug, Default)]
pub(crate) struct Access {
    _folder: Option<TempDir>,
    pub(crate) extra: Extra,
}

impl Access {
    /// Writes what `repository` needs; nothing for most.
    pub(crate) fn lay_out(
        repository: &Repository,
        scratch: &Path,
        programs: &SshPrograms,
    ) -> Result<Self, SourceError> {
        let mut extra = Extra::default();
        if let Some(proxy) = repository.proxy() {
            let setting = ("http.proxy".to_owned(), proxy.setting());
            extra.configuration.push(setting);
        }
        if repository.ssh_key().is_none() && repository.tls().is_none() {
            return Ok(Self {
                _folder: None,
                extra,
            });
        }
        let folder = folder(scratch)?;
        if let Some(key) = repository.ssh_key() {
            extra.env = key.lay_out(folder.path(), programs)?;
        }
        if let Some(tls) = repository.tls() {
            extra.configuration.extend(tls.lay_out(folder.path())?);
        }
        Ok(Self {
            _folder: Some(folder),
            extra,
        })
    }
}

fn folder(scratch: &Path) -> Result<TempDir, SourceError> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    builder
        .tempdir_in(MEMORY)
        .or_else(|_| builder.tempdir_in(scratch))
        .map_err(SourceError::cache)
}
