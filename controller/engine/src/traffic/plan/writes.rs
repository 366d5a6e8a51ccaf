//! The writes of one stage.

use super::{Goal, Hashes, Journey, Order, look::is_at};
use crate::{
    rollout::{Effect, Side},
    traffic::{Backend, RouteState, Split, UserService},
};

impl Journey<'_> {
    /// The writes that may be made now.
    pub(super) fn stage(&self, goal: &Goal, order: Order<'_>) -> Vec<Effect> {
        let (hashes, canary_pods) = (order.hashes, order.canary_pods);
        // The pair must not be turned to other pods while requests come by it.
        if self.leads_elsewhere(hashes.canary) && goal.uses_pair() {
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

    /// Whether the goal is to switch the user's Service itself to the candidate.
    pub(super) fn switches(&self, goal: &Goal) -> bool {
        self.memory.routes.is_empty() && goal.split().is_some()
    }

    /// The version that the user's Service is to select.
    fn pinned_to<'h>(&self, goal: &Goal, hashes: Hashes<'h>) -> Option<&'h str> {
        let switched = self.memory.routes.is_empty();
        match goal {
            Goal::Shared(split) if switched && split.canary_percent == 100 => hashes.canary,
            Goal::Stable | Goal::Prepared | Goal::Shared(_) => hashes.stable,
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
            (UserService::Open | UserService::Pinned(_), Some(wanted)) => {
                Some(Effect::PinService {
                    service,
                    hash: wanted.to_owned(),
                })
            }
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
}
