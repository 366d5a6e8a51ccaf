//! Artifacts in a local copy: one commit without parents for each, under the digest of its manifest.
//!
//! Invariant: as for commits, `refs/belay/keep/<digest>` exists exactly for artifacts that are whole in the copy. There is no server
//! that git could ask for more, so whoever needs an artifact that is not there any more fetches it again.

use super::{Mirror, keep_ref, upkeep};
use crate::artifact::Artifact;
use crate::git::{Call, Extra, Side, words};
use crate::url::Transport;
use crate::{Oid, Repository, SourceError};

impl Mirror {
    /// What git knows a commit by: its id, or for an artifact, whose digest is not that of its commit, the name that it is kept under.
    pub(super) fn name(repository: &Repository, commit: &Oid) -> String {
        if is_registry(repository) {
            keep_ref(commit)
        } else {
            commit.to_string()
        }
    }

    /// Whether the artifact is in the copy.
    pub(crate) async fn has(
        &self,
        repository: &Repository,
        digest: &Oid,
    ) -> Result<bool, SourceError> {
        if self.remembers(digest) {
            return Ok(true);
        }
        let _alone = self.alone().await?;
        let there = self.remembers(digest) || self.holds(repository, digest).await?;
        if there {
            upkeep::note_use(&self.directory);
            self.remember(digest);
        }
        Ok(there)
    }

    /// Writes an artifact into the copy, unless it is there.
    pub(crate) async fn keep(
        &self,
        repository: &Repository,
        artifact: &Artifact,
    ) -> Result<(), SourceError> {
        let _alone = self.alone().await?;
        if self.holds(repository, artifact.digest()).await? {
            self.remember(artifact.digest());
            return Ok(());
        }
        let written = self.write(repository, artifact).await;
        let is_damaged = match &written {
            Err(SourceError::Corrupt { .. }) => true,
            Err(SourceError::Unexpected { .. }) => !self.is_healthy(repository).await,
            _ => false,
        };
        if is_damaged {
            tracing::warn!(url = %repository.url(), "the local copy is damaged and is built anew");
            self.wipe().await?;
            self.write(repository, artifact).await?;
        } else {
            written?;
        }
        // Before packs are joined: what is not remembered goes then.
        self.remember(artifact.digest());
        if self.is_too_large(repository).await {
            self.wipe().await?;
            self.write(repository, artifact).await?;
            self.remember(artifact.digest());
        }
        Ok(())
    }

    async fn write(&self, repository: &Repository, artifact: &Artifact) -> Result<(), SourceError> {
        self.prepare(repository, artifact.digest()).await?;
        let packed = ("fastimport.unpackLimit".to_owned(), "1".into());
        let call = Call {
            operation: "keeping an artifact of",
            args: words(&["fast-import", "--quiet", "--force", "--done"]),
            stdin: artifact.stream().to_vec(),
            timeout: self.fetch_timeout,
            extra: Extra {
                configuration: vec![packed],
                ..Extra::default()
            },
            ..self.call(repository, Side::Copy)
        };
        self.git.run(call).await.map(|_| ())
    }
}

pub(super) fn is_registry(repository: &Repository) -> bool {
    repository.url().transport() == Transport::Registry
}
