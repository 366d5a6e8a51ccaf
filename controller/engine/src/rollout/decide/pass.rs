//! The state of one pass: what it looks at, and what it has decided so far.

use jiff::Timestamp;

use super::{
    super::{
        Effect, Event, EventKind, Measure, Observed, Plan, RolloutStatus,
        observed::{Deployment, Kind, Workload},
        status::Phase,
    },
    gates::Live,
};

/// A reason for programs with its sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Why {
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// One pass of a decision.
pub(super) struct Pass<'a> {
    /// The plan, or why there is none that can be carried out on this workload.
    pub(super) plan: Result<&'a Plan, String>,
    /// The status that the pass began with.
    pub(super) before: &'a RolloutStatus,
    pub(super) seen: &'a Observed,
    pub(super) now: Timestamp,
    pub(super) next: RolloutStatus,
    /// The gates of the present step with their standing of this moment, newer than the persisted one.
    pub(super) live: Vec<Live<'a>>,
    pub(super) effects: Vec<Effect>,
    pub(super) measures: Vec<Measure>,
    pub(super) events: Vec<Event>,
    pub(super) wake_at: Option<Timestamp>,
    pub(super) waiting: Option<Why>,
    pub(super) stalled: Option<Why>,
}

impl<'a> Pass<'a> {
    pub(super) fn new(
        plan: Result<&'a Plan, &str>,
        before: &'a RolloutStatus,
        seen: &'a Observed,
        now: Timestamp,
    ) -> Self {
        Self {
            plan: plan
                .map_err(ToOwned::to_owned)
                .and_then(|plan| governable(seen).map(|()| plan)),
            before,
            seen,
            now,
            next: before.clone(),
            live: Vec::new(),
            effects: Vec::new(),
            measures: Vec::new(),
            events: Vec::new(),
            wake_at: None,
            waiting: None,
            stalled: None,
        }
    }

    pub(super) fn plan(&self) -> Option<&'a Plan> {
        self.plan.as_ref().ok().copied()
    }

    pub(super) fn enter(&mut self, phase: Phase) {
        self.next.phase = phase;
        self.next.phase_since = Some(self.now);
    }

    /// Forgets the candidate and everything that is only about it.
    pub(super) fn drop_candidate(&mut self) {
        self.next.candidate = None;
        self.next.step = None;
        self.next.promotion = None;
        self.next.bake_skipped_by = None;
        self.next.paused = None;
        self.next.gates.clear();
        self.live.clear();
    }

    /// States what is waited for; the first reason of a pass is the one that people see.
    pub(super) fn wait(&mut self, reason: &'static str, message: String) {
        self.waiting.get_or_insert(Why { reason, message });
    }

    /// States what keeps everything from going on until a person changes something.
    pub(super) fn stall(&mut self, reason: &'static str, message: String) {
        self.wait(reason, message.clone());
        self.stalled.get_or_insert(Why { reason, message });
    }

    pub(super) fn wake(&mut self, at: Timestamp) {
        if at > self.now {
            self.wake_at = Some(self.wake_at.map_or(at, |earlier| earlier.min(at)));
        }
    }

    pub(super) fn normal(&mut self, reason: &'static str, message: String) {
        self.event(EventKind::Normal, reason, message);
    }

    pub(super) fn warning(&mut self, reason: &'static str, message: String) {
        self.event(EventKind::Warning, reason, message);
    }

    fn event(&mut self, kind: EventKind, reason: &'static str, message: String) {
        self.events.push(Event {
            kind,
            reason: reason.to_owned(),
            message,
        });
    }

    pub(super) fn effect(&mut self, effect: Effect) {
        if !self.effects.contains(&effect) {
            self.effects.push(effect);
        }
    }

    pub(super) fn adopt(&mut self) {
        self.effect(Effect::Adopt);
    }

    pub(super) fn pause(&mut self, deployment: &Deployment) {
        self.effect(Effect::Pause {
            resource_version: deployment.resource_version.clone(),
        });
    }

    pub(super) fn resume(&mut self, deployment: &Deployment, guard: super::super::Guard) {
        self.effect(Effect::Resume {
            digest: deployment.template.digest.clone(),
            resource_version: deployment.resource_version.clone(),
            guard,
        });
    }
}

/// Workloads that Belay could break, or could not bring back, are refused with what to change.
fn governable(seen: &Observed) -> Result<(), String> {
    let Workload::Deployment(deployment) = &seen.workload else {
        return Ok(());
    };
    if deployment.kind == Kind::DaemonSet {
        return super::nodes::governable(deployment);
    }
    if deployment.kind.in_place() {
        return takes_places(deployment);
    }
    if deployment.recreate {
        return Err("The Deployment's strategy is Recreate, which can't run two versions side by side; set \
                    spec.strategy.type to RollingUpdate."
            .to_owned());
    }
    if deployment.revision_history_limit < 1 {
        return Err("The Deployment keeps no old ReplicaSet (spec.revisionHistoryLimit is 0), and going back after a \
                    promotion needs one; set it to at least 1."
            .to_owned());
    }
    Ok(())
}

/// The same for workloads whose new version takes the places of stable pods.
fn takes_places(deployment: &Deployment) -> Result<(), String> {
    if deployment.recreate {
        return Err("The StatefulSet's update strategy is OnDelete, by which it goes no step by itself; set \
                    spec.updateStrategy.type to RollingUpdate."
            .to_owned());
    }
    if deployment.revision_history_limit < 1 {
        return Err(
            "The StatefulSet keeps no old revision (spec.revisionHistoryLimit is 0), and going back after a \
                    promotion needs one; set it to at least 1."
                .to_owned(),
        );
    }
    if deployment.replicas == 1 {
        return Err("The StatefulSet has one replica, so a new version can't be tried beside the stable one; set \
                    spec.replicas to at least 2, or delete its Rollout."
            .to_owned());
    }
    Ok(())
}
