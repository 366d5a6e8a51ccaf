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
use jiff::Timestamp;
use kube::{Api, ResourceExt as _, api::DynamicObject, runtime::wait};
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Shell,
    act::Undone,
    gather::stored,
    look::looked,
    memory::Memory,
    progress::Progress,
    run::Run,
    send::{Alive, Answer, Became, Found},
};
use crate::{
    Result,
    apply::{
        Failure, Prepared, Target, fields, ignore, manifest::workload_kind, order::Rank,
        server_side::Mode,
    },
    limits,
};

/// How long new definitions of resources may take to be served.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(20);

impl Shell {
    /// Tries `content` out by server-side dry run; says whether all of it is tried out. Objects whose kind or namespace comes with
    /// it can't be.
    pub(super) async fn rehearse(
        &self,
        release: &Release,
        memory: &mut Memory,
        content: &Content,
    ) -> Result<bool, Undone> {
        let deadline = Instant::now() + limits::SENDING;
        let mut progress = Progress::go_on(&mut memory.tried, content.digest.clone());
        if progress.is_new() {
            // What is in memory may be of an earlier try: kinds and permissions may have changed since.
            memory.prepared = None;
            memory.alive.clear();
        }
        let prepared = self.prepared(release, memory, content).await?;
        let mut sending = self
            .sending(
                release,
                memory.target()?,
                Alive::new(),
                &prepared,
                Mode::Rehearse,
            )
            .await?;
        sending.unchanged = self.unchanged(release, memory, &sending.target, &prepared);
        let rest = prepared.iter().filter(|object| progress.lacks(&object.key));
        let outcomes = sending.try_out(rest.collect(), deadline).await;
        for (object, outcome) in outcomes {
            progress.did(&object.key);
            match outcome {
                Ok(Found::Live(live)) => {
                    memory.alive.insert(object.key.clone(), live);
                }
                Ok(Found::Unknown) => {}
                Err(failure) => progress.failed([failure]),
            }
        }
        if prepared.iter().any(|object| progress.lacks(&object.key)) {
            memory.tried = progress;
            return Ok(false);
        }
        match summary(progress.failures()) {
            None => Ok(true),
            Some(failure) => Err(failure.into()),
        }
    }

    /// Applies `content`, or goes on with it. Observed as applied only when all of it is.
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
        let progress = Progress::go_on(&mut memory.sent, attempt);
        // A rehearsal's findings are as old as the rehearsal: they serve one attempt.
        let alive = std::mem::take(&mut memory.alive);
        let target = memory.target()?;
        let mut sending = self
            .sending(release, target, alive, &prepared, mode)
            .await?;
        sending.attempt = Some(attempt);
        sending.unchanged = self.unchanged(release, memory, &sending.target, &prepared);
        let mut run = Run {
            sending,
            progress,
            answers: Vec::new(),
            deadline: Instant::now() + limits::SENDING,
        };
        let held_up = self.send_all(release, memory, &mut run, &prepared).await?;
        self.note(release, memory, &run.answers).await?;
        run.progress.keep(run.sending.workloads(&run.answers));
        let is_whole = prepared
            .iter()
            .all(|object| !run.progress.lacks(&object.key));
        match held_up {
            Some(failure) if failure.fault == Fault::Content => Err(failure.into()),
            Some(failure) => {
                run.leave_to(memory);
                Err(failure.into())
            }
            None if !is_whole && !run.is_over() => {
                run.leave_to(memory);
                Ok(())
            }
            None => {
                let workloads = run.progress.workloads();
                if let Some(failure) = summary(run.progress.failures()) {
                    return Err(failure.into());
                }
                memory.applied = Some(Applied {
                    attempt,
                    digest: content.digest.clone(),
                    workloads,
                });
                Ok(())
            }
        }
    }

    /// Sends what is left, turn by turn, until it is too late or something stops it; gives what is waited for, if that is it.
    async fn send_all(
        &self,
        release: &Release,
        memory: &mut Memory,
        run: &mut Run<'_>,
        prepared: &[Prepared],
    ) -> Result<Option<Failure>, Undone> {
        let mut earlier: Option<&[Prepared]> = None;
        for stage in prepared.chunk_by(|a, b| a.turn == b.turn) {
            let before = earlier.replace(stage);
            if !run.has_work(stage) {
                continue;
            }
            if let Some(before) = before
                && let Err(failure) = self
                    .go_on_after(release, memory, run, (prepared, before, stage))
                    .await?
            {
                return Ok(Some(failure));
            }
            run.send(stage).await;
            if run.has_work(stage) || run.is_over() {
                break;
            }
            if stage
                .first()
                .is_some_and(|first| first.turn.rank == Rank::Foundation)
            {
                established(&run.sending.target, stage).await?;
            }
        }
        Ok(None)
    }

    /// Remembers what the API server made of objects, and how Belay's fields in them look now.
    pub(super) async fn note(
        &self,
        release: &Release,
        memory: &mut Memory,
        answers: &[Answer],
    ) -> Result<(), Undone> {
        let mut next = stored(memory).clone();
        let rules = memory.rules(release);
        for answer in answers {
            let key = &answer.key;
            let entry = next.objects.get_mut(key);
            let made = match &answer.became {
                Became::Unchanged => continue,
                Became::Sent(made) => Some(made),
                Became::LeftAlone => None,
            };
            let Some(made) = made else {
                memory.looked.remove(key);
                if let Some(entry) = entry {
                    entry.words = answer.words;
                    entry.left_alone = true;
                }
                continue;
            };
            let (made, altered, sent) = (&made.object, &made.altered, &made.sent);
            let version = made.resource_version().unwrap_or_default();
            memory
                .written
                .insert(key.clone(), (version, Instant::now()));
            memory
                .looked
                .insert(key.clone(), looked(made, &answer.kind, &rules)?);
            if let Some(entry) = entry {
                let managed = made.metadata.managed_fields.as_deref();
                entry.fields = fields::fingerprint(managed.unwrap_or_default());
                entry.settled = settled(release, key, made)?;
                entry.words = answer.words;
                entry.altered.clone_from(altered);
                entry.sent.clone_from(sent);
                entry.left_alone = false;
            }
        }
        self.save(release, memory, next).await?;
        Ok(())
    }
}

/// Waits until the definitions of a stage are served, and looks at the API server's kinds anew.
async fn established(target: &Target, stage: &[Prepared]) -> Result<(), Failure> {
    let definitions = stage
        .iter()
        .filter(|object| object.key.kind == "CustomResourceDefinition");
    let mut any = false;
    for definition in definitions {
        any = true;
        let api: Api<DynamicObject> =
            Api::all_with(target.client.clone(), &definition.kind.resource);
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
        target.kinds.changed().await;
    }
    Ok(())
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

/// How Belay's fields look without those that are left to others; nothing if none are.
fn settled(release: &Release, key: &ObjectKey, object: &DynamicObject) -> Result<Option<String>> {
    let rules = &release.spec.apply.ignore;
    if rules.is_empty() {
        return Ok(None);
    }
    let value = serde_json::to_value(object)?;
    let paths = ignore::paths(rules, key, &value);
    let managed = object.metadata.managed_fields.as_deref();
    Ok((!paths.is_empty())
        .then(|| ignore::fingerprint(&paths, &value, managed.unwrap_or_default()))
        .flatten())
}

/// Workloads of the set with the templates that the API server made of them.
pub(super) fn workloads(answers: &[Answer]) -> Vec<Workload> {
    answers
        .iter()
        .filter_map(|answer| {
            let key = &answer.key;
            let kind = workload_kind(key)?;
            let template = answer.made()?.data.pointer("/spec/template")?;
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
        Fault::Waiting => 3,
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
