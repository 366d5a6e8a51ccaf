//! What a process remembers of a Release beside its status. Losing it costs requests, never correctness.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use belay_api::{Release, release::HealthRules};
use belay_engine::{
    digest::Digest,
    health::Health,
    release::{
        observed::{Applied, Contest, Fault, ObjectKey, Task, Trouble},
        publish::Publication,
    },
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::{progress::Progress, publish::Push, send::Alive};
use crate::apply::{Failure, Prepared, Target, Via, inventory::Stored, watches::Place};

/// Corrections of one object within [`CONTEST_WINDOW`] that are not yet a fight.
const CORRECTIONS: u32 = 5;

/// How long corrections are counted together, and how long they rest when somebody fights back.
const CONTEST_WINDOW: Duration = Duration::from_mins(10);

/// First wait after a failure; doubles up to the limit of its kind.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const PASSING_RETRY_LIMIT: Duration = Duration::from_secs(30);
const WAITING_RETRY_LIMIT: Duration = Duration::from_secs(3);
const ENVIRONMENT_RETRY_LIMIT: Duration = Duration::from_mins(2);

/// Everything remembered of one Release.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Generation of the spec that this is about.
    pub(super) generation: i64,
    /// Where the objects are, and in whose name; nothing while that can't be reached.
    target: Option<Target>,
    /// The way to the objects that this is about.
    via: Option<Via>,
    /// The inventory as it is stored.
    pub(super) inventory: Option<Stored>,
    /// Where the objects of the inventory are watched; made anew when the inventory changes.
    pub(super) places: Option<HashSet<Place>>,
    /// Content whose renders are kept.
    pub(super) renders: Option<Vec<Digest>>,
    /// The commit that was chosen to go on, when it is not the newest.
    pub(super) looks_at: Option<String>,
    /// A push that was begun.
    pub(super) push: Option<Push>,
    /// What was published last.
    pub(super) publication: Option<Publication>,
    /// Content that passed its rehearsal.
    pub(super) rehearsed: Option<Digest>,
    /// What was applied last.
    pub(super) applied: Option<Applied>,
    /// What the rehearsal that is under way has done so far.
    pub(super) tried: Progress<Digest>,
    /// What the attempt that is under way has done so far.
    pub(super) sent: Progress<Timestamp>,
    /// The objects of the content that is being brought in.
    pub(super) prepared: Option<(Digest, Arc<Vec<Prepared>>)>,
    /// What was found at the last rehearsal of objects that no watch shows: what they say, or that they are not there.
    pub(super) alive: Alive,
    /// How objects were when they were last looked at.
    pub(super) looked: HashMap<ObjectKey, Looked>,
    /// Versions that our own last writes gave objects, and when, until the watches have shown them.
    pub(super) written: HashMap<ObjectKey, (String, Instant)>,
    /// Accounts of fields (see `apply::fields`) that differ from what was applied in ignored fields only.
    pub(super) harmless: HashMap<ObjectKey, String>,
    /// The rules of health of the spec, once they are needed.
    rules: Option<Arc<HealthRules>>,
    troubles: Vec<(Trouble, u32)>,
    corrections: HashMap<ObjectKey, Corrections>,
}

/// How an object was.
#[derive(Clone, Debug)]
pub(super) struct Looked {
    /// Version that was looked at; empty if it was not there.
    pub(super) resource_version: String,
    /// How it was.
    pub(super) health: Health,
    /// When.
    pub(super) at: Instant,
    /// Its kind has a status and it has none: when it is taken for one that never gets any.
    pub(super) settles_at: Option<Instant>,
}

impl Looked {
    /// Of an object that can't be judged: it is not there, or can't be read.
    pub(super) fn nothing(message: String) -> Self {
        Self {
            resource_version: String::new(),
            health: Health::InProgress { message },
            at: Instant::now(),
            settles_at: None,
        }
    }

    /// Time until its first status is no longer awaited, if it still is.
    pub(super) fn settles_in(&self) -> Option<Duration> {
        self.settles_at?.checked_duration_since(Instant::now())
    }

    /// Whether nothing was said for so long that nothing will be.
    pub(super) fn has_settled(&self) -> bool {
        self.settles_at.is_some_and(|at| at <= Instant::now())
    }
}

#[derive(Debug)]
struct Corrections {
    count: u32,
    last: Timestamp,
}

impl Memory {
    /// A new spec, or another way to the objects, makes what failed or was tried out under the old one worthless.
    pub(super) fn is_about(&mut self, generation: i64, target: Option<Target>) {
        let way = target.as_ref().map(|target| &target.via);
        let is_known_way = way.is_none() || way == self.via.as_ref();
        if let Some(way) = way.filter(|_| !is_known_way) {
            self.via = Some(way.clone());
        }
        self.target = target;
        if self.generation != generation || !is_known_way {
            self.generation = generation;
            self.rehearsed = None;
            self.prepared = None;
            self.alive.clear();
            self.tried = Progress::default();
            self.sent = Progress::default();
            self.harmless.clear();
            self.places = None;
            self.rules = None;
            self.looked.clear();
            self.troubles.clear();
        }
    }

    /// Where the objects are, and in whose name.
    pub(super) fn target(&self) -> Result<Target, Failure> {
        let target = self.target.clone();
        target.ok_or_else(|| Failure::passing("the cluster of the objects can't be reached"))
    }

    /// Something went wrong that may be because the cluster of the objects is away.
    pub(super) fn doubt(&self) {
        if let Some(target) = &self.target {
            target.doubt();
        }
    }

    /// The rules of health of `release`. One that can't be read refuses the spec, so nothing is judged without it.
    pub(super) fn rules(&mut self, release: &Release) -> Arc<HealthRules> {
        let written = &release.spec.verification.health;
        let read = || Arc::new(HealthRules::read(written).unwrap_or_default());
        Arc::clone(self.rules.get_or_insert_with(read))
    }

    /// The effects that failed.
    pub(super) fn troubles(&self) -> Vec<Trouble> {
        self.troubles
            .iter()
            .map(|(trouble, _)| trouble.clone())
            .collect()
    }

    /// Remembers that something failed, and when to try it again.
    pub(super) fn failed(&mut self, task: Task, digest: Option<&Digest>, failure: Failure) {
        let tries = self.forget_failure(task, digest).saturating_add(1);
        let limit = match failure.fault {
            Fault::Passing => PASSING_RETRY_LIMIT,
            Fault::Waiting => WAITING_RETRY_LIMIT,
            Fault::Content | Fault::Environment => ENVIRONMENT_RETRY_LIMIT,
        };
        let wait = FIRST_RETRY
            .saturating_mul(1 << tries.saturating_sub(1).min(16))
            .min(limit);
        if failure.fault == Fault::Passing {
            self.doubt();
        }
        tracing::info!(?task, fault = ?failure.fault, message = failure.message, ?wait, "failed; trying again later");
        let trouble = Trouble {
            task,
            digest: digest.cloned(),
            fault: failure.fault,
            message: failure.message,
            retry_at: later(Timestamp::now(), wait),
        };
        self.troubles.push((trouble, tries));
    }

    /// Remembers that something worked.
    pub(super) fn worked(&mut self, task: Task, digest: Option<&Digest>) {
        self.forget_failure(task, digest);
    }

    /// Forgets all failures, and who fought whom.
    pub(super) fn forgive(&mut self) {
        self.troubles.clear();
        self.corrections.clear();
        self.rehearsed = None;
    }

    /// Times that it had failed in a row.
    fn forget_failure(&mut self, task: Task, digest: Option<&Digest>) -> u32 {
        let is_it = |trouble: &Trouble| trouble.task == task && trouble.digest.as_ref() == digest;
        let tries = self
            .troubles
            .iter()
            .find(|(trouble, _)| is_it(trouble))
            .map_or(0, |(_, tries)| *tries);
        self.troubles.retain(|(trouble, _)| !is_it(trouble));
        tries
    }

    /// An object was put right.
    pub(super) fn corrected(&mut self, object: &ObjectKey, now: Timestamp) {
        let entry = self
            .corrections
            .entry(object.clone())
            .or_insert(Corrections {
                count: 0,
                last: now,
            });
        if later(entry.last, CONTEST_WINDOW) < now {
            entry.count = 0;
        }
        entry.count = entry.count.saturating_add(1);
        entry.last = now;
    }

    /// Whether somebody fights our corrections of an object.
    pub(super) fn contest(&self, object: &ObjectKey) -> Contest {
        match self.corrections.get(object) {
            Some(corrections) if corrections.count >= CORRECTIONS => Contest::Fought {
                until: later(corrections.last, CONTEST_WINDOW),
            },
            _ => Contest::Quiet,
        }
    }
}

fn later(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| at.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ObjectKey {
        ObjectKey {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: None,
            name: "a".into(),
        }
    }

    #[test]
    fn an_object_that_flips_back_again_and_again_is_fought_over() {
        let mut memory = Memory::default();
        let start = Timestamp::from_second(1_000_000).unwrap();
        for round in 0..CORRECTIONS {
            assert_eq!(memory.contest(&key()), Contest::Quiet);
            memory.corrected(&key(), later(start, Duration::from_secs(u64::from(round))));
        }
        assert!(matches!(memory.contest(&key()), Contest::Fought { .. }));
        memory.corrected(&key(), later(start, CONTEST_WINDOW * 3));
        assert_eq!(memory.contest(&key()), Contest::Quiet);
    }

    #[test]
    fn waits_grow_with_each_failure_in_a_row_and_end_with_success() {
        let mut memory = Memory::default();
        for _ in 0..3 {
            memory.failed(Task::Apply, None, Failure::environment("quota"));
        }
        let [trouble] = &memory.troubles()[..] else {
            panic!("one trouble per task")
        };
        let wait = trouble.retry_at.duration_since(Timestamp::now());
        assert!(wait > SignedDuration::from_secs(3), "{wait}");
        memory.worked(Task::Apply, None);
        assert!(memory.troubles().is_empty());
    }
}
