//! A router leads the requests.

use super::{super::super::plan::Routing, *};
use crate::rollout::Side;
use crate::traffic::{
    Acknowledgement, Backend, RouteId, RouteSeen, RouteState, RouterKind, Split, UserService,
    plan::SETTLE,
};

const DRAIN_SECONDS: i64 = 5;
/// From a router's word that requests are away to the end of what they came to.
const AWAY_SECONDS: i64 = DRAIN_SECONDS + SETTLE.as_secs().cast_signed();

impl Bench {
    /// A workload of ten pods behind an `HTTPRoute`.
    pub(super) fn routed() -> Self {
        let mut bench = Self::healthy();
        let id = RouteId {
            kind: RouterKind::HttpRoute,
            name: "web".to_owned(),
        };
        bench.seen.traffic.services.user = UserService::Open;
        bench.seen.traffic.routes.push(RouteSeen {
            id: id.clone(),
            resource_version: "1".to_owned(),
            state: RouteState::Home,
            acknowledged: Acknowledgement::Given,
        });
        let mut plan = plan();
        plan.steps = [20, 100].map(share).to_vec();
        plan.routing = Some(Routing {
            service: "web".to_owned(),
            routes: vec![id],
            drain: Duration::from_secs(5),
            affinity: None,
        });
        bench.plan = Ok(plan);
        bench
    }

    fn route(&mut self) -> &mut RouteSeen {
        self.seen.traffic.routes.first_mut().unwrap()
    }

    fn user(&self) -> &UserService {
        &self.seen.traffic.services.user
    }

    pub(super) fn carry_out_traffic(&mut self, effect: &Effect) {
        let services = &mut self.seen.traffic.services;
        match effect {
            Effect::EnsureService { side, hash, .. } => {
                let backend = Some(Backend {
                    hash: hash.clone(),
                    is_current: true,
                    ready_endpoints: 0,
                });
                match side {
                    Side::Stable => services.stable = backend,
                    Side::Canary => services.canary = backend,
                }
            }
            Effect::RemoveService { side, .. } => match side {
                Side::Stable => services.stable = None,
                Side::Canary => services.canary = None,
            },
            Effect::PinService { hash, .. } => services.user = UserService::Pinned(hash.clone()),
            Effect::UnpinService { .. } => services.user = UserService::Open,
            Effect::SetRoute { id, split, .. } => {
                self.route().state = RouteState::Split(id.kind.told(split));
            }
            Effect::SendRouteHome { .. } => self.route().state = RouteState::Home,
            other => panic!("not about requests: {other:?}"),
        }
    }

    pub(super) fn follow_endpoints(&mut self) {
        let sets = &self.seen.sets;
        let services = &mut self.seen.traffic.services;
        for backend in [&mut services.stable, &mut services.canary]
            .into_iter()
            .flatten()
        {
            let set = sets.iter().find(|set| set.hash == backend.hash);
            backend.ready_endpoints = set.map_or(0, |set| set.available);
        }
    }

    /// Nothing of Belay's is left in routes and Services.
    fn assert_left_as_found(&mut self) {
        assert_eq!(self.status.traffic, None);
        assert_eq!(self.route().state, RouteState::Home);
        assert_eq!(*self.user(), UserService::Open);
        let services = &self.seen.traffic.services;
        assert_eq!((&services.stable, &services.canary), (&None, &None));
    }
}

fn share(percent: u8) -> Step {
    Step {
        split: Some(Split::share(percent)),
        ..step(Share::WeightPercent(percent), 60)
    }
}

fn hash_of(version: &str) -> String {
    template(version).digest.short()
}

#[test]
fn a_share_takes_as_many_pods_as_its_part_and_comes_to_the_route() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();

    assert_eq!(bench.pods("v2"), 2);
    assert_eq!(bench.route().state, RouteState::Split(Split::share(20)));
    assert_eq!(*bench.user(), UserService::Pinned("native1".to_owned()));
    assert_eq!(bench.status.weight_percent, Some(20));
    assert_eq!(bench.waits_for(), "Hold");
}

#[test]
fn nothing_of_a_canary_runs_before_the_service_is_pinned() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    let decision = bench.decide();
    let kinds = decision.effects.iter().map(|effect| match effect {
        Effect::EnsureService { .. } => "pair",
        Effect::PinService { .. } => "pin",
        _ => "other",
    });
    assert_eq!(kinds.collect::<Vec<_>>(), ["pair", "pair", "pin"]);
    assert_eq!(bench.waits_for(), "Traffic");
}

#[test]
fn a_share_is_not_raised_before_the_pods_are_ready_endpoints() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    for _ in 0..2 {
        let decision = bench.decide();
        for effect in &decision.effects {
            bench.carry_out(effect);
        }
    }
    assert!(bench.has_set("v2"));
    bench
        .seen
        .traffic
        .services
        .canary
        .as_mut()
        .unwrap()
        .ready_endpoints = 1;

    let decision = bench.decide();

    assert!(decision.effects.is_empty(), "{:?}", decision.effects);
    let message = &bench.status.waiting_for.as_ref().unwrap().message;
    assert_eq!(message, "Service web-canary must have 2 ready endpoint(s).");
}

#[test]
fn a_step_waits_for_the_routers_word_and_in_vain_until_the_deadline() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    for _ in 0..2 {
        let decision = bench.decide();
        for effect in &decision.effects {
            bench.carry_out(effect);
        }
    }
    bench.route().acknowledged = Acknowledgement::Waiting("not programmed".to_owned());
    bench.settle();
    assert_eq!(bench.route().state, RouteState::Split(Split::share(20)));
    assert_eq!(bench.waits_for(), "Traffic");
    assert_eq!(bench.status.step.as_ref().unwrap().ready_at, None);

    bench.after(600).decide();

    assert_eq!(bench.status.phase, Phase::RollingBack);
    let rollback = bench.status.rollback.clone().unwrap();
    assert!(rollback.message.contains("not programmed"), "{rollback:?}");
}

#[test]
fn all_requests_are_with_the_candidate_before_stable_goes_and_nothing_is_left_at_the_end() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    bench.after(61).pass().settle();
    assert_eq!(bench.route().state, RouteState::Split(Split::share(100)));

    bench.after(61).pass().settle();
    assert_eq!(bench.status.phase, Phase::Promoting);
    assert!(bench.deployment().paused, "connections to stable may last");
    assert_eq!(*bench.user(), UserService::Open);
    assert_eq!(bench.route().state, RouteState::Split(Split::share(100)));

    bench.after(AWAY_SECONDS).settle();
    assert_eq!(bench.status.phase, Phase::Baking);
    bench.after(AWAY_SECONDS).settle();
    bench.after(121).pass().settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v2"));
    bench.assert_left_as_found();
}

#[test]
fn a_candidate_with_fewer_pods_is_handed_over_with_the_route_at_home() {
    let mut bench = Bench::routed();
    bench.plan.as_mut().unwrap().steps.truncate(1);
    bench.apply("v2");
    bench.settle();
    bench.after(61).pass().settle();
    assert_eq!(bench.status.phase, Phase::Promoting);
    assert!(bench.deployment().paused);
    assert_eq!(bench.route().state, RouteState::Home);
    assert_eq!(*bench.user(), UserService::Open);

    bench.after(AWAY_SECONDS).settle();

    assert_eq!(bench.status.phase, Phase::Baking);
    bench.after(121).pass().settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v2"));
    bench.assert_left_as_found();
}

#[test]
fn a_rollback_leads_away_then_waits_and_only_then_removes() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();

    bench.fail().settle();
    assert_eq!(bench.status.phase, Phase::RollingBack);
    assert_eq!(bench.route().state, RouteState::Home);
    assert_eq!(bench.pods("v2"), 2, "connections may last");
    assert_eq!(*bench.user(), UserService::Pinned("native1".to_owned()));

    bench.after(AWAY_SECONDS).settle();
    assert!(!bench.has_set("v2"));
    bench.after(AWAY_SECONDS).settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
    bench.assert_left_as_found();
}

#[test]
fn a_gateway_has_time_to_do_what_it_has_acknowledged() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    bench.fail().settle();
    assert_eq!(bench.route().acknowledged, Acknowledgement::Given);

    // Requests may have come until a moment ago: connections had less than their time.
    bench.after(DRAIN_SECONDS).settle();
    assert_eq!(bench.pods("v2"), 2);

    bench.after(AWAY_SECONDS - DRAIN_SECONDS).settle();
    assert!(!bench.has_set("v2"));
}

#[test]
fn a_rollback_waits_for_a_router_that_hangs_but_not_for_ever() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    bench.route().acknowledged = Acknowledgement::Waiting("it hangs".to_owned());

    bench.fail().settle();
    bench.after(599).settle();
    assert_eq!(bench.pods("v2"), 2);
    bench.after(1).settle();
    bench.after(AWAY_SECONDS).settle();

    assert!(!bench.has_set("v2"));
}

#[test]
fn a_route_that_was_deleted_keeps_no_rollback_waiting() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    bench.route().state = RouteState::Missing;

    bench.fail().settle();
    bench.after(AWAY_SECONDS).settle();

    assert!(!bench.has_set("v2"));
}

#[test]
fn a_route_that_git_sent_home_is_split_again_without_a_status_write() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    let before = bench.status.clone();
    bench.route().state = RouteState::Home;

    let decision = bench.decide();

    assert!(matches!(
        decision.effects.as_slice(),
        [Effect::SetRoute { .. }]
    ));
    assert_eq!(bench.status, before);
}

#[test]
fn a_share_is_withdrawn_while_most_of_its_pods_are_lost() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    let lost = bench.set("v2");
    (lost.ready, lost.available) = (0, 0);
    bench.follow_endpoints();

    let decision = bench.decide();

    assert!(matches!(
        decision.effects.as_slice(),
        [Effect::SendRouteHome { .. }]
    ));
}

#[test]
fn a_newer_template_begins_when_nothing_of_the_older_is_left() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    bench.apply("v3");
    for _ in 0..4 {
        bench.settle();
        bench.after(AWAY_SECONDS);
    }
    assert!(!bench.has_set("v2"));
    assert!(bench.has_set("v3"));
    let canary = bench.seen.traffic.services.canary.clone().unwrap();
    assert_eq!(canary.hash, hash_of("v3"));
    assert_eq!(bench.route().state, RouteState::Split(Split::share(20)));
}

#[test]
fn new_content_at_zero_replicas_waits_until_no_router_leads_to_the_old() {
    // Given a canary that was called off, and a gateway that still acknowledges the end of it.
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    bench.apply("v1");
    bench.settle();
    bench.after(AWAY_SECONDS).settle();
    bench.route().acknowledged = Acknowledgement::Waiting("it is being programmed".to_owned());
    assert!(!bench.has_set("v2") && bench.status.traffic.is_some());
    // When the workload goes to sleep, and other content comes.
    bench.deployment().replicas = 0;
    bench.apply("v3");
    bench.settle();
    // Then it is let go only after that: replicas that are wanted again must not be where no route leads.
    assert!(bench.deployment().paused);
    bench.route().acknowledged = Acknowledgement::Given;
    for _ in 0..4 {
        bench.after(AWAY_SECONDS).settle();
    }
    assert!(!bench.deployment().paused);
    assert!(bench.status.traffic.is_none());
}

#[test]
fn a_deleted_rollout_leaves_routes_and_services_as_it_found_them() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    bench.seen.lifecycle = Lifecycle::Deleting;
    let mut finished = false;
    for _ in 0..40 {
        let decision = bench.decide();
        finished |= decision.effects.contains(&Effect::Finish);
        if finished {
            break;
        }
        for effect in &decision.effects {
            bench.carry_out(effect);
        }
        bench.after(1);
    }
    assert!(finished);
    assert!(!bench.has_set("v2"));
    bench.assert_left_as_found();
}

#[test]
fn more_replicas_in_mid_canary_bring_more_pods_and_keep_the_share() {
    let mut bench = Bench::routed();
    bench.apply("v2");
    bench.settle();
    bench.deployment().replicas = 30;
    bench.touch();
    bench.settle();
    assert_eq!(bench.pods("v2"), 6);
    assert_eq!(bench.route().state, RouteState::Split(Split::share(20)));
}

#[test]
fn without_routes_the_service_itself_is_switched_and_back_in_one_write() {
    let mut bench = Bench::routed();
    let plan = bench.plan.as_mut().unwrap();
    plan.routing.as_mut().unwrap().routes.clear();
    plan.steps = vec![
        Step {
            split: Some(Split::share(0)),
            ..step(Share::Replicas(1), 60)
        },
        share(100),
    ];
    bench.seen.traffic.routes.clear();
    bench.apply("v2");
    bench.settle();
    assert_eq!(
        (bench.pods("v2"), bench.status.weight_percent),
        (1, Some(0))
    );
    assert_eq!(*bench.user(), UserService::Pinned("native1".to_owned()));

    bench.after(61).pass().settle();
    assert_eq!(bench.pods("v2"), 10);
    assert_eq!(*bench.user(), UserService::Pinned(hash_of("v2")));
    assert_eq!(bench.status.weight_percent, Some(100));

    bench.after(10).fail();
    let decision = bench.decide();
    assert!(
        matches!(decision.effects.as_slice(), [Effect::PinService { hash, .. }] if hash == "native1"),
        "{:?}",
        decision.effects
    );
}
