//! A Release that is deleted gives its objects up, or takes them along.

use belay_api::Release;
use belay_engine::release::plan::DeletionPolicy;

use tokio::time::Instant;

use super::{
    Shell,
    act::Undone,
    gather::stored,
    memory::Memory,
    owner,
    tidy::{doomed, settle},
};
use crate::{apply::prune, limits};

impl Shell {
    /// Empties the inventory.
    pub(super) async fn abandon(
        &self,
        release: &Release,
        memory: &mut Memory,
        policy: DeletionPolicy,
    ) -> Result<(), Undone> {
        let mut next = stored(memory).clone();
        next.keep_nothing();
        let all = doomed(&next);
        let target = memory.target()?;
        let owner = owner(release);
        // What it does not come to in this time is done in the next go.
        let deadline = Instant::now() + limits::SENDING;
        let outcomes = match policy {
            DeletionPolicy::Delete => prune::delete(&target, &owner, all, deadline).await,
            DeletionPolicy::Orphan => prune::release(&target, &owner, &all, deadline).await,
        };
        let left = settle(&mut next, memory, outcomes);
        self.save(release, memory, next).await?;
        match left {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }
}
