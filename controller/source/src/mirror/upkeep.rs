//! Keeps a local copy small.

use std::path::Path;

use super::{KEPT_COMMITS, Mirror, keep_ref};
use crate::git::{Call, Side, words};
use crate::text::lines;
use crate::{GitRef, Oid, Repository, SourceError};

/// Packs after which they are joined and unreferenced objects dropped.
const PACKS_BEFORE_REPACK: usize = 40;

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
        let (packs, bytes) = measure(&self.directory.join("objects/pack"));
        if packs > PACKS_BEFORE_REPACK
            && let Err(error) = self.collect_garbage(repository).await
        {
            tracing::warn!(url = %repository.url(), %error, "the local copy could not be repacked");
        }
        if bytes <= self.limit_bytes {
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
