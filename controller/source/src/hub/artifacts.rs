//! Artifacts of registries in local copies, read as commits are. Asking the registry is the caller's.

use super::SourceHub;
use crate::artifact::Artifact;
use crate::checkout::Checkout;
use crate::{Candidate, Oid, Repository, SourceError};

impl SourceHub {
    /// The artifact with this digest, if it is on this machine. `repository` is one of [`Repository::artifacts`].
    pub async fn artifact(
        &self,
        repository: &Repository,
        digest: &Oid,
    ) -> Result<Option<Checkout>, SourceError> {
        if self.0.mirror(repository).has(repository, digest).await? {
            self.opened(repository, digest).await.map(Some)
        } else {
            Ok(None)
        }
    }

    /// Keeps an artifact on this machine, for later, too.
    pub async fn keep_artifact(
        &self,
        repository: &Repository,
        artifact: &Artifact,
    ) -> Result<Checkout, SourceError> {
        let mirror = self.0.mirror(repository);
        mirror.keep(repository, artifact).await?;
        self.opened(repository, artifact.digest()).await
    }

    async fn opened(&self, repository: &Repository, digest: &Oid) -> Result<Checkout, SourceError> {
        let named = Candidate::of_commit(digest.clone());
        self.checkout(repository, &named.reference, digest).await
    }
}
