//! Puts right what somebody changed.

use std::collections::HashSet;

use belay_api::Release;
use belay_engine::release::{observed::ObjectKey, status::Content};
use jiff::Timestamp;
use kube::ResourceExt;

use super::{Shell, act::Undone, memory::Memory, send::Alive};
use crate::apply::{Prepared, manifest::prepare, server_side::Mode, watches};

impl Shell {
    /// Applies `objects` of `content` again.
    pub(super) async fn correct(
        &self,
        release: &Release,
        memory: &mut Memory,
        content: &Content,
        objects: &[ObjectKey],
    ) -> Result<(), Undone> {
        let wanted: HashSet<&ObjectKey> = objects.iter().collect();
        let manifests = self.manifests(release, memory, content).await?;
        let (owner, target) = (super::owner(release), memory.target()?);
        let prepared: Vec<Prepared> = prepare(&manifests, &content.digest, &owner, &target)
            .await?
            .into_iter()
            .filter(|object| wanted.contains(&object.key))
            .collect();
        let sending = self
            .sending(release, target, Alive::new(), &prepared, Mode::Return)
            .await?;
        let mut answers = Vec::new();
        let mut failed = None;
        for object in &prepared {
            self.context.term.check()?;
            let place = watches::place(&sending.target.via, &object.kind.resource, &object.key);
            let before = self.watches.seen(&place, &object.key.name);
            match sending.put(object).await {
                Ok(answer) => {
                    // An answer of the version that the watch has seen changed nothing: only the account of fields had moved.
                    let version = answer.made().and_then(ResourceExt::resource_version);
                    if version.is_some() && before.map(|before| before.resource_version) != version
                    {
                        memory.corrected(&object.key, Timestamp::now());
                        self.context.metrics.releases.corrected();
                        tracing::info!(object = %object.key, "put right after somebody changed it");
                    }
                    answers.push(answer);
                }
                Err(failure) => failed = failed.or(Some(failure)),
            }
        }
        self.note(release, memory, &answers).await?;
        match failed {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }
}
