//! Brings content in: first tried out, changing nothing, then for real, stage by stage.

use std::time::Duration;

use belay_api::Release;
use belay_engine::{
    config::without_stamp,
    digest::Digest,
    release::{
        OnFailure,
        observed::{Applied, Fault, ObjectKey},
        status::{Content, Workload},
    },
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt as _, api::DynamicObject, runtime::wait};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Shell,
    act::Undone,
    gather::{identity, stored},
    governed::Governed,
    look::looked,
    memory::Memory,
    owner,
};
use crate::apply::{
    Failure, Identity, Owner, Prepared, fields, hold,
    manifest::{Standing, workload_kind},
    order::Rank,
    owners,
    scale::{self, Scaled},
    server_side::{self, Mode},
    watches,
};

/// Objects at the same time.
const CONCURRENCY: usize = 8;

/// How long new definitions of resources may take to be served.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(20);

/// What the API server made of an object.
pub(super) type Answer = (ObjectKey, DynamicObject);

/// What goes with every object of one set.
pub(super) struct Sending<'a> {
    client: Client,
    identity: Identity,
    owner: Owner,
    governed: Governed,
    scaled: Scaled,
    mode: Mode,
    shell: &'a Shell,
}

impl Shell {
    /// Tries `content` out by server-side dry run. Objects whose kind or namespace comes with it can't be tried out.
    pub(super) async fn rehearse(
        &self,
        release: &Release,
        memory: &mut Memory,
        content: &Content,
    ) -> Result<(), Undone> {
        // What is in memory may be of an earlier try: kinds and permissions may have changed since.
        memory.prepared = None;
        let prepared = self.prepared(release, memory, content).await?;
        let sending = self.sending(release, &prepared, Mode::Rehearse).await?;
        let tries: Vec<_> = prepared
            .iter()
            .map(|object| sending.rehearse(object))
            .collect();
        let failures: Vec<Failure> = stream::iter(tries)
            .buffered(CONCURRENCY)
            .filter_map(|outcome| std::future::ready(outcome.err()))
            .collect()
            .await;
        match summary(failures) {
            None => Ok(()),
            Some(failure) => Err(failure.into()),
        }
    }

    /// Applies `content`.
    pub(super) async fn bring_in(
        &self,
        release: &Release,
        memory: &mut Memory,
        content: &Content,
        attempt: Timestamp,
        on_failure: OnFailure,
    ) -> Result<(), Undone> {
        let prepared = self.prepared(release, memory, content).await?;
        let mode = match on_failure {
            OnFailure::Stop => Mode::Apply,
            OnFailure::GoOn => Mode::Return,
        };
        let sending = self.sending(release, &prepared, mode).await?;
        let mut answers = Vec::with_capacity(prepared.len());
        let mut failures = Vec::new();
        for stage in prepared.chunk_by(|a, b| a.rank == b.rank) {
            let (done, failed) = sending.stage(stage).await;
            answers.extend(done);
            failures.extend(failed);
            if !failures.is_empty() && on_failure == OnFailure::Stop {
                break;
            }
            if stage
                .first()
                .is_some_and(|first| first.rank == Rank::Foundation)
            {
                self.established(&sending.client, stage).await?;
            }
        }
        let workloads = workloads(&answers);
        self.note(release, memory, &answers).await?;
        if let Some(failure) = summary(failures) {
            return Err(failure.into());
        }
        memory.applied = Some(Applied {
            attempt,
            digest: content.digest.clone(),
            workloads,
        });
        Ok(())
    }

    /// What goes with every object of `prepared`.
    pub(super) async fn sending(
        &self,
        release: &Release,
        prepared: &[Prepared],
        mode: Mode,
    ) -> Result<Sending<'_>, Failure> {
        let identity = identity(release);
        let client = self.identities.client(&identity)?;
        Ok(Sending {
            identity,
            scaled: scale::scaled(&client, prepared).await,
            governed: self.governed(prepared),
            owner: owner(release),
            client,
            mode,
            shell: self,
        })
    }

    /// Remembers what the API server made of objects, and how Belay's fields in them look now.
    pub(super) async fn note(
        &self,
        release: &Release,
        memory: &mut Memory,
        answers: &[Answer],
    ) -> Result<(), Undone> {
        let mut next = stored(memory).clone();
        for (key, answer) in answers {
            let version = answer.resource_version().unwrap_or_default();
            memory
                .written
                .insert(key.clone(), (version, Instant::now()));
            memory.looked.insert(key.clone(), looked(answer)?);
            if let Some(entry) = next.objects.get_mut(key) {
                let managed = answer.metadata.managed_fields.as_deref();
                entry.fields = fields::fingerprint(managed.unwrap_or_default());
            }
        }
        self.save(release, memory, next).await?;
        Ok(())
    }

    /// Waits until the definitions of a stage are served, and looks at the API server's kinds anew.
    async fn established(&self, client: &Client, stage: &[Prepared]) -> Result<(), Failure> {
        let definitions = stage
            .iter()
            .filter(|object| object.key.kind == "CustomResourceDefinition");
        let mut any = false;
        for definition in definitions {
            any = true;
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &definition.kind.resource);
            let served = wait::await_condition(api, &definition.key.name, is_established);
            match tokio::time::timeout(ESTABLISHED_WITHIN, served).await {
                Ok(Ok(_)) => {}
                // An account that may not watch definitions finds out by applying.
                Ok(Err(error)) => tracing::debug!(%error, "waiting for a definition"),
                Err(_) => {
                    return Err(Failure::passing(format!(
                        "{}: its API is not served yet",
                        definition.place()
                    )));
                }
            }
        }
        if any {
            self.kinds.changed().await;
        }
        Ok(())
    }
}

impl Sending<'_> {
    async fn rehearse(&self, object: &Prepared) -> Result<(), Failure> {
        if object.standing == Standing::NeedsKind {
            return Ok(());
        }
        self.check_owner(object).await?;
        match self.send(object).await {
            Err(failure)
                if object.standing == Standing::NeedsNamespace && lacks_namespace(&failure) =>
            {
                Ok(())
            }
            outcome => outcome.map(drop),
        }
    }

    /// Whether the object belongs to another Release. A watch that shows it as ours answers without a request.
    async fn check_owner(&self, object: &Prepared) -> Result<(), Failure> {
        let place = watches::place(&self.identity, &object.kind.resource, &object.key);
        let seen = self.shell.watches.seen(&place, &object.key.name);
        if seen.is_some_and(|seen| seen.owner_uid.as_deref() == Some(&self.owner.uid)) {
            return Ok(());
        }
        owners::check(&self.client, object, &self.owner, &self.shell.releases()).await
    }

    /// Applies objects of one rank; gives the answers and the failures.
    async fn stage(&self, stage: &[Prepared]) -> (Vec<Answer>, Vec<Failure>) {
        let sent: Vec<_> = stage.iter().map(|object| self.apply(object)).collect();
        let outcomes: Vec<_> = stream::iter(sent).buffered(CONCURRENCY).collect().await;
        let mut answers = Vec::new();
        let mut failures = Vec::new();
        for outcome in outcomes {
            match outcome {
                Ok(answer) => answers.push(answer),
                Err(failure) => failures.push(failure),
            }
        }
        (answers, failures)
    }

    async fn apply(&self, object: &Prepared) -> Result<Answer, Failure> {
        let term = &self.shell.context.term;
        term.check()
            .map_err(|error| Failure::passing(error.to_string()))?;
        self.hold(object).await?;
        let answer = self.send(object).await?;
        Ok((object.key.clone(), answer))
    }

    /// Sends one object, without the fields that it leaves to others.
    pub(super) async fn send(&self, object: &Prepared) -> Result<DynamicObject, Failure> {
        let body = self.body(object).await?;
        let body = body.as_ref().unwrap_or(&object.body);
        server_side::send(&self.client, object, body, self.mode).await
    }

    async fn body(&self, object: &Prepared) -> Result<Option<Value>, Failure> {
        let without_replicas = scale::leave_replicas(&self.client, object, &self.scaled).await?;
        let body = without_replicas.as_ref().unwrap_or(&object.body);
        let without_paused = if self.governs(object) {
            scale::leave_hold(body)
        } else {
            None
        };
        Ok(without_paused.or(without_replicas))
    }

    /// Where no admission policy holds a governed workload, it is held before its template changes.
    async fn hold(&self, object: &Prepared) -> Result<(), Failure> {
        if self.mode == Mode::Rehearse || !self.governs(object) {
            return Ok(());
        }
        hold::before_change(&self.client, object).await
    }

    fn governs(&self, object: &Prepared) -> bool {
        let Some(kind) = object.workload_kind() else {
            return false;
        };
        let key = (
            kind,
            object.key.namespace.clone().unwrap_or_default(),
            object.key.name.clone(),
        );
        self.governed.contains(&key)
    }
}

fn is_established(object: Option<&DynamicObject>) -> bool {
    object
        .and_then(|object| object.data.pointer("/status/conditions")?.as_array())
        .into_iter()
        .flatten()
        .any(|condition| {
            condition.get("type").and_then(Value::as_str) == Some("Established")
                && condition.get("status").and_then(Value::as_str) == Some("True")
        })
}

fn lacks_namespace(failure: &Failure) -> bool {
    failure.message.contains("namespaces \"") && failure.message.ends_with("not found")
}

/// Workloads of the set with the templates that the API server made of them.
fn workloads(answers: &[Answer]) -> Vec<Workload> {
    answers
        .iter()
        .filter_map(|(key, answer)| {
            let kind = workload_kind(key)?;
            let template = answer.data.pointer("/spec/template")?;
            Some(Workload {
                kind,
                namespace: key.namespace.clone()?,
                name: key.name.clone(),
                // The Rollout notes configuration on it later.
                digest: Digest::of(&without_stamp(template)),
            })
        })
        .collect()
}

/// All failures as one: the worst fault, the first of that kind in full, and how many more there are.
fn summary(failures: Vec<Failure>) -> Option<Failure> {
    let rank = |failure: &Failure| match failure.fault {
        Fault::Content => 0,
        Fault::Environment => 1,
        Fault::Passing => 2,
    };
    let count = failures.len();
    let first = failures.into_iter().min_by_key(rank)?;
    Some(match count {
        1 => first,
        more => Failure {
            message: format!("{} (and {} more)", first.message, more - 1),
            ..first
        },
    })
}
