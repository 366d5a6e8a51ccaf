//! How far routes and Services are, and what stands in the way.

use jiff::Timestamp;

use super::{Given, Goal, Journey, Order};
use crate::{
    rollout::Effect,
    traffic::{Acknowledgement, Aim, Backend, RouteSeen, RouteState, Split, UserService},
};

impl<'a> Journey<'a> {
    /// What the user must mend, or pods must become, before the goal can be reached.
    pub(super) fn obstacle(&self, goal: &Goal, order: Order<'_>) -> Option<String> {
        if !goal.uses_pair() {
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

    /// Why requests can't be led to the candidate yet.
    pub(super) fn unready(&self, goal: &Goal, canary_pods: i32) -> Option<String> {
        let split = goal.split()?;
        let services = &self.seen.services;
        let ready = |backend: &Option<Backend>| {
            backend
                .as_ref()
                .map_or(0, |backend| backend.ready_endpoints)
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

    /// Whether the candidate has its share already, so that fewer ready pods don't keep it from having it.
    pub(super) fn in_place(&self, goal: &Goal, wanted: Option<&Split>) -> bool {
        // The Service itself is switched: a pin that is still to be written is among the effects.
        self.switches(goal) && self.pair_leads_to().is_some_and(|canary| {
            matches!(&self.seen.services.user, UserService::Pinned(pinned) if pinned == canary)
        }) || !self.memory.routes.is_empty() && self.routes().all(|route| is_at(route, wanted))
    }

    /// What is under way.
    pub(super) fn pending(&self, effects: &[Effect]) -> Option<String> {
        if !effects.is_empty() {
            return Some("routes and Services are being written".to_owned());
        }
        let unread = self
            .memory
            .routes
            .iter()
            .find(|led| !self.seen.routes.iter().any(|route| route.id == **led));
        match unread {
            Some(led) => Some(format!(
                "{} {} is not read yet",
                led.kind.as_str(),
                led.name
            )),
            None => self.unacknowledged(),
        }
    }

    /// Whether every router does what its route says.
    pub fn acknowledged(&self) -> bool {
        self.unacknowledged().is_none()
    }

    /// A route whose router does not do yet what its object says.
    pub(super) fn unacknowledged(&self) -> Option<String> {
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

    /// Whether pods with this hash may be taken away: no request comes to them by Belay's doing, and connections have ended. If
    /// not, when to look again, if time alone can change it.
    pub fn may_lose(&self, hash: &str) -> Result<(), Option<Timestamp>> {
        if !self.serves(hash) {
            return Ok(());
        }
        let left = matches!(self.memory.aim, Aim::Stable | Aim::Workload);
        match Self::quiet_until(self.memory).filter(|_| left) {
            Some(until) if self.now >= until => Ok(()),
            until => Err(until),
        }
    }

    /// Whether requests come, or came lately, to the pods with this hash by one of the Services.
    pub(super) fn serves(&self, hash: &str) -> bool {
        let services = &self.seen.services;
        let pinned = matches!(&services.user, UserService::Pinned(pinned) if pinned == hash);
        pinned || self.pair_leads_to() == Some(hash)
    }

    /// Whether routes lead to a candidate other than this one.
    pub(super) fn leads_elsewhere(&self, canary: Option<&str>) -> bool {
        let pair = self.pair_leads_to();
        pair.is_some() && pair != canary && self.routes().any(|route| !is_at(route, None))
    }

    /// The version that `<service>-canary` leads to.
    pub(super) fn pair_leads_to(&self) -> Option<&'a str> {
        let canary = self.seen.services.canary.as_ref();
        canary.map(|backend| backend.hash.as_str())
    }

    /// The load in percent that the routes give to the pods with this hash now: the least and the most.
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
                RouteState::Split(split) => Some(split.load_percent()),
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

    pub(super) fn routes(&self) -> impl Iterator<Item = &'a RouteSeen> {
        let led = &self.memory.routes;
        self.seen
            .routes
            .iter()
            .filter(|route| led.contains(&route.id))
    }
}

/// Whether the route divides like this, or leads home.
pub(super) fn is_at(route: &RouteSeen, wanted: Option<&Split>) -> bool {
    match (&route.state, wanted) {
        (RouteState::Split(split), Some(wanted)) => *split == route.id.kind.told(wanted),
        (RouteState::Home, None) => true,
        (_, None) => is_nowhere(route),
        _ => false,
    }
}

/// Whether nothing of Belay's is or can be in it.
const fn is_nowhere(route: &RouteSeen) -> bool {
    matches!(route.state, RouteState::Missing | RouteState::Refused(_))
}
