//! One route, its router and the Services, for a workload in which two versions share the places.
//!
//! The router acknowledges what it has read, applies it a moment later, and may hang. What it really does is what counts.

use std::collections::BTreeMap;

use belay_engine::{
    rollout::{Effect, Side, status::Phase},
    traffic::{
        Acknowledgement, RouteId, RouteSeen, RouteState, RouterKind, Seen, Traffic, plan::SETTLE,
    },
};

use super::cluster::Cluster;
use crate::services::{Services, asked_of_route, reaches};

/// The route, and what leads where.
#[derive(Clone, Debug)]
pub(super) struct Roads {
    version: u64,
    state: RouteState,
    is_read: bool,
    applied: RouteState,
    read_at: i64,
    due_at: i64,
    /// Where Services lead: to pods of a revision.
    services: Services<String>,
    /// When requests last came to pods of this revision by the route.
    led_at: BTreeMap<String, i64>,
    stuck: bool,
    /// Belay's patience with the router was over, and nothing new was asked of it since.
    given_up: bool,
}

pub(super) fn route_id() -> RouteId {
    RouteId {
        kind: RouterKind::HttpRoute,
        name: "db".to_owned(),
    }
}

/// The name of a revision.
pub(super) fn revision(content: usize) -> String {
    format!("db-rev{content}")
}

impl Roads {
    pub(super) fn new() -> Self {
        Self {
            version: 1,
            state: RouteState::Home,
            is_read: true,
            applied: RouteState::Home,
            read_at: 0,
            due_at: 0,
            services: Services::default(),
            led_at: BTreeMap::new(),
            stuck: false,
            given_up: false,
        }
    }

    pub(super) fn next_due(&self, now: i64) -> Option<i64> {
        let reads = (!self.is_read && !self.stuck).then_some(self.read_at);
        let applies = (self.is_read && self.applied != self.state).then_some(self.due_at);
        [reads, applies]
            .into_iter()
            .flatten()
            .filter(|at| *at > now)
            .min()
    }

    pub(super) fn leftover(&self) -> Option<String> {
        let clean = self.state == RouteState::Home
            && self.services.pin.is_none()
            && self.services.is_unpaired();
        (!clean).then(|| format!("{self:?} is left"))
    }

    /// The revision that the router sends requests to beside the stable one.
    fn leads_to(&self) -> Option<&String> {
        self.services
            .canary
            .as_ref()
            .filter(|_| reaches(&self.applied))
    }
}

impl Cluster {
    pub(super) fn seen_traffic(&self) -> Seen {
        let roads = &self.roads;
        Seen {
            routes: vec![RouteSeen {
                id: route_id(),
                resource_version: roads.version.to_string(),
                state: roads.state.clone(),
                acknowledged: if roads.is_read {
                    Acknowledgement::Given
                } else {
                    Acknowledgement::Waiting("it is being programmed".to_owned())
                },
            }],
            services: roads
                .services
                .seen(|hash| (hash.clone(), self.endpoints(hash))),
        }
    }

    fn endpoints(&self, hash: &str) -> i32 {
        let ready = self
            .pods
            .values()
            .filter(|pod| revision(pod.content) == hash && self.core.serves(pod));
        i32::try_from(ready.count()).unwrap_or(i32::MAX)
    }

    /// The router goes on.
    pub(super) fn take_up(&mut self) {
        let now = self.core.seconds;
        let roads = &mut self.roads;
        let led = roads.leads_to().cloned();
        let before = (roads.is_read, roads.applied.clone());
        roads.is_read |= roads.read_at <= now && !roads.stuck;
        if roads.is_read && roads.due_at <= now {
            roads.applied = roads.state.clone();
            roads.given_up = false;
        }
        let until = if reaches(&roads.applied) {
            now
        } else {
            roads.due_at.min(now)
        };
        if let Some(hash) = roads.leads_to().cloned().or(led) {
            let known = roads.led_at.entry(hash).or_insert(until);
            *known = until.max(*known);
        }
        if before != (roads.is_read, roads.applied.clone()) {
            let line = format!("router: read {}, does {:?}", roads.is_read, roads.applied);
            self.core.happens(&line);
        }
    }

    fn write_route(&mut self, state: RouteState) {
        self.take_up();
        if self.roads.state == state {
            return;
        }
        let settle = i64::try_from(SETTLE.as_secs()).unwrap_or(0);
        self.roads.read_at = self.core.seconds + self.core.rng.i64(0..3);
        self.roads.due_at = self.roads.read_at + self.core.rng.i64(0..=settle);
        self.roads.version += 1;
        self.roads.is_read = false;
        self.core.happens(&format!("route: {state:?}"));
        self.roads.state = state;
    }

    /// The API server's side of a write; says whether its precondition held. `None` if the effect is not about traffic.
    pub(super) fn write_traffic(&mut self, effect: &Effect) -> Option<bool> {
        self.take_up();
        match effect {
            Effect::EnsureService { side, hash, .. } => {
                let turned = self.roads.leads_to().filter(|led| *led != hash).cloned();
                if let (Side::Canary, Some(led), false) = (side, turned, self.excused()) {
                    let detail = format!("turned from {led} to {hash} under requests");
                    self.core.breaks("no_empty_destination", detail);
                }
            }
            Effect::RemoveService { side, .. } => {
                self.roads.given_up = self.excused();
                if matches!(self.roads.applied, RouteState::Split(_)) && !self.excused() {
                    let detail = format!("{side:?} is removed while the router leads to the pair");
                    self.core.breaks("no_empty_destination", detail);
                }
            }
            _ => {}
        }
        if let Some((_, version, state)) = asked_of_route(effect) {
            if self.roads.version.to_string() != version {
                return Some(false);
            }
            self.write_route(state);
        } else if !self.roads.services.write(effect, str::to_owned) {
            return None;
        }
        self.core.happens(&format!("Belay: {effect:?}"));
        Some(true)
    }

    /// A GitOps tool or a person writes the route or the Service, or hangs the router.
    pub(super) fn disturb_traffic(&mut self) {
        match self.core.rng.u8(0..4) {
            0 | 1 => self.write_route(RouteState::Home),
            2 => {
                self.roads.services.pin = None;
                self.core.happens("somebody replaces the user's Service");
            }
            _ => {
                self.roads.stuck = !self.roads.stuck;
                self.core.happens("the router hangs, or works again");
            }
        }
    }

    pub(super) fn mend_traffic(&mut self) {
        self.roads.stuck = false;
    }

    /// Whether Belay may act without the router's word: its patience is over.
    fn excused(&self) -> bool {
        let patience = self.core.plan.progress_deadline.as_secs().min(60);
        let waits = |traffic: &Traffic| {
            let waited = self.core.time().duration_since(traffic.aimed_at).as_secs();
            waited >= i64::try_from(patience).unwrap_or(0)
        };
        self.roads.given_up || self.core.status.traffic.as_ref().is_some_and(waits)
    }

    /// Belay is about to delete a pod that serves: no request comes to its version any more and connections have ended, or, in
    /// mid-canary, others of it serve.
    pub(super) fn check_served(&mut self, uid: &str) {
        self.take_up();
        let pod = self.pods.values().find(|pod| pod.uid.to_string() == uid);
        let Some(pod) = pod.filter(|pod| self.core.serves(pod)) else {
            return;
        };
        let hash = revision(pod.content);
        let Some(traffic) = self.core.status.traffic.clone().filter(|_| !self.excused()) else {
            return;
        };
        let led = self.roads.leads_to() == Some(&hash);
        if self.core.status.phase == Phase::Progressing {
            if led && self.endpoints(&hash) < 2 {
                let detail = format!("the last serving pod of {hash} is deleted");
                self.core.breaks("no_empty_destination", detail);
            }
            return;
        }
        if led {
            let detail = format!("a pod of {hash} is deleted while the router leads to it");
            return self.core.breaks("pods_go_after_the_routes", detail);
        }
        let drain = i64::from(traffic.drain_seconds);
        if let Some(at) = self.roads.led_at.get(&hash)
            && self.core.seconds < at + drain
        {
            let detail = format!(
                "a pod of {hash} is deleted {} s after",
                self.core.seconds - at
            );
            self.core.breaks("connections_may_end", detail);
        }
    }

    /// Belay is about to let the workload roll to `content`: the router leads to neither of the pair, if other pods are left.
    pub(super) fn check_rolls(&mut self, content: usize) {
        self.take_up();
        let others = self.pods.values().any(|pod| pod.content != content);
        let by_pair = matches!(self.roads.applied, RouteState::Split(_));
        let led = self.core.status.traffic.is_some() && !self.excused();
        if others && by_pair && led && self.core.spec.partition > 0 {
            let detail = format!("it rolls to {content} while the router leads to the pair");
            self.core.breaks("no_empty_destination", detail);
        }
    }

    /// Nobody has anything to do before time goes on: no share is left with a version that has no serving pod.
    pub(super) fn check_shares(&mut self) {
        let led = self
            .roads
            .services
            .canary
            .clone()
            .filter(|_| reaches(&self.roads.state));
        if let Some(hash) = led.filter(|hash| self.endpoints(hash) == 0) {
            let detail = format!("{:?} goes to {hash}, without pods", self.roads.state);
            self.core.breaks("no_empty_destination", detail);
        }
    }
}
