//! Carries out one effect. Says whether it worked: a failure is remembered, shown by the next decision, and tried again when its
//! time has come.

use std::sync::Arc;

use belay_api::{
    Action, ActionSpec, ActionStatus, Release,
    action::{Target, TargetKind},
};
use belay_engine::{
    action::{Receipt, Verb},
    digest::Digest,
    release::{Effect, observed::Task, status::Content},
};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt as _,
    api::{ObjectMeta, Patch, PostParams},
};
use serde_json::json;

use super::{Shell, gather::stored, memory::Memory, owner, pass::parameters};
use crate::{
    Error, Result,
    apply::{Failure, inventory, renders},
    client::bounded,
};

impl Shell {
    /// Carries out `effect`; says whether it worked.
    pub(super) async fn act(
        &self,
        release: &Arc<Release>,
        memory: &mut Memory,
        effect: Effect,
    ) -> Result<bool> {
        self.context.term.check()?;
        match effect {
            Effect::LookAt { commit } => {
                memory.looks_at = Some(commit);
                Ok(true)
            }
            Effect::Rehearse { content } => {
                let done = self.rehearse(release, memory, &content).await;
                let is_whole = matches!(done, Ok(true));
                let done = done.map(drop);
                let worked = remember(memory, Task::Rehearse, Some(&content.digest), done)?;
                if is_whole {
                    memory.rehearsed = Some(content.digest);
                }
                Ok(worked)
            }
            Effect::RecordInventory { content } => {
                let done = self.record(release, memory, &content).await;
                remember(memory, Task::Apply, Some(&content.digest), done)
            }
            Effect::Apply {
                content,
                attempt,
                on_failure,
            } => {
                let done = self
                    .bring_in(release, memory, &content, attempt, on_failure)
                    .await;
                remember(memory, Task::Apply, Some(&content.digest), done)
            }
            Effect::StoreRender { content } => {
                let done = self.store_render(release, memory, &content).await;
                remember(memory, Task::Render, Some(&content.digest), done)
            }
            Effect::DropRenders { keep } => {
                let done = self.drop_renders(release, memory, keep).await;
                remember(memory, Task::Render, None, done)
            }
            Effect::Prune { content, prune } => {
                let done = self.prune(release, memory, &content, prune).await;
                remember(memory, Task::Prune, Some(&content.digest), done)
            }
            Effect::Correct { content, objects } => {
                let done = self.correct(release, memory, &content, &objects).await;
                remember(memory, Task::Correct, Some(&content.digest), done)
            }
            Effect::RetryRollout {
                namespace,
                name,
                digest,
                attempt,
                actor,
            } => {
                let (rollout, asked) = ((namespace.as_str(), name), (digest, attempt));
                self.retry_rollout(release, rollout, asked, &actor).await
            }
            Effect::Publish {
                reference,
                commit,
                ours,
            } => {
                self.publish(release, memory, (reference, commit), ours);
                Ok(true)
            }
            Effect::Acknowledge(receipt) => self.acknowledge(release, receipt).await,
            Effect::Forgive => {
                memory.forgive();
                Ok(true)
            }
            Effect::Abandon { policy } => {
                let done = self.abandon(release, memory, policy).await;
                remember(memory, Task::Abandon, None, done)
            }
            Effect::Finish => {
                self.remove_finalizer(release).await?;
                Ok(true)
            }
        }
    }

    /// Writes the content's objects into the inventory before any of them is created.
    async fn record(
        &self,
        release: &Release,
        memory: &mut Memory,
        content: &Content,
    ) -> Result<(), Undone> {
        let prepared = self.prepared(release, memory, content).await?;
        let mut next = stored(memory).clone();
        next.record(
            &content.digest,
            prepared.iter().map(|object| inventory::Recorded {
                key: &object.key,
                api_version: &object.kind.resource.api_version,
                passing: object.is_passing(),
                sent: object.digest.as_deref(),
            }),
        );
        self.save(release, memory, next).await?;
        Ok(())
    }

    /// Stores the inventory, if it is another one.
    pub(super) async fn save(
        &self,
        release: &Release,
        memory: &mut Memory,
        next: inventory::Inventory,
    ) -> Result<()> {
        if *stored(memory) == next {
            return Ok(());
        }
        self.context.term.check()?;
        let owner = owner(release);
        let before = memory.inventory.take().unwrap_or_default();
        // Taken out above: after a failure the inventory is read anew.
        let saved = inventory::save(&self.context.client, &owner, &before, next, || {
            self.context.term.check()
        })
        .await?;
        let same_objects = saved
            .inventory
            .objects
            .keys()
            .eq(before.inventory.objects.keys());
        memory.inventory = Some(saved);
        if !same_objects {
            memory.places = None;
        }
        Ok(())
    }

    async fn store_render(
        &self,
        release: &Release,
        memory: &mut Memory,
        content: &Content,
    ) -> Result<(), Undone> {
        let manifests = self.manifests(release, memory, content).await?;
        let owner = owner(release);
        renders::store(&self.context.client, &owner, &content.digest, &manifests).await?;
        memory
            .renders
            .get_or_insert_default()
            .push(content.digest.clone());
        // It is in: what is left to do needs no bodies.
        memory.prepared = None;
        Ok(())
    }

    async fn drop_renders(
        &self,
        release: &Release,
        memory: &mut Memory,
        keep: Vec<Digest>,
    ) -> Result<(), Undone> {
        memory.renders = None;
        renders::drop_others(&self.context.client, &owner(release), &keep).await?;
        Ok(())
    }

    /// Asks a Rollout to try its quarantined template again, by an Action like anybody's: recorded, and made once per attempt.
    async fn retry_rollout(
        &self,
        release: &Release,
        (namespace, rollout): (&str, String),
        (digest, attempt): (Digest, Timestamp),
        actor: &str,
    ) -> Result<bool> {
        let name = format!(
            "{}.retry-{}",
            rollout.get(..200).unwrap_or(&rollout),
            attempt.as_nanosecond()
        );
        let action = Action {
            metadata: ObjectMeta {
                name: Some(name),
                ..ObjectMeta::default()
            },
            spec: ActionSpec {
                target: Target {
                    kind: TargetKind::Rollout,
                    name: rollout,
                },
                verb: Verb::Retry,
                actor: None,
                for_version: Some(digest.as_str().to_owned()),
                reason: Some(format!(
                    "Release {} was retried by {actor}",
                    release.name_any()
                )),
            },
            status: None,
        };
        let api: Api<Action> = Api::namespaced(self.context.client.clone(), namespace);
        let parameters = PostParams::default();
        match bounded(
            "asking a Rollout to retry",
            api.create(&parameters, &action),
        )
        .await
        {
            Ok(_) => Ok(true),
            // Asked already; the Rollout's answer is awaited.
            Err(Error::Kube(kube::Error::Api(status))) if status.is_already_exists() => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn acknowledge(&self, release: &Release, receipt: Receipt) -> Result<bool> {
        let namespace = release.namespace().unwrap_or_default();
        let status = ActionStatus {
            outcome: Some(receipt.outcome),
            message: Some(receipt.message),
            decided_at: Some(receipt.at),
        };
        // Another Action of the same name has another UID, and gives a conflict.
        let patch = json!({"metadata": {"uid": receipt.uid}, "status": status});
        let api: Api<Action> = Api::namespaced(self.context.client.clone(), &namespace);
        let (parameters, patch) = (parameters(), Patch::Merge(&patch));
        let write = api.patch_status(&receipt.name, &parameters, &patch);
        match bounded("writing an Action's outcome", write).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_stale() => {
                tracing::debug!(%error, namespace, action = receipt.name, "the Action is gone");
            }
            Err(error) => return Err(error),
        }
        self.world
            .acts
            .settled(&namespace, &receipt.name, &receipt.uid);
        Ok(true)
    }
}

/// Why an effect was not carried out.
pub(super) enum Undone {
    /// Something to show to people and to try again.
    Failed(Failure),
    /// Something that ends the pass: a lost lease, a stale observation, an API server that is away.
    Broken(Error),
}

impl From<Failure> for Undone {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        Self::Broken(error)
    }
}

fn remember(
    memory: &mut Memory,
    task: Task,
    digest: Option<&Digest>,
    done: Result<(), Undone>,
) -> Result<bool> {
    match done {
        Ok(()) => {
            memory.worked(task, digest);
            Ok(true)
        }
        Err(Undone::Failed(failure)) => {
            memory.failed(task, digest, failure);
            Ok(false)
        }
        Err(Undone::Broken(error)) => {
            memory.doubt();
            Err(error)
        }
    }
}
