//! Keeps a local copy small.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{KEPT_COMMITS, MARKER, Mirror, keep_ref};
use crate::git::{Call, Side, words};
use crate::text::lines;
use crate::{GitRef, Oid, Repository, SourceError};

/// Packs after which they are joined and unreferenced objects dropped.
const PACKS_BEFORE_REPACK: usize = 40;
/// A copy without a fetch for this long makes room when another repository comes; it is built anew when it is needed.
const UNUSED_AFTER: Duration = Duration::from_hours(14 * 24);

impl Mirror {
    /// Removes the copy. The caller holds it alone.
    pub(super) async fn wipe(&self) -> Result<(), SourceError> {
        self.kept
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .clear();
        let directory = self.directory.clone();
        let removal = tokio::task::spawn_blocking(move || std::fs::remove_dir_all(directory));
        match removal.await.map_err(SourceError::cache)? {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(SourceError::cache(error))
            }
            _ => Ok(()),
        }
    }

    /// Joins packs now and then, and starts over when the copy has grown past its limit. The caller holds it alone.
    pub(super) async fn tidy(
        &self,
        repository: &Repository,
        commit: &Oid,
        reference: &GitRef,
    ) -> Result<(), SourceError> {
        if !self.is_too_large(repository).await {
            return Ok(());
        }
        self.wipe().await?;
        self.fetch_commit(repository, commit, reference).await?;
        if measure(&self.directory.join("objects/pack")).1 > self.limit_bytes {
            self.wipe().await?;
            let limit = format!("{} MiB", self.limit_bytes >> 20);
            return Err(SourceError::TooLarge {
                what: repository.url().to_string(),
                limit,
            });
        }
        self.remember(commit);
        Ok(())
    }

    /// Whether the copy has grown past its limit, after packs were joined if it was time. The caller holds it alone.
    pub(super) async fn is_too_large(&self, repository: &Repository) -> bool {
        let (packs, bytes) = measure(&self.directory.join("objects/pack"));
        if packs > PACKS_BEFORE_REPACK
            && let Err(error) = self.collect_garbage(repository).await
        {
            tracing::warn!(url = %repository.url(), %error, "the local copy could not be repacked");
        }
        bytes > self.limit_bytes
    }

    async fn collect_garbage(&self, repository: &Repository) -> Result<(), SourceError> {
        let kept: Vec<String> = {
            let kept = self
                .kept
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            kept.iter().rev().take(KEPT_COMMITS).map(keep_ref).collect()
        };
        let listed = self
            .local(
                repository,
                &["for-each-ref", "--format=%(refname)", "refs/belay"],
            )
            .await?;
        let listed = String::from_utf8_lossy(&listed).into_owned();
        let unneeded = listed
            .lines()
            .filter(|name| !kept.iter().any(|keep| keep == name));
        let commands = lines(unneeded.map(|name| format!("delete {name}")));
        let update = words(&["update-ref", "--stdin"]);
        self.git
            .run(Call {
                args: update,
                stdin: commands.into(),
                ..self.call(repository, Side::Copy)
            })
            .await?;
        let gc = Call {
            args: words(&["gc", "--quiet", "--prune=now"]),
            timeout: self.fetch_timeout,
            ..self.call(repository, Side::Copy)
        };
        self.git.run(gc).await.map(|_| ())
    }
}

/// Notes that the copy is in use, for [`sweep`].
pub(super) fn note_use(directory: &Path) {
    // Only tidiness is lost when this fails, and the fetch that follows tells what is wrong with the directory.
    let marker = OpenOptions::new().append(true).open(directory.join(MARKER));
    let _ = marker.and_then(|file| file.set_modified(SystemTime::now()));
}

/// Removes copies beside `directory` that nothing was fetched into for long and that nobody holds.
pub(super) async fn sweep(directory: &Path) -> Result<(), SourceError> {
    let directory = directory.to_owned();
    tokio::task::spawn_blocking(move || sweep_beside(&directory))
        .await
        .map_err(SourceError::cache)
}

fn sweep_beside(directory: &Path) {
    let entries = directory
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok());
    for path in entries
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
    {
        let used = std::fs::metadata(path.join(MARKER)).and_then(|marker| marker.modified());
        let is_old = used.is_ok_and(|used| used.elapsed().is_ok_and(|age| age > UNUSED_AFTER));
        if path != directory && is_old {
            let lock = OpenOptions::new()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path.with_extension("lock"));
            // The lock is held until the copy is gone. The lock file stays: another process may wait for it.
            if let Ok(lock) = lock
                && lock.try_lock().is_ok()
                && let Err(error) = std::fs::remove_dir_all(&path)
            {
                tracing::warn!(path = %path.display(), %error, "an unused local copy can't be removed");
            }
        }
    }
}

/// Number of packs, and bytes of all files beside them.
fn measure(folder: &Path) -> (usize, u64) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.fold((0, 0), |(packs, bytes), entry| {
        let is_pack = entry
            .path()
            .extension()
            .is_some_and(|extension| extension == "pack");
        let length = entry.metadata().map_or(0, |metadata| metadata.len());
        (packs + usize::from(is_pack), bytes.saturating_add(length))
    })
}
