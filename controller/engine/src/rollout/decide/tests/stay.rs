//! Clients that stay with the version that they were given.

use super::*;
use crate::traffic::{Affinity, RouteState, RouterKind, Sessions, Split};

impl Bench {
    /// Ten pods behind a route, with shares of 20, 50 and 100 % and a cookie.
    fn kept() -> Self {
        let mut bench = Self::routed();
        let plan = bench.plan.as_mut().unwrap();
        let middle = Step {
            split: Some(Split::share(50)),
            ..step(Share::WeightPercent(50), 60)
        };
        plan.steps.insert(1, middle);
        plan.routing.as_mut().unwrap().affinity = Some(Affinity {
            cookie: "shop".to_owned(),
            max_age_seconds: 60,
        });
        bench
    }

    fn sessions(&self) -> Option<Sessions> {
        match &self.seen.traffic.routes.first().unwrap().state {
            RouteState::Split(split) => split.sessions.clone(),
            _ => None,
        }
    }
}

#[test]
fn those_who_stayed_in_the_step_before_are_asked_again_and_at_the_end_nobody_is_kept() {
    let mut bench = Bench::kept();
    bench.apply("v2");
    bench.settle();
    let first = bench.sessions().unwrap();
    assert_eq!(first.earlier_percent, None);
    assert_eq!(bench.status.weight_percent, Some(20));

    bench.after(61).pass().settle();
    let second = bench.sessions().unwrap();
    assert_eq!(second.trial, first.trial, "a client of the candidate stays");
    assert_eq!(second.earlier_percent, Some(20));
    assert_eq!(bench.status.weight_percent, Some(50));

    bench.after(61).pass().settle();
    let whole = RouteState::Split(Split::share(100));
    assert_eq!(bench.seen.traffic.routes.first().unwrap().state, whole);
}

#[test]
fn a_cookie_means_nothing_when_the_same_content_is_tried_again() {
    let mut bench = Bench::kept();
    bench.apply("v2");
    bench.settle();
    let first = bench.sessions().unwrap();
    bench.fail();
    for _ in 0..3 {
        bench.settle().after(10);
    }
    assert_eq!(bench.status.phase, Phase::Rejected);
    assert_eq!(bench.sessions(), None);

    bench.act(Verb::Retry).settle();

    let second = bench.sessions().unwrap();
    assert_ne!(second.trial, first.trial);
}

#[test]
fn what_a_router_can_not_say_is_not_asked_of_it_again_and_again() {
    let mut bench = Bench::kept();
    let traefik = RouterKind::TraefikService;
    bench.seen.traffic.routes.first_mut().unwrap().id.kind = traefik;
    let routing = bench.plan.as_mut().unwrap().routing.as_mut().unwrap();
    routing.routes.first_mut().unwrap().kind = traefik;
    bench.apply("v2");
    bench.settle();
    bench.after(61).pass().settle();
    assert_eq!(bench.sessions().unwrap().earlier_percent, None);

    let decision = bench.decide();

    assert!(decision.effects.is_empty(), "{:?}", decision.effects);
    assert_eq!(bench.waits_for(), "Hold");
}

#[test]
fn a_change_of_the_cookie_counts_for_the_next_candidate() {
    let mut bench = Bench::kept();
    bench.apply("v2");
    bench.settle();
    let before = bench.sessions();
    let routing = bench.plan.as_mut().unwrap().routing.as_mut().unwrap();
    routing.affinity = None;
    bench.settle();
    assert_eq!(bench.sessions(), before);
}
