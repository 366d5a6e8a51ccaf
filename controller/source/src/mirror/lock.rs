//! Locks on a local copy, within this process and between processes.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

use tokio::sync::{RwLockReadGuard, RwLockWriteGuard};

use super::Mirror;
use crate::SourceError;

/// Held while objects are read.
pub(super) struct Shared<'a> {
    _task: RwLockReadGuard<'a, ()>,
    _process: File,
}

/// Held while the copy is changed.
pub(super) struct Alone<'a> {
    _task: RwLockWriteGuard<'a, ()>,
    _process: File,
}

impl Mirror {
    pub(super) async fn shared(&self) -> Result<Shared<'_>, SourceError> {
        let task = self.gate.read().await;
        let process = lock_file(&self.directory, File::lock_shared).await?;
        Ok(Shared {
            _task: task,
            _process: process,
        })
    }

    pub(super) async fn alone(&self) -> Result<Alone<'_>, SourceError> {
        let task = self.gate.write().await;
        let process = lock_file(&self.directory, File::lock).await?;
        Ok(Alone {
            _task: task,
            _process: process,
        })
    }
}

/// Waits for the lock on a thread of its own. A caller that stops waiting leaves nothing locked: the file is closed as
/// soon as the thread gets it.
async fn lock_file(
    directory: &Path,
    lock: fn(&File) -> std::io::Result<()>,
) -> Result<File, SourceError> {
    let path = directory.with_extension("lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(path)?;
        lock(&file).map(|()| file)
    });
    locked
        .await
        .map_err(SourceError::cache)?
        .map_err(SourceError::cache)
}

/// Removes lock files and half-written packs of a git that was killed. The caller holds the copy alone, so nobody is
/// writing them now.
pub(super) fn remove_leftovers(directory: &Path) -> Result<(), SourceError> {
    let mut pending = vec![directory.to_owned(), directory.join("objects/pack")];
    while let Some(folder) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries {
            let path: PathBuf = entry.map_err(SourceError::cache)?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let is_lock = path
                .extension()
                .is_some_and(|extension| extension == "lock");
            let is_reference_folder =
                path.is_dir() && (name == "refs" || folder.starts_with(directory.join("refs")));
            if is_reference_folder {
                pending.push(path);
            } else if is_lock || name.starts_with("tmp_") {
                std::fs::remove_file(&path).map_err(SourceError::cache)?;
            }
        }
    }
    Ok(())
}
