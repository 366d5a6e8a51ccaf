//! The shell around `decide`: gathers, decides, writes the status, carries the effects out, measures, and may die anywhere.

use belay_engine::{
    digest::Digest,
    gate::{Reading, Result as Measured},
    invariant::{self, Case},
    rollout::{
        Decision, Effect, Measure, Observed, RolloutStatus,
        observed::{Config, Lifecycle, Workload},
        status::Phase,
    },
};
use jiff::Timestamp;

use crate::{
    Decide, Look,
    ledgers::{self, Ledgers},
    traffic::named,
    view::View,
    world::{Quality, World, at},
};

/// A measurement and the candidate that it was begun for.
struct Bound {
    candidate: (Digest, Timestamp),
    reading: Reading,
}

pub(crate) struct Shell {
    decide: Decide,
    pub(crate) view: View,
    readings: Vec<Bound>,
    measures: Vec<Measure>,
    ledgers: Ledgers,
    acting_since: Timestamp,
    /// What the controller's clock is ahead of the true time.
    pub(crate) ahead_ms: i64,
    pub(crate) wake_at: Option<Timestamp>,
    /// Whether something arrived, or failed, since the last pass.
    pub(crate) dirty: bool,
    pub(crate) passes: u32,
}

/// What became of one write.
enum Written {
    Done,
    Failed,
}

impl Shell {
    pub(crate) fn new(decide: Decide, world: &World) -> Self {
        Self {
            decide,
            view: View::new(world),
            readings: Vec::new(),
            measures: Vec::new(),
            ledgers: Ledgers::default(),
            acting_since: world.time(),
            ahead_ms: 0,
            wake_at: None,
            dirty: true,
            passes: 0,
        }
    }

    pub(crate) fn now(&self, world: &World) -> Timestamp {
        at(world.clock_ms + self.ahead_ms)
    }

    /// The process dies and another takes over: memory is lost, and what is seen may be as old as before.
    pub(crate) fn restart(&mut self, world: &mut World) {
        world.tell(|_| "controller: restarts".to_owned());
        self.readings.clear();
        self.measures.clear();
        self.ledgers = Ledgers::default();
        self.wake_at = None;
        self.dirty = true;
        self.view.arrive(world, 70);
        self.view.read_rollout(world);
        self.view.read_traffic(world);
        self.acting_since = self.now(world);
    }

    /// One pass. Between any two of its writes the world may move on, and the process may die.
    pub(crate) fn pass(&mut self, world: &mut World, chaos: bool) {
        if world.rollout.finished {
            return;
        }
        self.passes += 1;
        self.dirty = false;
        let now = self.now(world);
        // Readings from a clock that has been set back since are of no use.
        self.readings.retain(|bound| bound.reading.at <= now);
        let observed = self.gather(world);
        let plan = self.view.plan.clone();
        let plan = plan.as_ref().map_err(String::as_str);
        let decision = (self.decide)(Look {
            plan,
            status: &self.view.status,
            observed: &observed,
            now,
        });
        self.wake_at = decision.wake_at;
        self.measures.clone_from(&decision.measures);
        world.tell(|_| tale(&self.view.status, &decision));
        self.check(world, &observed, now, &decision);
        if decision.status != self.view.status {
            if chaos {
                world.stir();
            }
            if let Written::Failed = self.write_status(world, &decision.status, chaos) {
                // What the status is now must be read before anything is decided on it.
                self.view.read_rollout(world);
                self.dirty = true;
                return;
            }
        }
        for effect in &decision.effects {
            if chaos {
                world.stir();
                if world.chance(3) {
                    return self.restart(world);
                }
            }
            let failed = chaos && world.chance(5);
            let unseen = failed && world.chance(50);
            let written = !failed || unseen;
            let result = if written { world.write(effect) } else { Ok(()) };
            if leads(effect) {
                self.view.read_traffic(world);
                self.dirty = true;
            }
            world.tell(|_| {
                format!(
                    "effect: {effect:?} -> {result:?}{}",
                    if failed { ", answer lost" } else { "" }
                )
            });
            if failed || result.is_err() {
                self.dirty = true;
                return;
            }
            if world.chance(50) {
                self.dirty |= self.view.arrive(world, 60);
            }
        }
    }

    fn gather(&self, world: &World) -> Observed {
        let candidate = self.view.status.candidate.as_ref();
        let key = candidate.map(|c| (&c.version.digest, c.started_at));
        Observed {
            generation: 1,
            lifecycle: if self.view.deleting {
                Lifecycle::Deleting
            } else {
                Lifecycle::Live
            },
            workload: self
                .view
                .deployment
                .clone()
                .map_or(Workload::Missing, Workload::Deployment),
            sets: self.view.sets.values().cloned().collect(),
            readings: self
                .readings
                .iter()
                .filter(|bound| key == Some((&bound.candidate.0, bound.candidate.1)))
                .map(|bound| bound.reading.clone())
                .collect(),
            actions: self.view.actions.values().cloned().collect(),
            group: world.group.clone(),
            hold: world.hold,
            config: self
                .view
                .config
                .map_or(Config::AsIs, |live| live.seen(world.hold)),
            traffic: named(
                &self.view.traffic,
                self.view.plan.as_ref().ok(),
                self.view
                    .status
                    .traffic
                    .as_ref()
                    .map_or(&[], |traffic| &traffic.routes),
            ),
            acting_since: self.acting_since,
        }
    }

    fn check(&self, world: &mut World, observed: &Observed, now: Timestamp, decision: &Decision) {
        let plan = self.view.plan.clone();
        let plan = plan.as_ref().map_err(String::as_str);
        let before = &self.view.status;
        for broken in invariant::broken(Case {
            plan,
            before,
            observed,
            now,
            decision,
        }) {
            world.breaks(broken.name, broken.detail);
        }
        if world.chance(20) {
            let again = (self.decide)(Look {
                plan,
                status: &decision.status,
                observed,
                now,
            });
            if again.status != decision.status {
                world.breaks(
                    "fixed_point",
                    format!("{:?}\nbecame {:?}", decision.status, again.status),
                );
            }
        }
    }

    fn write_status(&mut self, world: &mut World, next: &RolloutStatus, chaos: bool) -> Written {
        if self.view.version != world.rollout.version {
            return Written::Failed;
        }
        let failed = chaos && world.chance(5);
        if failed && world.chance(50) {
            return Written::Failed;
        }
        world.check_status(next);
        world.rollout.version += 1;
        world.rollout.status = next.clone();
        if failed {
            // Written, but the answer was lost.
            return Written::Failed;
        }
        self.view.version = world.rollout.version;
        self.view.status = next.clone();
        Written::Done
    }

    /// Takes the measurements that are due.
    pub(crate) fn measure(&mut self, world: &mut World, chaos: bool) -> bool {
        let now = self.now(world);
        let Some(candidate) = &self.view.status.candidate else {
            return false;
        };
        let key = (candidate.version.digest.clone(), candidate.started_at);
        let due: Vec<String> = self
            .measures
            .iter()
            .filter(|measure| measure.due_at <= now)
            .map(|measure| measure.gate.clone())
            .collect();
        self.measures.retain(|measure| measure.due_at > now);
        for gate in &due {
            let result = if self.compares(gate) {
                let from = self.ledgers.advance(&key, gate, &self.view.status, now);
                ledgers::counted(world, &key.0, gate, (from, now), chaos)
            } else {
                result(world, &key.0, gate, chaos)
            };
            if let Measured::NoData { .. } | Measured::Error { .. } | Measured::Unchanged = result {
                // Prometheus keeps the counters: the next tick spans the gap.
                self.ledgers.stay(gate);
            }
            world.tell(|_| format!("measured: {gate}: {result:?}"));
            let reading = Reading::new(gate, now, result);
            self.readings.push(Bound {
                candidate: key.clone(),
                reading,
            });
            self.dirty = true;
        }
        if self.readings.len() > 60 {
            self.readings.drain(..20);
        }
        !due.is_empty()
    }

    fn compares(&self, gate: &str) -> bool {
        let Ok(plan) = &self.view.plan else {
            return false;
        };
        let own = plan.steps.iter().flat_map(|step| &step.gates);
        let mut gates = plan.gates.iter().chain(own);
        gates.any(|policy| policy.name == gate && policy.method.comparison().is_some())
    }

    /// When the shell has something to do even if nothing arrives, in true milliseconds.
    pub(crate) fn next_timer_ms(&self) -> Option<i64> {
        let due = self.measures.iter().map(|measure| measure.due_at);
        let timers = due.chain(self.wake_at);
        // Rounded up, so that the timer has passed when its millisecond has come.
        timers.min().map(|timer| {
            let ms = timer.duration_since(at(0)).as_millis() + 1;
            i64::try_from(ms).unwrap_or(i64::MAX) - self.ahead_ms
        })
    }
}

/// Whether an effect is about routes and Services.
const fn leads(effect: &Effect) -> bool {
    matches!(
        effect,
        Effect::EnsureService { .. }
            | Effect::RemoveService { .. }
            | Effect::PinService { .. }
            | Effect::UnpinService { .. }
            | Effect::SetRoute { .. }
            | Effect::SendRouteHome { .. }
    )
}

fn result(world: &mut World, digest: &Digest, gate: &str, chaos: bool) -> Measured {
    if let Some(unknown) = unknown(world, chaos) {
        return unknown;
    }
    if is_bad(world, digest, gate) {
        Measured::Fail {
            value: "9".to_owned(),
            why: "9 is above 5".to_owned(),
        }
    } else {
        Measured::Pass {
            value: "1".to_owned(),
        }
    }
}

/// What the provider says when it says nothing.
pub(crate) fn unknown(world: &mut World, chaos: bool) -> Option<Measured> {
    if !world.prometheus_up {
        return Some(Measured::Error {
            why: "connection refused".to_owned(),
        });
    }
    (chaos && world.chance(10)).then(|| Measured::NoData {
        why: "empty".to_owned(),
    })
}

/// Whether this content, as it stands now, does badly.
pub(crate) fn is_bad(world: &World, digest: &Digest, gate: &str) -> bool {
    let quality = world
        .content_of(digest)
        .and_then(|index| world.contents.get(index))
        .map_or(Quality::Good, |content| content.quality);
    match quality {
        Quality::Good => gate == "trial",
        Quality::Bad => true,
        Quality::BadWhenPromoted => {
            matches!(world.rollout.status.phase, Phase::Promoting | Phase::Baking)
        }
    }
}

fn tale(before: &RolloutStatus, decision: &Decision) -> String {
    let after = &decision.status;
    let events: Vec<&str> = decision
        .events
        .iter()
        .map(|event| event.message.as_str())
        .collect();
    format!(
        "decided: {:?} -> {:?} step {:?} waits for {:?} effects {:?} events {events:?}",
        before.phase,
        after.phase,
        after.step_text,
        after.waiting_for.as_ref().map(|waiting| &waiting.message),
        decision.effects,
    )
}
