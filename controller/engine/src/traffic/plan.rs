//! The planner: from where the requests are, to where they are to go, one careful write after the other.
//!
//! A pass makes the writes of one stage only, and goes on when their outcome is seen. To share: the user's Service is pinned to
//! stable, then the pair of Services, then the routes. Away from a version: the Service that home leads to, then the routes; the
//! caller removes pods only when [`Journey::may_lose`] says so. What is at its place is never written.
//!
//! Invariant: every write follows from what is seen and wanted alone. A route that somebody sent home in between is split again, and
//! a Service that lost its pin is pinned again, without anything on record about it.

mod look;
mod writes;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Aim, Seen, Split, Traffic};
use crate::rollout::{Effect, Side};

/// How long a router may take from its word to the deed, beside the drain time. Gateways acknowledge a route when they have read it
/// and apply it later (Traefik by up to two seconds, others as they push it to their proxies), and some routers say nothing at all.
pub const SETTLE: Duration = Duration::from_secs(3);

/// Where the requests are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Goal {
    /// To the stable version alone.
    Stable,
    /// The same, with the pair of Services in place: a router learns of their endpoints before it is sent there.
    Prepared,
    /// To both, like this.
    Shared(Split),
    /// To the candidate alone, and whoever calls the user's Service reaches all pods of the workload.
    Candidate,
    /// To all pods of the workload, by its own Service.
    Workload,
}

impl Goal {
    const fn aim(&self) -> Aim {
        match self {
            Self::Stable => Aim::Stable,
            Self::Prepared | Self::Shared(_) => Aim::Shared,
            Self::Candidate => Aim::Candidate,
            Self::Workload => Aim::Workload,
        }
    }

    /// Without a stable version to lead to, requests go to whatever runs.
    fn possible(&self, hashes: Hashes<'_>) -> Self {
        let Hashes { stable, canary } = hashes;
        let possible = match self {
            Self::Stable => stable.is_some(),
            Self::Candidate => canary.is_some(),
            Self::Shared(_) | Self::Prepared => stable.is_some() && canary.is_some(),
            Self::Workload => true,
        };
        if possible {
            self.clone()
        } else {
            Self::Workload
        }
    }

    /// Whether Belay's pair of Services is needed.
    const fn uses_pair(&self) -> bool {
        !matches!(self, Self::Stable | Self::Workload)
    }

    /// How the routes divide, or `None` for home.
    fn split(&self) -> Option<Split> {
        match self {
            Self::Shared(split) => Some(split.clone().canonical()).filter(Split::reaches_candidate),
            Self::Candidate => Some(Split::share(100)),
            Self::Stable | Self::Prepared | Self::Workload => None,
        }
    }
}

/// What a look is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order<'a> {
    /// Where the requests are to go.
    pub goal: &'a Goal,
    /// The versions.
    pub hashes: Hashes<'a>,
    /// Ready endpoints that the candidate needs before its share is raised.
    pub canary_pods: i32,
    /// Whether this share was reached before: a route that somebody rewrote is mended then without much ado.
    pub reached_before: bool,
    /// How long a router that leads away from a version is waited for at most.
    pub patience: Duration,
}

/// The versions' `pod-template-hash`es.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashes<'a> {
    /// Of the stable version.
    pub stable: Option<&'a str>,
    /// Of the candidate.
    pub canary: Option<&'a str>,
}

/// How far the requests are on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Not there yet, for this reason.
    Moving(String),
    /// Every router has acknowledged it; connections to what was left may last until then.
    Draining(Timestamp),
    /// It is done, or routers that do not answer were given all the time that they may take to lead away from a version.
    Reached,
}

/// What routes give a version, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Given {
    /// The route that gives least.
    pub least: u8,
    /// The route that gives most.
    pub most: u8,
}

impl Given {
    const fn exactly(percent: u8) -> Self {
        Self {
            least: percent,
            most: percent,
        }
    }
}

/// The writes of this pass, and how far things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leg {
    /// In order.
    pub effects: Vec<Effect>,
    /// How far the requests are.
    pub standing: Standing,
    /// What to remember; nothing when nothing of Belay's is left.
    pub memory: Option<Traffic>,
    /// When to look again even if nothing changes.
    pub wake_at: Option<Timestamp>,
}

/// One look at routes and Services that are led.
#[derive(Clone, Copy, Debug)]
pub struct Journey<'a> {
    /// What is remembered.
    pub memory: &'a Traffic,
    /// What is seen.
    pub seen: &'a Seen,
    /// When.
    pub now: Timestamp,
}

impl Journey<'_> {
    /// The writes of this pass toward what is ordered.
    pub fn toward(self, order: Order<'_>) -> Leg {
        let goal = order.goal.possible(order.hashes);
        let mut memory = self.memory.clone();
        if memory.aim != goal.aim() {
            memory.aim = goal.aim();
            memory.aimed_at = self.now;
            memory.reached_at = None;
        }
        let journey = Journey {
            memory: &memory,
            ..self
        };
        let effects = journey.stage(&goal, order);
        let obstacle = journey.obstacle(&goal, order);
        let pending = journey.pending(&effects);
        let leg = Leg {
            effects,
            standing: Standing::Reached,
            memory: Some(memory.clone()),
            wake_at: None,
        };
        if memory.aim == Aim::Shared {
            let pending = pending.filter(|_| !order.reached_before);
            return match obstacle.or(pending) {
                // Nobody gives up here: the caller has a deadline for it.
                Some(why) => Leg {
                    standing: Standing::Moving(why),
                    ..leg
                },
                None => leg,
            };
        }
        let mut leg = journey.leaving(leg, obstacle.or(pending), order.patience);
        if goal == Goal::Workload && leg.standing == Standing::Reached {
            journey.tidy(&mut leg);
        }
        leg
    }

    /// Away from a version: routers must say so, connections must end, and neither may keep Belay waiting for ever.
    fn leaving(self, mut leg: Leg, missing: Option<String>, patience: Duration) -> Leg {
        let mut memory = self.memory.clone();
        let patient_until = after(memory.aimed_at, patience);
        match missing {
            Some(why) if self.now < patient_until => {
                // What was left once must be left again: its time to drain begins anew.
                if !leg.effects.is_empty() {
                    memory.reached_at = None;
                }
                leg.standing = Standing::Moving(why);
                leg.wake_at = Some(patient_until);
            }
            _ => {
                memory.reached_at.get_or_insert(self.now);
                if let Some(until) = Self::quiet_until(&memory).filter(|until| self.now < *until) {
                    leg.standing = Standing::Draining(until);
                    leg.wake_at = Some(until);
                }
            }
        }
        leg.memory = Some(memory);
        leg
    }

    /// Takes the pair away when nothing has led to it for long enough, and forgets the journey when it is gone.
    fn tidy(&self, leg: &mut Leg) {
        let Some(memory) = &leg.memory else { return };
        let services = &self.seen.services;
        if services.stable.is_none() && services.canary.is_none() {
            if leg.effects.is_empty() {
                leg.memory = None;
            }
            return;
        }
        let sides = [
            (Side::Stable, &services.stable),
            (Side::Canary, &services.canary),
        ];
        for (side, seen) in sides {
            if seen.is_some() {
                leg.effects.push(Effect::RemoveService {
                    service: memory.service.clone(),
                    side,
                });
            }
        }
    }

    /// When connections to what was left have had their time to end.
    fn quiet_until(memory: &Traffic) -> Option<Timestamp> {
        let length = memory.drain().saturating_add(SETTLE);
        memory.reached_at.map(|reached| after(reached, length))
    }
}

fn after(start: Timestamp, length: Duration) -> Timestamp {
    SignedDuration::try_from(length)
        .ok()
        .and_then(|length| start.checked_add(length).ok())
        .unwrap_or(Timestamp::MAX)
}
