//! Routes, Services and routers: what stands in the objects, what the routers really do, and what people and GitOps tools do to both.
//!
//! A router takes a change up late. Some acknowledge it when they have read it, which is before they apply it; some never say anything,
//! and in chaos one may hang before it reads.

use std::collections::BTreeMap;

use belay_engine::{
    rollout::{
        Effect, Side,
        plan::{Plan, Routing},
    },
    traffic::{
        Acknowledgement, RouteId, RouteSeen, RouteState, RouterKind, Seen, ServicesSeen,
        plan::SETTLE,
    },
};

use crate::{
    api::Refusal,
    services::{Services, asked_of_route, reaches},
    world::World,
};

/// One route and its router.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    pub(crate) version: u64,
    pub(crate) state: RouteState,
    /// Whether its router has read the newest state, and acknowledged it if it speaks.
    is_read: bool,
    /// What its router does.
    applied: RouteState,
    /// When the router reads the newest state.
    read_ms: i64,
    /// When the router applies the newest state.
    due_ms: i64,
    /// Whether the router ever says what it does.
    speaks: bool,
}

/// One of Belay's Services.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pair {
    hash: String,
    ready_endpoints: i32,
}

/// Everything that leads requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Roads {
    pub(crate) routes: BTreeMap<RouteId, Route>,
    services: Services<Pair>,
    /// When requests last came to pods with this hash by Belay's doing.
    led_at_ms: BTreeMap<String, i64>,
    /// Whether routers that would say so hang. Of one that never says anything nobody could know.
    pub(crate) stuck: bool,
}

/// Names of the routes that there are.
pub(crate) fn route_ids() -> [RouteId; 2] {
    [
        ("web", RouterKind::HttpRoute),
        ("mesh", RouterKind::VirtualService),
    ]
    .map(|(name, kind)| RouteId {
        kind,
        name: name.to_owned(),
    })
}

impl Roads {
    pub(crate) fn new() -> Self {
        let routes = route_ids().map(|id| {
            let speaks = id.kind == RouterKind::HttpRoute;
            let route = Route {
                version: 1,
                state: RouteState::Home,
                is_read: true,
                applied: RouteState::Home,
                read_ms: 0,
                due_ms: 0,
                speaks,
            };
            (id, route)
        });
        Self {
            routes: BTreeMap::from(routes),
            ..Self::default()
        }
    }

    /// Everything as it is now.
    pub(crate) fn seen(&self) -> Seen {
        let routes = self.routes.iter().map(|(id, route)| route.seen(id));
        Seen {
            routes: routes.collect(),
            services: self.seen_services(),
        }
    }

    fn seen_services(&self) -> ServicesSeen {
        self.services
            .seen(|pair| (pair.hash.clone(), pair.ready_endpoints))
    }

    /// Whether some router sends requests to pods with this hash by Belay's doing, and to those of stable by its pair.
    fn leads_to_canary(&self, hash: &str) -> bool {
        let paired = self
            .services
            .canary
            .as_ref()
            .is_some_and(|pair| pair.hash == hash);
        let applied = self.routes.values().any(|route| reaches(&route.applied));
        paired && applied
    }

    fn leads_to_stable_pair(&self) -> bool {
        self.routes.values().any(|route| match &route.applied {
            RouteState::Split(split) => split.canary_percent < 100,
            RouteState::Mixed => true,
            _ => false,
        })
    }

    /// Whether nothing of Belay's is left.
    pub(crate) fn leftover(&self) -> Option<String> {
        let routes = self
            .routes
            .iter()
            .find(|(_, route)| !matches!(route.state, RouteState::Home | RouteState::Missing));
        if let Some((id, route)) = routes {
            return Some(format!("{id:?} is left as {:?}", route.state));
        }
        if let Some(pin) = &self.services.pin {
            return Some(format!("the user's Service is left pinned to {pin}"));
        }
        (!self.services.is_unpaired()).then(|| "a Service of the pair is left".to_owned())
    }

    /// Everything that was asked for of a router is done.
    pub(crate) fn next_due_ms(&self, clock_ms: i64) -> Option<i64> {
        let pending = self.routes.values().flat_map(|route| {
            let hangs = self.stuck && route.would_say();
            let reads = !route.is_read && !hangs;
            let applies = route.applied != route.state && route.is_read;
            [
                reads.then_some(route.read_ms),
                applies.then_some(route.due_ms),
            ]
        });
        pending.flatten().filter(|due| *due > clock_ms).min()
    }
}

impl Route {
    /// Whether its router says when it has read the newest state: of a route that is gone there is nothing left to say it in.
    fn would_say(&self) -> bool {
        self.speaks && self.state != RouteState::Missing
    }

    fn seen(&self, id: &RouteId) -> RouteSeen {
        RouteSeen {
            id: id.clone(),
            resource_version: if self.state == RouteState::Missing {
                String::new()
            } else {
                self.version.to_string()
            },
            state: self.state.clone(),
            acknowledged: match self.speaks {
                false => Acknowledgement::NeverGiven,
                true if self.is_read => Acknowledgement::Given,
                true => Acknowledgement::Waiting("it is being programmed".to_owned()),
            },
        }
    }
}

impl World {
    /// Routers and the endpoints of Services move on; says whether anything changed.
    pub(crate) fn tend_traffic(&mut self) -> bool {
        let before = (self.roads.seen_services(), self.applied());
        let ready = |world: &Self, pair: &Option<Pair>| {
            pair.as_ref().map(|pair| {
                let set = world.sets.values().find(|set| set.shown.hash == pair.hash);
                set.map_or(0, |set| set.shown.ready)
            })
        };
        let (stable, canary) = (
            ready(self, &self.roads.services.stable),
            ready(self, &self.roads.services.canary),
        );
        for (pair, ready) in [
            (&mut self.roads.services.stable, stable),
            (&mut self.roads.services.canary, canary),
        ] {
            if let (Some(pair), Some(ready)) = (pair, ready) {
                pair.ready_endpoints = ready;
            }
        }
        self.take_up();
        before != (self.roads.seen_services(), self.applied())
    }

    fn applied(&self) -> Vec<(bool, RouteState)> {
        let routes = self.roads.routes.values();
        routes
            .map(|route| (route.is_read, route.applied.clone()))
            .collect()
    }

    /// Routers take up what is due, and it is noted until when requests came to the candidate.
    fn take_up(&mut self) {
        let (clock_ms, stuck) = (self.clock_ms, self.roads.stuck);
        let hash = self
            .roads
            .services
            .canary
            .as_ref()
            .map(|pair| pair.hash.clone());
        let mut led_at_ms = None;
        for route in self.roads.routes.values_mut() {
            let led = reaches(&route.applied);
            if route.read_ms <= clock_ms && !(stuck && route.would_say()) {
                route.is_read = true;
            }
            if route.due_ms <= clock_ms && route.is_read {
                route.applied = route.state.clone();
            }
            if reaches(&route.applied) {
                led_at_ms = Some(clock_ms);
            } else if led {
                led_at_ms = led_at_ms.max(Some(route.due_ms.min(clock_ms)));
            }
        }
        if let (Some(hash), Some(at)) = (hash, led_at_ms) {
            let known = self.roads.led_at_ms.entry(hash).or_insert(at);
            *known = at.max(*known);
        }
    }

    /// A write to a route by anybody. One that changes nothing is none to the API server, so that no router hears of it.
    fn write_route(&mut self, id: &RouteId, state: RouteState) {
        self.take_up();
        let present = self.roads.routes.get(id);
        if present.is_some_and(|route| route.state == state) {
            return;
        }
        let version = self.count();
        let delay = self.rng.i64(0..3_000);
        let clock_ms = self.clock_ms;
        let settle = i64::try_from(SETTLE.as_millis()).unwrap_or(0);
        let lag = self.rng.i64(0..=settle);
        if let Some(route) = self.roads.routes.get_mut(id) {
            route.version = version;
            route.state = state;
            route.is_read = false;
            // What never says anything is given a fixed time.
            route.read_ms = clock_ms + if route.would_say() { delay } else { 0 };
            route.due_ms = route.read_ms + lag;
        }
    }

    /// The API server's side of a write to routes and Services.
    pub(crate) fn write_traffic(&mut self, effect: &Effect) -> Result<(), Refusal> {
        self.count();
        self.take_up();
        match effect {
            Effect::EnsureService { side, hash, .. } => self.check_turning(*side, hash),
            Effect::RemoveService { .. } => self.check_pair_unused(),
            _ => {}
        }
        self.roads.services.write(effect, |hash| Pair {
            hash: hash.to_owned(),
            ready_endpoints: 0,
        });
        if let Some((id, version, state)) = asked_of_route(effect) {
            self.route_at(id, version)?;
            self.write_route(id, state);
        }
        Ok(())
    }

    fn route_at(&self, id: &RouteId, version: &str) -> Result<(), Refusal> {
        let route = self.roads.routes.get(id).ok_or(Refusal::Gone)?;
        if route.state == RouteState::Missing {
            return Err(Refusal::Gone);
        }
        if route.version.to_string() == version {
            Ok(())
        } else {
            Err(Refusal::Conflict)
        }
    }

    /// Whether Belay may act without a router's word: its patience is over, or its clock is wrong.
    fn excused(&self) -> bool {
        let status = &self.rollout.status;
        let deadline = self.good_plan.progress_deadline.as_millis();
        let patience = i64::try_from(deadline).unwrap_or(0).min(60_000);
        let waited = status.traffic.as_ref().map_or(0, |traffic| {
            i64::try_from(self.time().duration_since(traffic.aimed_at).as_millis()).unwrap_or(0)
        });
        self.spice.clock_jumps || waited >= patience
    }

    /// Pods of a candidate are about to go: no request comes to them any more, and connections have ended.
    pub(crate) fn check_going(&mut self, name: &str) {
        self.take_up();
        let Some(set) = self.sets.get(name) else {
            return;
        };
        let (hash, pods) = (set.shown.hash.clone(), set.shown.total);
        let known = self.rollout.status.traffic.clone();
        let Some(traffic) = known.filter(|_| pods > 0 && !self.excused()) else {
            return;
        };
        if self.roads.leads_to_canary(&hash) {
            let detail = format!("{name} loses its pods while a router leads to them");
            return self.breaks("pods_go_after_the_routes", detail);
        }
        let drain = i64::from(traffic.drain_seconds) * 1_000;
        if let Some(led) = self.roads.led_at_ms.get(&hash)
            && self.clock_ms < led + drain
        {
            let detail = format!("{name} loses its pods {} ms after", self.clock_ms - led);
            self.breaks("connections_may_end", detail);
        }
    }

    /// The workload is about to roll away from its stable pods: no router leads to them alone, nor does the user's Service.
    pub(crate) fn check_rolling(&mut self, hash: &str) {
        self.take_up();
        if self.rollout.status.traffic.is_none() || self.excused() {
            return;
        }
        if self.roads.leads_to_stable_pair() {
            let detail =
                format!("the workload rolls to {hash} while a router leads to the stable Service");
            self.breaks("no_empty_destination", detail);
        }
    }

    /// The workload is about to roll back: no router leads to what goes.
    pub(crate) fn check_rolling_back(&mut self) {
        self.take_up();
        let canary = self
            .roads
            .services
            .canary
            .as_ref()
            .map(|pair| pair.hash.clone());
        let leads = canary.is_some_and(|hash| self.roads.leads_to_canary(&hash));
        if leads && self.rollout.status.traffic.is_some() && !self.excused() {
            let detail = "the workload rolls back while a router leads to the candidate".to_owned();
            self.breaks("no_empty_destination", detail);
        }
    }

    fn check_turning(&mut self, side: Side, hash: &str) {
        let present = match side {
            Side::Stable => return,
            Side::Canary => self
                .roads
                .services
                .canary
                .as_ref()
                .map(|pair| pair.hash.clone()),
        };
        if let Some(present) = present.filter(|present| present != hash)
            && self.roads.leads_to_canary(&present)
            && !self.excused()
        {
            let detail = format!("turned from {present} to {hash} under requests");
            self.breaks("no_empty_destination", detail);
        }
    }

    fn check_pair_unused(&mut self) {
        let canary = self
            .roads
            .services
            .canary
            .as_ref()
            .map(|pair| pair.hash.clone());
        let used = canary.is_some_and(|hash| self.roads.leads_to_canary(&hash))
            || self.roads.services.stable.is_some() && self.roads.leads_to_stable_pair();
        if used && !self.excused() {
            let detail = "a Service is removed while a router leads to it".to_owned();
            self.breaks("no_empty_destination", detail);
        }
    }

    /// A GitOps tool or a person writes a route, the Service, or hangs a router.
    pub(crate) fn disturb_traffic(&mut self) {
        let id = self.rng.choice(route_ids());
        let Some(id) = id else { return };
        match self.rng.u8(0..10) {
            0..=5 => {
                self.tell(|_| format!("somebody: re-applies {} from Git", id.name));
                self.write_route(&id, RouteState::Home);
            }
            6 => {
                self.tell(|_| "somebody: replaces the user's Service".to_owned());
                self.count();
                self.roads.services.pin = None;
            }
            7 => {
                let stuck = !self.roads.stuck;
                self.tell(|_| format!("routers hang: {stuck}"));
                self.roads.stuck = stuck;
            }
            8 => {
                self.tell(|_| format!("somebody: deletes {}", id.name));
                self.write_route(&id, RouteState::Missing);
            }
            _ => {
                let led = self.roads.routes.get(&id).map(|route| route.state.clone());
                if let Some(RouteState::Split(_)) = led {
                    self.tell(|_| format!("somebody: edits a part of {}", id.name));
                    self.write_route(&id, RouteState::Mixed);
                }
            }
        }
    }

    /// Routes exist and routers work.
    pub(crate) fn mend_traffic(&mut self) {
        self.roads.stuck = false;
        for id in route_ids() {
            let missing = self.roads.routes.get(&id);
            if missing.is_some_and(|route| route.state == RouteState::Missing) {
                self.write_route(&id, RouteState::Home);
            }
        }
    }
}

/// The routes that the shell reads: those of the plan and those on record.
pub(crate) fn named(seen: &Seen, plan: Option<&Plan>, on_record: &[RouteId]) -> Seen {
    let planned = plan
        .and_then(|plan| plan.routing.as_ref())
        .map(|Routing { routes, .. }| routes.as_slice());
    let named = |id: &RouteId| on_record.contains(id) || planned.unwrap_or_default().contains(id);
    Seen {
        routes: seen
            .routes
            .iter()
            .filter(|route| named(&route.id))
            .cloned()
            .collect(),
        services: seen.services.clone(),
    }
}
