//! The working state of one decision.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{cluster::Barred, dependencies::Hold};
use crate::{
    digest::Digest,
    quarantine,
    release::{
        Decision, Effect, Observed, Plan, ReleaseStatus,
        cluster::Reached,
        observed::{Task, Trouble},
        status::{Content, Phase, Target, Verified, short_revision},
    },
    rollout::{
        effect::{Event, EventKind, Measure},
        status::Waiting,
    },
};

/// The working state of one decision: the status as it becomes, and everything that comes with it.
pub(super) struct Pass<'a> {
    pub(super) plan: Result<&'a Plan, &'a str>,
    pub(super) before: &'a ReleaseStatus,
    pub(super) observed: &'a Observed,
    pub(super) now: Timestamp,
    pub(super) status: ReleaseStatus,
    pub(super) measures: Vec<Measure>,
    /// What is to be said about newer content that is being tried out, unless the target has something to say.
    pub(super) rehearsal: Option<String>,
    /// What newer commits wait for in other Releases.
    pub(super) promotion: Option<String>,
    /// Why newer content is not begun: what it depends on is missing.
    pub(super) held: Option<Hold>,
    /// Why nothing can be done about the objects.
    pub(super) barred: Option<Barred>,
    effects: Vec<Effect>,
    events: Vec<Event>,
    wake_at: Option<Timestamp>,
    waiting: Option<(&'static str, String)>,
    forgiven: bool,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        plan: Result<&'a Plan, &'a str>,
        before: &'a ReleaseStatus,
        observed: &'a Observed,
        now: Timestamp,
    ) -> Self {
        let mut status = before.clone();
        status.observed_generation = Some(observed.generation);
        Self {
            plan,
            before,
            observed,
            now,
            status,
            measures: Vec::new(),
            rehearsal: None,
            promotion: None,
            held: None,
            barred: None,
            effects: Vec::new(),
            events: Vec::new(),
            wake_at: None,
            waiting: None,
            forgiven: false,
        }
    }

    pub(super) fn finish(mut self) -> Decision {
        self.status.waiting_for = self.waiting.map(|(reason, message)| Waiting {
            reason: reason.to_owned(),
            message,
            since: self
                .before
                .waiting_for
                .as_ref()
                .filter(|before| before.reason == reason)
                .map_or(self.now, |before| before.since),
        });
        Decision {
            status: self.status,
            effects: self.effects,
            measures: self.measures,
            events: self.events,
            wake_at: self.wake_at,
        }
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        if self.status.phase != phase {
            self.status.phase = phase;
            self.status.phase_since = Some(self.now);
        }
    }

    /// Says what is waited for; the first thing said counts.
    pub(super) fn wait(&mut self, reason: &'static str, message: impl Into<String>) {
        self.waiting.get_or_insert_with(|| (reason, message.into()));
    }

    pub(super) fn waits(&self) -> Option<&str> {
        self.waiting.as_ref().map(|(_, message)| message.as_str())
    }

    pub(super) fn wake(&mut self, at: Timestamp) {
        self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Emits an effect unless it failed and is not to be tried again yet; says so then.
    pub(super) fn attempt(&mut self, task: Task, digest: Option<&Digest>, effect: Effect) {
        if let Some(trouble) = self.trouble(task, digest).cloned()
            && trouble.retry_at > self.now
        {
            self.wake(trouble.retry_at);
            return;
        }
        self.effects.push(effect);
    }

    pub(super) fn trouble(&self, task: Task, digest: Option<&Digest>) -> Option<&'a Trouble> {
        self.observed
            .troubles
            .iter()
            .find(|trouble| trouble.task == task && trouble.digest.as_ref() == digest)
            .filter(|_| !self.forgiven)
    }

    /// Lets everything that failed be tried again at once.
    pub(super) fn forgive(&mut self) {
        self.forgiven = true;
        self.effects.push(Effect::Forgive);
    }

    pub(super) fn normal(&mut self, reason: &str, message: impl Into<String>) {
        self.event(EventKind::Normal, reason, message.into());
    }

    pub(super) fn warning(&mut self, reason: &str, message: impl Into<String>) {
        self.event(EventKind::Warning, reason, message.into());
    }

    fn event(&mut self, kind: EventKind, reason: &str, message: String) {
        self.events.push(Event {
            kind,
            reason: reason.to_owned(),
            message,
        });
    }

    pub(super) fn quarantined(&self, digest: &Digest) -> Option<&quarantine::Entry> {
        quarantine::find(&self.status.quarantine, digest)
    }

    /// The newest verified version that is not quarantined.
    pub(super) fn last_good(&self) -> Option<&Verified> {
        self.status
            .history
            .iter()
            .rev()
            .find(|verified| self.quarantined(&verified.content.digest).is_none())
    }

    pub(super) fn target_digest(&self) -> Option<&Digest> {
        self.status
            .target
            .as_ref()
            .map(|target| &target.content.digest)
    }

    /// `at`, or when the cluster of the objects answered again: nothing is late for an outage.
    pub(super) fn in_reach_from(&self, at: Timestamp) -> Timestamp {
        match self.observed.cluster {
            Reached::Remote { since, .. } => at.max(since),
            Reached::Home | Reached::Away { .. } => at,
        }
    }

    /// Begins an attempt to bring `target` in. What was said about the last target is forgotten.
    pub(super) fn begin(&mut self, target: Target, phase: Phase) {
        self.status.target = Some(target);
        self.status.workloads.clear();
        self.status.gates.clear();
        self.status.verdict = None;
        self.status.promotable = None;
        self.status.large_prune = None;
        self.enter(phase);
        self.status.phase_since = Some(self.now);
    }
}

/// `at` plus `span`, at the end of time if need be.
pub(super) fn after(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| at.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}

/// What people call it.
pub(super) fn brief(content: &Content) -> String {
    if content.short.is_empty() {
        return short_revision(&content.revision);
    }
    content.short.clone()
}
