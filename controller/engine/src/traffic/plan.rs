//! The planner: from where the requests are, to where they are to go, one careful write after the other.
//!
//! A pass makes the writes of one stage only, and goes on when their outcome is seen. To share: the user's Service is pinned to
//! stable, then the pair of Services, then the routes. Away from a version: the Service that home leads to, then the routes; the
//! caller removes pods only when [`Journey::may_lose`] says so. What is at its place is never written.
//!
//! Invariant: every write follows from what is seen and wanted alone. A route that somebody sent home in between is split again, and
//! a Service that lost its pin is pinned again, without anything on record about it.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{
    Acknowledgement, Aim, Backend, RouteSeen, RouteState, Seen, Split, Traffic, UserService,
};
use crate::rollout::{Effect, Side};

/// How long a router that never says when it is done is given, beside the drain time.
pub const SETTLE: Duration = Duration::from_secs(2);

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

    /// How the routes divide, or `None` for home.
    fn split(&self) -> Option<Split> {
        match self {
            Self::Shared(split) => {
                Some(split.clone().canonical()).filter(Split::reaches_candidate)
            }
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

impl<'a> Journey<'a> {
    /// The writes of this pass toward what is ordered.
    pub fn toward(self, order: Order<'_>) -> Leg {
        let goal = self.possible(order.goal, order.hashes);
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
                if let Some(until) = self.quiet_until(&memory).filter(|until| self.now < *until) {
                    leg.standing = Standing::Draining(until);
                    leg.wake_at = Some(until);
                }
            }
        }
        leg.memory = Some(memory);
        leg
    }

    /// Without a stable version to lead to, requests go to whatever runs.
    fn possible(self, goal: &Goal, hashes: Hashes<'_>) -> Goal {
        match goal {
            Goal::Stable if hashes.stable.is_none() => Goal::Workload,
            Goal::Candidate if hashes.canary.is_none() => Goal::Workload,
            Goal::Shared(_) | Goal::Prepared
                if hashes.stable.is_none() || hashes.canary.is_none() =>
            {
                Goal::Workload
            }
            _ => goal.clone(),
        }
    }

    /// The writes that may be made now.
    fn stage(&self, goal: &Goal, order: Order<'_>) -> Vec<Effect> {
        let (hashes, canary_pods) = (order.hashes, order.canary_pods);
        // The pair must not be turned to other pods while requests come by it.
        if self.leads_elsewhere(hashes.canary) && self.uses_pair(goal) {
            return match self.pin(hashes.stable) {
                Some(pin) => vec![pin],
                None => self.routes_to(None),
            };
        }
        let mut services = self.pair(goal, hashes);
        let switches = self.switches(goal);
        if !switches || self.unready(goal, canary_pods).is_none() {
            services.extend(self.pin(self.pinned_to(goal, hashes)));
        }
        if !services.is_empty() {
            return services;
        }
        let split = goal.split();
        if split.is_some() && self.unready(goal, canary_pods).is_some() {
            return Vec::new();
        }
        self.routes_to(split.as_ref())
    }

    const fn uses_pair(&self, goal: &Goal) -> bool {
        !matches!(goal, Goal::Stable | Goal::Workload)
    }

    /// Whether the goal is to switch the user's Service itself to the candidate.
    fn switches(&self, goal: &Goal) -> bool {
        self.memory.routes.is_empty() && goal.split().is_some()
    }

    /// Why requests can't be led to the candidate yet.
    fn unready(&self, goal: &Goal, canary_pods: i32) -> Option<String> {
        let split = goal.split()?;
        let services = &self.seen.services;
        let ready = |backend: &Option<Backend>| {
            backend.as_ref().map_or(0, |backend| backend.ready_endpoints)
        };
        let service = &self.memory.service;
        if ready(&services.canary) < canary_pods {
            return Some(format!(
                "Service {service}-canary must have {canary_pods} ready endpoint(s)"
            ));
        }
        let stable_serves = split.canary_percent < 100 && !self.memory.routes.is_empty();
        (stable_serves && ready(&services.stable) < 1)
            .then(|| format!("Service {service}-stable must have ready endpoints"))
    }

    /// The version that the user's Service is to select.
    fn pinned_to<'h>(&self, goal: &Goal, hashes: Hashes<'h>) -> Option<&'h str> {
        let switched = self.memory.routes.is_empty();
        match goal {
            Goal::Stable | Goal::Prepared => hashes.stable,
            Goal::Shared(split) if switched && split.canary_percent == 100 => hashes.canary,
            Goal::Shared(_) => hashes.stable,
            Goal::Candidate if switched => hashes.canary,
            Goal::Candidate | Goal::Workload => None,
        }
    }

    /// The write that makes the user's Service select this version, or all, if it does not.
    fn pin(&self, wanted: Option<&str>) -> Option<Effect> {
        let service = self.memory.service.clone();
        match (&self.seen.services.user, wanted) {
            (UserService::Missing | UserService::Refused(_), _) | (UserService::Open, None) => None,
            (UserService::Pinned(hash), Some(wanted)) if hash == wanted => None,
            (UserService::Open | UserService::Pinned(_), Some(wanted)) => Some(Effect::PinService {
                service,
                hash: wanted.to_owned(),
            }),
            (UserService::Pinned(_), None) => Some(Effect::UnpinService { service }),
        }
    }

    /// The writes that make the pair of Services what the goal needs.
    fn pair(&self, goal: &Goal, hashes: Hashes<'_>) -> Vec<Effect> {
        let switched = self.memory.routes.is_empty();
        let (stable, canary) = match goal {
            Goal::Shared(_) | Goal::Prepared if switched => (None, hashes.canary),
            Goal::Shared(_) | Goal::Prepared => (hashes.stable, hashes.canary),
            Goal::Candidate => (None, hashes.canary),
            Goal::Stable | Goal::Workload => (None, None),
        };
        let seen = &self.seen.services;
        [
            (Side::Stable, stable, &seen.stable),
            (Side::Canary, canary, &seen.canary),
        ]
        .into_iter()
        .filter_map(|(side, wanted, seen)| {
            let hash = wanted.filter(|wanted| {
                let is_so = |seen: &Backend| seen.hash == *wanted && seen.is_current;
                !seen.as_ref().is_some_and(is_so)
            })?;
            Some(Effect::EnsureService {
                service: self.memory.service.clone(),
                side,
                hash: hash.to_owned(),
            })
        })
        .collect()
    }

    /// The writes that make the routes divide like this, or lead home.
    fn routes_to(&self, wanted: Option<&Split>) -> Vec<Effect> {
        self.routes()
            .filter(|route| !is_at(route, wanted))
            .filter_map(|route| {
                let (id, service) = (route.id.clone(), self.memory.service.clone());
                let resource_version = route.resource_version.clone();
                match (&route.state, wanted) {
                    (RouteState::Missing | RouteState::Refused(_), _) => None,
                    (_, Some(split)) => Some(Effect::SetRoute {
                        id,
                        service,
                        split: split.clone(),
                        resource_version,
                    }),
                    (_, None) => Some(Effect::SendRouteHome {
                        id,
                        service,
                        resource_version,
                    }),
                }
            })
            .collect()
    }

    /// What the user must mend, or pods must become, before the goal can be reached.
    fn obstacle(&self, goal: &Goal, order: Order<'_>) -> Option<String> {
        if !self.uses_pair(goal) {
            return None;
        }
        let service = &self.memory.service;
        match &self.seen.services.user {
            UserService::Refused(why) => return Some(why.clone()),
            UserService::Missing => {
                return Some(format!(
                    "Service {service} does not exist; create it, or correct spec.traffic.service"
                ));
            }
            UserService::Open | UserService::Pinned(_) => {}
        }
        for route in self.routes() {
            let (kind, name) = (route.id.kind.as_str(), &route.id.name);
            match &route.state {
                RouteState::Missing => {
                    return Some(format!(
                        "{kind} {name} does not exist; create it, or correct spec.traffic.routes"
                    ));
                }
                RouteState::Refused(why) => {
                    return Some(format!("{kind} {name} can't be led: {why}"));
                }
                RouteState::Home | RouteState::Split(_) | RouteState::Mixed => {}
            }
        }
        self.unready(goal, order.canary_pods)
            .filter(|_| !self.in_place(goal, goal.split().as_ref()))
    }

    /// What is under way.
    fn pending(&self, effects: &[Effect]) -> Option<String> {
        if !effects.is_empty() {
            return Some("routes and Services are being written".to_owned());
        }
        let unread = self
            .memory
            .routes
            .iter()
            .find(|led| !self.seen.routes.iter().any(|route| route.id == **led));
        match unread {
            Some(led) => Some(format!("{} {} is not read yet", led.kind.as_str(), led.name)),
            None => self.unacknowledged(),
        }
    }

    /// Whether every router does what its route says.
    pub fn acknowledged(&self) -> bool {
        self.unacknowledged().is_none()
    }

    /// A route whose router does not do yet what its object says.
    fn unacknowledged(&self) -> Option<String> {
        self.routes()
            .filter(|route| !is_nowhere(route))
            .find_map(|route| match &route.acknowledged {
                Acknowledgement::Waiting(why) => Some(format!(
                    "the router of {} {} must acknowledge its new state: {why}",
                    route.id.kind.as_str(),
                    route.id.name,
                )),
                Acknowledgement::Given | Acknowledgement::NeverGiven => None,
            })
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
    fn quiet_until(&self, memory: &Traffic) -> Option<Timestamp> {
        let silent = self
            .routes()
            .any(|route| route.acknowledged == Acknowledgement::NeverGiven);
        let switched = memory.routes.is_empty();
        let settle = if silent || switched { SETTLE } else { Duration::ZERO };
        let length = memory.drain().saturating_add(settle);
        memory.reached_at.map(|reached| after(reached, length))
    }

    /// Whether pods with this hash may be taken away: no request comes to them by Belay's doing, and connections have ended. If
    /// not, when to look again, if time alone can change it.
    pub fn may_lose(&self, hash: &str) -> Result<(), Option<Timestamp>> {
        if !self.serves(hash) {
            return Ok(());
        }
        let left = matches!(self.memory.aim, Aim::Stable | Aim::Workload);
        match self.quiet_until(self.memory).filter(|_| left) {
            Some(until) if self.now >= until => Ok(()),
            until => Err(until),
        }
    }

    /// Whether requests come, or came lately, to the pods with this hash by one of the Services.
    fn serves(&self, hash: &str) -> bool {
        let services = &self.seen.services;
        let pinned = matches!(&services.user, UserService::Pinned(pinned) if pinned == hash);
        pinned || self.pair_leads_to() == Some(hash)
    }

    /// Whether routes lead to a candidate other than this one.
    fn leads_elsewhere(&self, canary: Option<&str>) -> bool {
        let pair = self.pair_leads_to();
        pair.is_some() && pair != canary && self.routes().any(|route| !is_at(route, None))
    }

    /// The version that `<service>-canary` leads to.
    fn pair_leads_to(&self) -> Option<&'a str> {
        let canary = self.seen.services.canary.as_ref();
        canary.map(|backend| backend.hash.as_str())
    }

    /// Share in percent that the routes give to the pods with this hash now: the least and the most, a cohort or a copy counting as
    /// one percent.
    pub fn percent_to(&self, hash: &str) -> Given {
        let switched = self.memory.routes.is_empty();
        if switched {
            let user = &self.seen.services.user;
            let all = matches!(user, UserService::Pinned(pinned) if pinned == hash);
            return Given::exactly(if all { 100 } else { 0 });
        }
        if self.pair_leads_to() != Some(hash) {
            return Given::exactly(0);
        }
        let shares = || {
            self.routes().filter_map(|route| match &route.state {
                RouteState::Split(split) => {
                    Some(split.canary_percent.max(u8::from(split.reaches_candidate())))
                }
                // It may be anything.
                RouteState::Mixed => Some(100),
                RouteState::Home => Some(0),
                RouteState::Missing | RouteState::Refused(_) => None,
            })
        };
        Given {
            least: shares().min().unwrap_or(0),
            most: shares().max().unwrap_or(0),
        }
    }

    /// Whether requests are divided like this now.
    pub fn divides_like(&self, split: &Split) -> bool {
        let goal = Goal::Shared(split.clone());
        match goal.split() {
            Some(wanted) => self.in_place(&goal, Some(&wanted)),
            None => self.routes().all(|route| is_at(route, None)),
        }
    }

    /// Whether the candidate has its share already, so that fewer ready pods don't keep it from having it.
    fn in_place(&self, goal: &Goal, wanted: Option<&Split>) -> bool {
        // The Service itself is switched: a pin that is still to be written is among the effects.
        self.switches(goal) && self.pair_leads_to().is_some_and(|canary| {
            matches!(&self.seen.services.user, UserService::Pinned(pinned) if pinned == canary)
        }) || !self.memory.routes.is_empty() && self.routes().all(|route| is_at(route, wanted))
    }

    fn routes(&self) -> impl Iterator<Item = &'a RouteSeen> {
        let led = &self.memory.routes;
        self.seen.routes.iter().filter(|route| led.contains(&route.id))
    }
}

/// Whether the route divides like this, or leads home.
fn is_at(route: &RouteSeen, wanted: Option<&Split>) -> bool {
    match (&route.state, wanted) {
        (RouteState::Split(split), Some(wanted)) => split == wanted,
        (RouteState::Home, None) => true,
        (_, None) => is_nowhere(route),
        _ => false,
    }
}

/// Whether nothing of Belay's is or can be in it.
const fn is_nowhere(route: &RouteSeen) -> bool {
    matches!(route.state, RouteState::Missing | RouteState::Refused(_))
}

fn after(start: Timestamp, length: Duration) -> Timestamp {
    SignedDuration::try_from(length)
        .ok()
        .and_then(|length| start.checked_add(length).ok())
        .unwrap_or(Timestamp::MAX)
}
