//! What is seen of a Rollout's routes and Services.

use std::collections::BTreeSet;

use belay_api::Rollout;
use belay_engine::{
    rollout::{RolloutStatus, plan::Routing},
    traffic::{
        Acknowledgement, Backend, RouteId, RouteSeen, RouteState, Seen, ServicesSeen, Traffic,
        UserService,
    },
};
use kube::ResourceExt as _;
use serde_json::Value;

use super::{
    Way,
    roads::{Named, State},
};
use crate::{
    Error, Result,
    rollout::Shell,
    traffic::{self, Names, services},
};

impl Shell {
    /// Routes and Services that the plan names or that are still led, and from now on every change of them.
    pub(in crate::rollout) async fn traffic(
        &self,
        rollout: &Rollout,
        routing: Option<&Routing>,
        status: &RolloutStatus,
    ) -> Result<Seen> {
        let Some((names, routes)) = self.follow(rollout, routing, status.traffic.as_ref()) else {
            return Ok(Seen::default());
        };
        let services = self.services(rollout, &names).await?;
        let mut seen = Vec::with_capacity(routes.len());
        for id in routes {
            seen.push(self.route(id, &names).await?);
        }
        Ok(Seen {
            routes: seen,
            services,
        })
    }

    /// Follows what a Rollout names before it is looked at for the first time, so that one list brings it for all Rollouts.
    pub(in crate::rollout) fn expect_traffic(&self, rollout: &Rollout) {
        let routing = rollout.spec.routing();
        let led = rollout
            .status
            .as_ref()
            .and_then(|status| status.traffic.as_ref());
        self.follow(rollout, routing.as_ref(), led);
    }

    fn follow(
        &self,
        rollout: &Rollout,
        routing: Option<&Routing>,
        led: Option<&Traffic>,
    ) -> Option<(Names, BTreeSet<RouteId>)> {
        let namespace = rollout.namespace().unwrap_or_default();
        let name = rollout.name_any();
        let service = led
            .map(|led| &led.service)
            .or(routing.map(|routing| &routing.service));
        let Some(service) = service else {
            self.world.roads.forget(&namespace, &name);
            return None;
        };
        let names = Names::new(&namespace, service);
        let routes: BTreeSet<RouteId> = routing
            .iter()
            .flat_map(|routing| &routing.routes)
            .chain(led.iter().flat_map(|led| &led.routes))
            .cloned()
            .collect();
        let services = [&names.service, &names.stable, &names.canary];
        let wanted = services
            .into_iter()
            .map(|service| of(Way::Services, &names, service))
            .chain(
                routes
                    .iter()
                    .map(|id| of(Way::Routes(id.kind), &names, &id.name)),
            );
        self.world.roads.follow(&namespace, &name, wanted.collect());
        Some((names, routes))
    }

    async fn route(&self, id: RouteId, names: &Names) -> Result<RouteSeen> {
        let way = Way::Routes(id.kind);
        let unseen = |id: RouteId, state: RouteState| RouteSeen {
            id,
            resource_version: String::new(),
            state,
            acknowledged: Acknowledgement::NeverGiven,
        };
        match self.world.roads.state(way).await {
            State::Starting => return Err(Error::Stale("routes are still being read")),
            State::Refused(why) => return Ok(unseen(id, RouteState::Refused(why))),
            State::Following => {}
        }
        let Some(kept) = self.world.roads.get(&of(way, names, &id.name)).await? else {
            return Ok(unseen(id, RouteState::Missing));
        };
        let object = kept.object();
        let state = match traffic::read(id.kind, &object, names) {
            RouteState::Home if kept.is_held => RouteState::Mixed,
            state => state,
        };
        Ok(RouteSeen {
            resource_version: kept.resource_version.clone(),
            state,
            acknowledged: traffic::acknowledged(id.kind, &object, kept.generation),
            id,
        })
    }

    async fn services(&self, rollout: &Rollout, names: &Names) -> Result<ServicesSeen> {
        for way in [Way::Services, Way::Slices] {
            match self.world.roads.state(way).await {
                State::Starting => return Err(Error::Stale("Services are still being read")),
                State::Refused(why) => {
                    return Ok(ServicesSeen {
                        user: UserService::Refused(why),
                        ..ServicesSeen::default()
                    });
                }
                State::Following => {}
            }
        }
        let own = self
            .world
            .roads
            .get(&of(Way::Services, names, &names.service))
            .await?;
        let object = own.as_ref().map(|own| own.object());
        let mut user = match (&own, &object) {
            (Some(own), Some(object)) => match services::user(object, names) {
                // What is Belay's of it is to be given back: to the planner it is pinned to a version that does not exist.
                UserService::Open if own.is_held => UserService::Pinned(String::new()),
                seen => seen,
            },
            _ => UserService::Missing,
        };
        let mut pair = [&names.stable, &names.canary].map(|_| None);
        for (seen, name) in pair.iter_mut().zip([&names.stable, &names.canary]) {
            match self.backend(rollout, names, name, object.as_ref()).await? {
                Found::Ours(backend) => *seen = Some(backend),
                Found::Nothing => {}
                Found::Foreign => {
                    user = UserService::Refused(format!(
                        "Service {name} is not Belay's, and its name is needed; rename it, or the Service in spec.traffic.service"
                    ));
                }
            }
        }
        let [stable, canary] = pair;
        Ok(ServicesSeen {
            user,
            stable,
            canary,
        })
    }

    async fn backend(
        &self,
        rollout: &Rollout,
        names: &Names,
        name: &str,
        user: Option<&Value>,
    ) -> Result<Found> {
        let Some(kept) = self
            .world
            .roads
            .get(&of(Way::Services, names, name))
            .await?
        else {
            return Ok(Found::Nothing);
        };
        if kept.owner_uid != rollout.uid() {
            return Ok(Found::Foreign);
        }
        let object = kept.object();
        Ok(Found::Ours(Backend {
            hash: services::selected(&object),
            is_current: user.is_none_or(|user| services::is_current(&object, user)),
            ready_endpoints: self.world.roads.ready_endpoints(&names.namespace, name)?,
        }))
    }
}

/// What there is under the name of one of Belay's Services.
enum Found {
    Nothing,
    Ours(Backend),
    Foreign,
}

/// An object in the namespace of the names.
pub(super) fn of(way: Way, names: &Names, name: &str) -> Named {
    Named {
        way,
        namespace: names.namespace.clone(),
        name: name.to_owned(),
    }
}
