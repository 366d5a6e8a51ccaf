//! The shell around `decide`: gathers, decides, writes the status, carries the effects out, measures, and may die anywhere.
//!
//! The decision is the production one, with a planted mistake or without, and every one is checked against the engine's
//! invariants before anything of it is written. Deliberately absent: writes whose answer is lost, and clocks that jump, which
//! the large simulator has.

use belay_engine::{
    gate::{Reading, Result as Measured},
    invariant::{self, Case},
    rollout::{
        Decision, Effect, Measure, Observed, Plan,
        observed::{Deployment, Group, Lifecycle, ReplicaSet, Workload},
    },
    traffic::Seen,
};
use jiff::Timestamp;

use super::World;
use crate::{Look, production};

/// A mistake that is planted into an observation or into a decision.
pub(crate) trait Planted: Copy {
    /// Makes the decision look at something else than there is.
    fn mislead(self, workload: &mut Deployment);

    /// Makes something else of the decision.
    fn err(self, decision: &mut Decision, observed: &Observed, plan: &Plan);
}

/// What an observation has of the cluster's objects.
pub(crate) struct Objects {
    pub(crate) workload: Deployment,
    pub(crate) sets: Vec<ReplicaSet>,
    pub(crate) traffic: Seen,
}

pub(crate) struct Shell<W: World> {
    mistake: W::Mistake,
    readings: Vec<Reading>,
    measures: Vec<Measure>,
    wake_at: Option<Timestamp>,
    acting_since: Timestamp,
    /// When the candidate was begun that the readings are of.
    on_trial: Option<Timestamp>,
}

impl<W: World> Shell<W> {
    pub(crate) fn new(mistake: W::Mistake, world: &W) -> Self {
        Self {
            mistake,
            readings: Vec::new(),
            measures: Vec::new(),
            wake_at: None,
            acting_since: world.core().time(),
            on_trial: None,
        }
    }

    /// One pass. Between any two of its writes the controller may go on, and the process may die.
    pub(crate) fn pass(&mut self, world: &mut W, chaos: bool) {
        if world.core().finished {
            return;
        }
        world.watch(chaos);
        let candidate = world.core().status.candidate.as_ref();
        let started = candidate.map(|candidate| candidate.started_at);
        if started != self.on_trial {
            self.on_trial = started;
            self.readings.clear();
        }
        let decision = self.decide(world);
        self.wake_at = decision.wake_at;
        self.measures.clone_from(&decision.measures);
        let core = world.core_mut();
        if decision.status != core.status {
            let status = &decision.status;
            core.happens(&format!(
                "decided: {:?} step {:?} waits for {:?}",
                status.phase,
                status.step_text,
                status.waiting_for.as_ref().map(|w| &w.message)
            ));
            core.status = decision.status;
        }
        self.carry_out(world, &decision.effects, chaos);
    }

    /// Decides, with the planted mistake, and checks it.
    fn decide(&self, world: &mut W) -> Decision {
        let observed = self.gather(world);
        let core = world.core_mut();
        let now = core.time();
        let mut decision = production(Look {
            plan: Ok(&core.plan),
            status: &core.status,
            observed: &observed,
            now,
        });
        self.mistake.err(&mut decision, &observed, &core.plan);
        for broken in invariant::broken(Case {
            plan: Ok(&core.plan),
            before: &core.status,
            observed: &observed,
            now,
            decision: &decision,
        }) {
            core.breaks(broken.name, broken.detail);
        }
        decision
    }

    fn gather(&self, world: &W) -> Observed {
        let core = world.core();
        let Objects {
            mut workload,
            sets,
            traffic,
        } = world.objects();
        self.mistake.mislead(&mut workload);
        Observed {
            config: core.config(),
            generation: 1,
            lifecycle: if core.deleting {
                Lifecycle::Deleting
            } else {
                Lifecycle::Live
            },
            sets,
            workload: Workload::Deployment(workload),
            readings: self.readings.clone(),
            actions: core.actions.clone(),
            group: Group::Alone,
            hold: core.hold,
            traffic,
            acting_since: self.acting_since,
        }
    }

    fn carry_out(&mut self, world: &mut W, effects: &[Effect], chaos: bool) {
        for effect in effects {
            if chaos && world.core_mut().chance(10) {
                world.sync();
            }
            if chaos && world.core_mut().chance(5) {
                world.core_mut().happens("controller of Belay: restarts");
                self.readings.clear();
                self.acting_since = world.core().time();
                return;
            }
            if !world.write(effect) {
                return;
            }
        }
    }

    /// Takes the measurements that are due.
    pub(crate) fn measure(&mut self, world: &mut W) {
        let core = world.core_mut();
        let now = core.time();
        let Some(candidate) = &core.status.candidate else {
            return;
        };
        let index = core.index(&candidate.version.digest);
        let bad = index.is_some_and(|index| core.content(index).bad);
        for measure in self.measures.iter().filter(|measure| measure.due_at <= now) {
            let result = if bad {
                Measured::Fail {
                    value: "9".to_owned(),
                    why: "9 is above 5".to_owned(),
                }
            } else {
                Measured::Pass {
                    value: "1".to_owned(),
                }
            };
            core.happens(&format!("measured: {result:?}"));
            self.readings.push(Reading::new(&measure.gate, now, result));
        }
        self.measures.retain(|measure| measure.due_at > now);
    }

    /// When the shell has something to do even if nothing changes.
    pub(crate) fn next_seconds(&self, world: &W) -> Option<i64> {
        let core = world.core();
        if core.finished {
            return None;
        }
        let now = core.time();
        let due = self.measures.iter().map(|measure| measure.due_at);
        let timers = due.chain(self.wake_at).filter(|at| *at > now);
        let left = timers.min()?.duration_since(now);
        Some(core.seconds + left.as_secs() + i64::from(left.subsec_nanos() > 0))
    }
}
