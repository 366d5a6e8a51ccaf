//! Sends the objects of one set, each as it is to be sent: with the fields that it leaves to others left out, held before its
//! template changes, or not at all when it is to be left alone.

use std::collections::{HashMap, HashSet};

use belay_api::{
    Release,
    release::{Adopt, IgnoreRule, OnImmutable},
};
use belay_engine::release::{observed::ObjectKey, status::Workload, words::Words};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    Shell, bring,
    governed::Governed,
    owner,
    treat::{Live, Treatment},
};
use crate::apply::{
    Failure, Kind, Owner, Prepared, Target,
    altered::altered,
    hold, ignore,
    scale::{self, Scaled},
    server_side::{self, Mode, Over},
    standing::Standing,
    takeover,
    turn::Part,
};
use crate::client::in_time;

/// Objects at the same time.
const CONCURRENCY: usize = 8;

/// What was found at a rehearsal of objects that no watch shows; nothing where an object is not there.
pub(super) type Alive = HashMap<ObjectKey, Option<Live>>;

/// What became of an object.
pub(super) struct Answer {
    pub(super) key: ObjectKey,
    /// Its kind, as the API server has it.
    pub(super) kind: Kind,
    /// What the source says about it.
    pub(super) words: Words,
    /// What became of it.
    pub(super) became: Became,
}

/// What became of an object that was to be applied.
pub(super) enum Became {
    /// It was sent.
    Sent(Box<Made>),
    /// It was not sent, for it is as it would be sent.
    Unchanged,
    /// It was not sent, for it says that it is to be left alone.
    LeftAlone,
}

/// What the API server made of an object.
pub(super) struct Made {
    pub(super) object: DynamicObject,
    /// Values that the cluster's admission changed on the way in.
    pub(super) altered: Vec<String>,
    /// Digest of what was sent, if all of it was taken.
    pub(super) sent: Option<String>,
}

impl Answer {
    /// What the API server made of the object, if it was sent.
    pub(super) fn made(&self) -> Option<&DynamicObject> {
        match &self.became {
            Became::Sent(made) => Some(&made.object),
            Became::Unchanged | Became::LeftAlone => None,
        }
    }
}

/// What goes with every object of one set.
pub(super) struct Sending<'a> {
    pub(super) target: Target,
    ignore: Vec<IgnoreRule>,
    pub(super) owner: Owner,
    governed: Governed,
    scaled: Scaled,
    pub(super) mode: Mode,
    /// When the attempt began that the objects are applied for.
    pub(super) attempt: Option<Timestamp>,
    /// See [`Memory::alive`].
    pub(super) alive: Alive,
    /// Objects that need not be sent (see [`super::unchanged`]).
    pub(super) unchanged: HashSet<ObjectKey>,
    pub(super) adopt: Adopt,
    pub(super) on_immutable: OnImmutable,
    pub(super) shell: &'a Shell,
}

impl Shell {
    /// What goes with every object of `prepared`.
    pub(super) async fn sending(
        &self,
        release: &Release,
        target: Target,
        alive: Alive,
        prepared: &[Prepared],
        mode: Mode,
    ) -> Result<Sending<'_>, Failure> {
        Ok(Sending {
            scaled: scale::scaled(&target.client, prepared).await,
            governed: self.governed(&target, prepared),
            owner: owner(release),
            target,
            mode,
            attempt: None,
            ignore: release.spec.apply.ignore.clone(),
            adopt: release.spec.apply.adopt,
            on_immutable: release.spec.apply.on_immutable,
            alive,
            unchanged: HashSet::new(),
            shell: self,
        })
    }
}

impl Sending<'_> {
    /// Tries `object` out; gives what is known of the live one.
    async fn rehearse(&self, object: &Prepared) -> Result<Found, Failure> {
        if object.standing == Standing::NeedsKind {
            return Ok(Found::Unknown);
        }
        let live = self.live(object).await?;
        let treatment = self.treatment(object, live.as_ref())?;
        if treatment == Treatment::LeaveAlone || self.unchanged.contains(&object.key) {
            return Ok(Found::Live(live));
        }
        match self.send(object, live.as_ref(), treatment).await {
            Err(failure) if object.standing.explains(&failure) => Ok(Found::Unknown),
            outcome => outcome.map(|_| Found::Live(live)),
        }
    }

    /// Tries objects out; begins with none after `deadline`.
    pub(super) async fn try_out<'o>(
        &self,
        objects: Vec<&'o Prepared>,
        deadline: Instant,
    ) -> Vec<(&'o Prepared, Result<Found, Failure>)> {
        let tries: Vec<_> = objects
            .iter()
            .map(|object| in_time(deadline, self.rehearse(object)))
            .collect();
        let outcomes: Vec<_> = stream::iter(tries).buffered(CONCURRENCY).collect().await;
        begun(objects, outcomes)
    }

    /// Applies objects of one turn; begins with none after `deadline`.
    pub(super) async fn stage<'o>(
        &self,
        objects: Vec<&'o Prepared>,
        deadline: Instant,
    ) -> Vec<(&'o Prepared, Result<Answer, Failure>)> {
        let sent: Vec<_> = objects
            .iter()
            .map(|object| in_time(deadline, self.apply(object)))
            .collect();
        let outcomes: Vec<_> = stream::iter(sent).buffered(CONCURRENCY).collect().await;
        begun(objects, outcomes)
    }

    async fn apply(&self, object: &Prepared) -> Result<Answer, Failure> {
        let term = &self.shell.context.term;
        term.check()
            .map_err(|error| Failure::passing(error.to_string()))?;
        if self.unchanged.contains(&object.key) {
            return Ok(answer(object, Became::Unchanged));
        }
        self.put(object).await
    }

    /// Applies one object, unless it is there and says that it is to be left alone.
    pub(super) async fn put(&self, object: &Prepared) -> Result<Answer, Failure> {
        let live = self.live(object).await?;
        let treatment = self.treatment(object, live.as_ref())?;
        if treatment == Treatment::LeaveAlone {
            return Ok(answer(object, Became::LeftAlone));
        }
        let (made, altered) = self.make(object, live.as_ref(), treatment).await?;
        // On the way back the API server drops what it no longer knows, and may know it again later.
        let sent = match self.mode {
            Mode::Apply => object.digest.clone(),
            Mode::Rehearse | Mode::Return => None,
        };
        let made = Made {
            object: made,
            altered,
            sent,
        };
        Ok(answer(object, Became::Sent(Box::new(made))))
    }

    async fn make(
        &self,
        object: &Prepared,
        live: Option<&Live>,
        treatment: Treatment,
    ) -> Result<(DynamicObject, Vec<String>), Failure> {
        self.hold(object).await?;
        if matches!(treatment, Treatment::TakeOver | Treatment::Adopt) {
            takeover::take_over(&self.target.client, object).await?;
        }
        let sent = self.send(object, live, treatment).await?;
        if !self.failed_before(object, &sent.0) {
            return Ok(sent);
        }
        // Somebody retries the content: what failed of it is run again, and what succeeded is not.
        self.take_away(object).await?;
        self.send(object, live, treatment).await
    }

    /// Whether a Job with a turn of its own failed in an earlier attempt.
    fn failed_before(&self, object: &Prepared, made: &DynamicObject) -> bool {
        let (Some(attempt), Some(made_at)) = (self.attempt, &made.metadata.creation_timestamp)
        else {
            return false;
        };
        object.turn.part != Part::Main
            && made_at.0.as_second() < attempt.as_second()
            && has_failed(made)
    }

    /// Sends one object, without the fields that it leaves to others. Gives what the API server made of it, and which values were
    /// changed on the way in.
    async fn send(
        &self,
        object: &Prepared,
        live: Option<&Live>,
        treatment: Treatment,
    ) -> Result<(DynamicObject, Vec<String>), Failure> {
        let body = self.body(object).await?;
        let body = body.as_ref().unwrap_or(&object.body);
        let over = if treatment == Treatment::Adopt {
            Over::Everybody
        } else {
            Over::People
        };
        let sent = server_side::try_send(&self.target.client, object, body, self.mode, over).await;
        let made = match sent {
            Ok(made) => made,
            Err(refused) if refused.is_immutable => {
                self.replace(object, live, body, refused.failure).await?
            }
            Err(refused) => return Err(refused.failure),
        };
        let altered = altered(object, body, &made);
        Ok((made, altered))
    }

    async fn body(&self, object: &Prepared) -> Result<Option<Value>, Failure> {
        let without_replicas =
            scale::leave_replicas(&self.target.client, object, &self.scaled).await?;
        let body = without_replicas.as_ref().unwrap_or(&object.body);
        let without_paused = if self.governs(object) {
            scale::leave_hold(body)
        } else {
            None
        };
        let body = without_paused.or(without_replicas);
        self.leave_ignored(object, body).await
    }

    /// The body without the fields that the spec leaves to others. Costs one read of an object that has such fields.
    async fn leave_ignored(
        &self,
        object: &Prepared,
        body: Option<Value>,
    ) -> Result<Option<Value>, Failure> {
        let paths = ignore::paths(&self.ignore, &object.key, &object.body);
        if paths.is_empty() {
            return Ok(body);
        }
        let Some(live) = scale::live(&self.target.client, object).await? else {
            return Ok(body);
        };
        let managed = live.metadata.managed_fields.as_deref().unwrap_or_default();
        let body = body.as_ref().unwrap_or(&object.body);
        // Metadata can hold such fields, too.
        let value = serde_json::to_value(&live)
            .map_err(|error| Failure::content(error.to_string()).at(object.place()))?;
        Ok(Some(ignore::leave(body, &paths, &value, managed)))
    }

    /// Where no admission policy holds a governed workload, it is held before its template changes.
    async fn hold(&self, object: &Prepared) -> Result<(), Failure> {
        if self.mode == Mode::Rehearse || !self.governs(object) {
            return Ok(());
        }
        hold::before_change(&self.target.client, object).await
    }

    /// Workloads of the set that a Rollout may have a say about. None governs what is in another cluster.
    pub(super) fn workloads(&self, answers: &[Answer]) -> Vec<Workload> {
        if self.target.is_remote() {
            Vec::new()
        } else {
            bring::workloads(answers)
        }
    }

    pub(super) fn governs(&self, object: &Prepared) -> bool {
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

/// What a rehearsal found out about a live object.
pub(super) enum Found {
    /// What is known of it; nothing if it is not there.
    Live(Option<Live>),
    /// It could not be looked at yet.
    Unknown,
}

fn answer(object: &Prepared, became: Became) -> Answer {
    Answer {
        kind: object.kind.clone(),
        key: object.key.clone(),
        words: object.words,
        became,
    }
}

fn has_failed(job: &DynamicObject) -> bool {
    let text = |condition: &Value, field: &str, is: &str| {
        condition.get(field).and_then(Value::as_str) == Some(is)
    };
    job.data
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .any(|condition| text(condition, "type", "Failed") && text(condition, "status", "True"))
}

/// The objects that were begun with, and what became of them.
fn begun<T>(objects: Vec<&Prepared>, outcomes: Vec<Option<T>>) -> Vec<(&Prepared, T)> {
    let pairs = objects.into_iter().zip(outcomes);
    pairs
        .filter_map(|(object, outcome)| Some((object, outcome?)))
        .collect()
}
