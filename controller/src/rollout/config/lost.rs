//! Copies that pods of living versions read and that are gone, and which objects hold their content still.
//!
//! The object that the copy was made of is looked at first, then copies that other workloads have of it. What a hash proves to be the
//! same is the same, whoever wrote it.
//!
//! Invariant: nothing is missed that was not listed yet: before the first list of copies is complete, none is gone.

use std::collections::BTreeSet;

use belay_api::Rollout;
use belay_engine::{
    config::{ConfigKind, Stamp, copy_name},
    rollout::copies::{LostCopy, living},
};
use kube::ResourceExt as _;

use super::content::{Found, digest, hash};
use crate::{
    Result,
    rollout::{
        Shell,
        project::{Set, Workload},
    },
};

/// Most copies of other workloads that are read for one that is gone.
const OTHERS_READ: usize = 16;

/// What was found for a copy that is gone, and where it was looked for: copies never change, so the same ones give the same answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Search {
    among: BTreeSet<String>,
    held_by: Option<String>,
}

/// Stamps of the versions that must find their copies.
pub(super) fn needed(rollout: &Rollout, sets: &[Set]) -> Vec<Stamp> {
    let status = rollout.status.clone().unwrap_or_default();
    let views = sets.iter().map(|set| &set.view);
    let stamps: BTreeSet<Stamp> = living(views, &status).cloned().collect();
    stamps.into_iter().collect()
}

impl Shell {
    /// Copies that are gone, of those that these stamps name.
    pub(super) async fn lost(
        &self,
        workload: &Workload,
        rollout: &str,
        stamps: &[Stamp],
    ) -> Result<Vec<LostCopy>> {
        let namespace = &workload.namespace;
        let there = self.world.configs.copies(namespace, rollout);
        let mut lost: Vec<LostCopy> = Vec::new();
        for (kind, name, wanted) in stamps.iter().flat_map(Stamp::entries) {
            let copy = (kind, copy_name(name, wanted));
            let known = there.contains(&copy) || !self.world.configs.has_listed(kind, namespace);
            if known || lost.iter().any(|lost| is(lost, kind, name, wanted)) {
                continue;
            }
            lost.push(LostCopy {
                kind,
                name: name.to_owned(),
                hash: wanted.to_owned(),
                held_by: self.held_by(workload, kind, name, wanted).await?,
            });
        }
        Ok(lost)
    }

    /// The name of an object that holds what this copy held.
    async fn held_by(
        &self,
        workload: &Workload,
        kind: ConfigKind,
        name: &str,
        wanted: &str,
    ) -> Result<Option<String>> {
        let (configs, namespace) = (&self.world.configs, &workload.namespace);
        let original = configs.content(kind, namespace, name).await?;
        match original.found {
            Found::Present(content) if hash(&workload.view.uid, &content) == wanted => {
                return Ok(Some(name.to_owned()));
            }
            Found::Forbidden => return Ok(None),
            Found::Present(_) | Found::Live | Found::Absent => {}
        }
        let among = configs.copies_of(kind, namespace, name);
        let lost = copy_name(name, wanted);
        if let Some(search) = configs.search(kind, namespace, &lost)
            && search.among == among
        {
            return Ok(search.held_by);
        }
        let mut held_by = None;
        for other in among.iter().take(OTHERS_READ) {
            if self.holds(workload, kind, name, wanted, other).await? {
                held_by = Some(other.clone());
                break;
            }
        }
        let search = Search {
            among,
            held_by: held_by.clone(),
        };
        configs.note_search(kind, namespace, &lost, search);
        Ok(held_by)
    }

    /// Whether another workload's copy of an object has this content.
    async fn holds(
        &self,
        workload: &Workload,
        kind: ConfigKind,
        name: &str,
        wanted: &str,
        other: &str,
    ) -> Result<bool> {
        let (configs, namespace) = (&self.world.configs, &workload.namespace);
        let Some(other) = configs.read(kind, namespace, other).await? else {
            return Ok(false);
        };
        let uid = self.original_uid(workload, kind, name).await?;
        let content = digest(kind, uid, &other);
        Ok(hash(&workload.view.uid, &content) == wanted)
    }

    /// The UID that belongs to the identity of a Secret's content: that of the Secret itself, not of a copy.
    pub(super) async fn original_uid(
        &self,
        workload: &Workload,
        kind: ConfigKind,
        name: &str,
    ) -> Result<Option<String>> {
        match kind {
            ConfigKind::ConfigMap => Ok(None),
            ConfigKind::Secret => {
                let configs = &self.world.configs;
                let original = configs.read(kind, &workload.namespace, name).await?;
                Ok(original.and_then(|original| original.uid()))
            }
        }
    }
}

fn is(lost: &LostCopy, kind: ConfigKind, name: &str, hash: &str) -> bool {
    lost.kind == kind && lost.name == name && lost.hash == hash
}
