//! After verification: what left the content is taken out of the cluster and the inventory.

use belay_api::Release;
use belay_engine::release::{observed::ObjectKey, plan::Prune, status::Content};

use tokio::time::Instant;

use super::{Shell, act::Undone, gather::stored, memory::Memory, owner, sources::nothing};
use crate::{
    apply::{
        Failure, Inventory,
        prune::{self, Doomed, Outcome},
    },
    limits,
};

impl Shell {
    /// Keeps what belongs to `content`, and takes the rest out. What could not be taken out stays in the inventory.
    pub(super) async fn prune(
        &self,
        release: &Release,
        memory: &mut Memory,
        content: &Content,
        how: Prune,
    ) -> Result<(), Undone> {
        let mut next = stored(memory).clone();
        next.keep_only(&content.digest);
        // An inventory without any object of the content that runs is a mistake, and no reason to delete everything.
        let is_meant = release.spec.apply.allow_empty && content.digest == nothing();
        if next.of(&content.digest).next().is_none() && !is_meant {
            return Err(Failure::environment(
                "the inventory holds no object of the content that runs; nothing is pruned",
            )
            .into());
        }
        let surplus = doomed(&next);
        if surplus.is_empty() || how == Prune::Forget {
            for one in surplus {
                next.objects.remove(&one.key);
            }
            self.save(release, memory, next).await?;
            return Ok(());
        }
        // The shrunk inventory is written only after the deletions: a crash in between repeats them.
        let target = memory.target()?;
        let owner = owner(release);
        // What it does not come to in this time is done in the next go.
        let deadline = Instant::now() + limits::SENDING;
        let outcomes = prune::delete(&target, &owner, surplus, deadline).await;
        let left = settle(&mut next, memory, outcomes);
        self.save(release, memory, next).await?;
        match left {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }
}

/// Objects that belong to no content any more.
pub(super) fn doomed(inventory: &Inventory) -> Vec<Doomed> {
    inventory
        .surplus()
        .map(|(key, entry)| Doomed {
            key: key.clone(),
            api_version: entry.api_version.clone(),
        })
        .collect()
}

/// Takes what is gone or given up out of the inventory, and notes why the rest is still there.
pub(super) fn settle(
    inventory: &mut Inventory,
    memory: &mut Memory,
    outcomes: Vec<(ObjectKey, Outcome)>,
) -> Option<Failure> {
    let mut left: Option<Failure> = None;
    for (key, outcome) in outcomes {
        match outcome {
            Outcome::Gone | Outcome::GivenUp => {
                inventory.objects.remove(&key);
                memory.written.remove(&key);
                memory.looked.remove(&key);
            }
            Outcome::Left(why) => {
                left.get_or_insert_with(|| Failure::passing(format!("{key}: {why}")));
                if let Some(entry) = inventory.objects.get_mut(&key) {
                    entry.leftover = Some(why);
                }
            }
        }
    }
    left
}
