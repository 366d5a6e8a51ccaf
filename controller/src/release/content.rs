//! The objects of some content: from memory, from the kept render, or from its commit.

use std::sync::Arc;

use belay_api::Release;
use belay_engine::release::status::Content;

use super::{Shell, memory::Memory, owner};
use crate::apply::{Failure, Manifest, Prepared, manifest::prepare, renders};

impl Shell {
    /// The manifests of `content`.
    pub(super) async fn manifests(
        &self,
        release: &Release,
        memory: &Memory,
        content: &Content,
    ) -> Result<Vec<Manifest>, Failure> {
        let is_kept = memory
            .renders
            .as_ref()
            .is_some_and(|kept| kept.contains(&content.digest));
        if is_kept {
            let owner = owner(release);
            let kept = renders::load(&self.context.client, &owner, &content.digest).await?;
            if let Some(manifests) = kept {
                return Ok(manifests);
            }
        }
        self.sources.manifests(release, content).await
    }

    /// The objects of `content`, ready to be sent. Kept in memory while the content is being brought in.
    pub(super) async fn prepared(
        &self,
        release: &Release,
        memory: &mut Memory,
        content: &Content,
    ) -> Result<Arc<Vec<Prepared>>, Failure> {
        if let Some((digest, prepared)) = &memory.prepared
            && *digest == content.digest
        {
            return Ok(Arc::clone(prepared));
        }
        let target = memory.target()?;
        let manifests = self.manifests(release, memory, content).await?;
        let prepared =
            Arc::new(prepare(&manifests, &content.digest, &owner(release), &target).await?);
        memory.prepared = Some((content.digest.clone(), Arc::clone(&prepared)));
        Ok(prepared)
    }
}
