//! The user's Service, Belay's pair of Services, and what Belay asks of routes: what is the same with one route and with many.
//!
//! Both are written without preconditions of their own. Deliberately absent: routers, which differ between the simulators, and
//! what is expected of a write before it is made.

use belay_engine::{
    rollout::{Effect, Side},
    traffic::{Backend, RouteId, RouteState, ServicesSeen, UserService},
};

/// The Services, where `Pair` is what is known of one of Belay's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Services<Pair> {
    /// What the user's Service is pinned to.
    pub(crate) pin: Option<String>,
    pub(crate) stable: Option<Pair>,
    pub(crate) canary: Option<Pair>,
}

impl<Pair> Services<Pair> {
    /// Everything as it is now, where `backend` gives a Service's hash and its ready endpoints.
    pub(crate) fn seen(&self, backend: impl Fn(&Pair) -> (String, i32)) -> ServicesSeen {
        let backend = |pair: &Pair| {
            let (hash, ready_endpoints) = backend(pair);
            Backend {
                hash,
                is_current: true,
                ready_endpoints,
            }
        };
        ServicesSeen {
            user: match &self.pin {
                Some(hash) => UserService::Pinned(hash.clone()),
                None => UserService::Open,
            },
            stable: self.stable.as_ref().map(backend),
            canary: self.canary.as_ref().map(backend),
        }
    }

    /// The API server's side of a write, where `pair` makes a Service that leads to a hash; says whether the effect was about
    /// Services.
    pub(crate) fn write(&mut self, effect: &Effect, pair: impl Fn(&str) -> Pair) -> bool {
        match effect {
            Effect::EnsureService { side, hash, .. } => *self.of(*side) = Some(pair(hash)),
            Effect::RemoveService { side, .. } => *self.of(*side) = None,
            Effect::PinService { hash, .. } => self.pin = Some(hash.clone()),
            Effect::UnpinService { .. } => self.pin = None,
            _ => return false,
        }
        true
    }

    const fn of(&mut self, side: Side) -> &mut Option<Pair> {
        match side {
            Side::Stable => &mut self.stable,
            Side::Canary => &mut self.canary,
        }
    }

    /// Whether there is neither of the pair.
    pub(crate) const fn is_unpaired(&self) -> bool {
        self.stable.is_none() && self.canary.is_none()
    }
}

/// The write to a route that this effect asks for: which route, on which of its versions, and what it becomes.
pub(crate) fn asked_of_route(effect: &Effect) -> Option<(&RouteId, &str, RouteState)> {
    match effect {
        Effect::SetRoute {
            id,
            split,
            resource_version,
            ..
        } => {
            let state = RouteState::Split(id.kind.told(split));
            Some((id, resource_version, state))
        }
        Effect::SendRouteHome {
            id,
            resource_version,
            ..
        } => Some((id, resource_version, RouteState::Home)),
        _ => None,
    }
}

/// Whether a route of this state sends anything to the candidate.
pub(crate) fn reaches(state: &RouteState) -> bool {
    match state {
        RouteState::Split(split) => split.reaches_candidate(),
        RouteState::Mixed => true,
        RouteState::Home | RouteState::Missing | RouteState::Refused(_) => false,
    }
}
