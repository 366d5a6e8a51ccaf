//! Reading and writing of routes.

use belay_engine::traffic::{Part, RouteState, RouterKind, Split};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{KINDS, asked, cohort, condition, names, plain, rich};
use crate::traffic::{read, write};

/// The object after a write.
pub(super) fn written(kind: RouterKind, object: &Value, wanted: Option<&Split>) -> Value {
    let mut object = object.clone();
    let change = write(kind, &object, &names(), wanted).unwrap();
    for (pointer, value) in change.into_iter().flat_map(|change| change.fields) {
        let (place, key) = pointer.rsplit_once('/').unwrap();
        let fields = object.pointer_mut(place).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => fields.insert(key.to_owned(), value),
            None => fields.remove(key),
        };
    }
    object
}

fn kinds() -> impl Strategy<Value = RouterKind> {
    prop::sample::select(KINDS.to_vec())
}

proptest! {
    #[test]
    fn a_route_says_what_was_written_and_is_itself_again_when_it_is_home(
        kind in kinds(), rich_one in any::<bool>(), first in (0..=100_u8, 0..32_u8), second in (0..=100_u8, 0..32_u8)
    ) {
        let mut original = if rich_one { rich(kind) } else { plain(kind) };
        if (first.1 | second.1) & 16 != 0 && let Some(weighted) = original.pointer_mut("/spec/weighted") {
            // A cookie of its own is refused beside one of Belay's.
            weighted.as_object_mut().unwrap().remove("sticky");
        }
        prop_assert_eq!(read(kind, &original, &names()), RouteState::Home);
        // When it is split, and split again in another way.
        let first = asked(kind, first.0, first.1);
        let second = asked(kind, second.0, second.1);
        let once = written(kind, &original, Some(&first));
        let twice = written(kind, &once, Some(&second));
        // Then it says so, the way there does not matter, and nothing more is to be written.
        prop_assert_eq!(read(kind, &once, &names()), RouteState::Split(first.canonical()));
        prop_assert_eq!(&twice, &written(kind, &original, Some(&second)));
        prop_assert_eq!(write(kind, &twice, &names(), Some(&second)).unwrap(), None);
        // And home it is the same to the letter.
        prop_assert_eq!(&written(kind, &twice, None), &original);
    }

    #[test]
    fn shares_are_what_was_asked_for_and_others_keep_theirs(percent in 0..=100_u8) {
        let split = written(RouterKind::HttpRoute, &rich(RouterKind::HttpRoute), Some(&Split::share(percent)));
        let weights: Vec<(String, u64)> = split["spec"]["rules"][1]["backendRefs"]
            .as_array().unwrap().iter()
            .map(|entry| (entry["name"].as_str().unwrap().to_owned(), entry["weight"].as_u64().unwrap()))
            .collect();
        let percent = u64::from(percent);
        prop_assert_eq!(weights, vec![
            ("web-stable".to_owned(), 3 * (100 - percent)),
            ("web-canary".to_owned(), 3 * percent),
            ("legacy".to_owned(), 100),
            ("web".to_owned(), 0),
        ]);
    }
}

#[test]
fn cohorts_of_an_http_route_are_rules_before_the_one_they_are_taken_from() {
    let split = Split {
        cohorts: vec![cohort(&[condition(Part::Header, "X-Cohort", "beta")])],
        ..Split::share(0)
    };
    let route = written(
        RouterKind::HttpRoute,
        &rich(RouterKind::HttpRoute),
        Some(&split),
    );
    let rules = route["spec"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 5, "two of the three rules lead to the Service");
    let cohort = &rules[1];
    let added = json!({"type": "Exact", "name": "x-cohort", "value": "beta"});
    assert_eq!(cohort["matches"][0]["headers"], json!([added]));
    assert_eq!(cohort["matches"][0]["method"], "GET");
    assert_eq!(cohort["matches"][1]["headers"][1], added);
    assert_eq!(cohort["backendRefs"][0]["name"], "web-canary");
    assert_eq!(cohort["backendRefs"].as_array().unwrap().len(), 1);
    assert_eq!(cohort["filters"], rules[2]["filters"]);
    assert_eq!(cohort["timeouts"], rules[2]["timeouts"]);
    assert_eq!(cohort.get("name"), None, "names of rules are unique");
}

#[test]
fn cookies_of_a_virtual_service_are_told_by_the_header_as_a_whole() {
    let split = asked(RouterKind::VirtualService, 10, 4);
    let route = written(
        RouterKind::VirtualService,
        &plain(RouterKind::VirtualService),
        Some(&split),
    );
    let pattern = &route["spec"]["http"][0]["match"][0]["headers"]["cookie"]["regex"];
    assert_eq!(pattern, r"^(.*; ?)?tr\.y=a=b;\(c\)(;.*)?$");
}

#[test]
fn a_source_applied_in_mid_canary_is_home_and_a_part_of_it_is_neither() {
    for kind in KINDS {
        let split = written(kind, &rich(kind), Some(&Split::share(20)));
        assert_eq!(read(kind, &rich(kind), &names()), RouteState::Home);
        // When somebody changes one of the shares.
        let mut edited = split.clone();
        let pointer = match kind {
            RouterKind::HttpRoute => "/spec/rules/1/backendRefs/0/weight",
            RouterKind::GrpcRoute => "/spec/rules/0/backendRefs/0/weight",
            RouterKind::VirtualService => "/spec/http/1/route/0/weight",
            RouterKind::TraefikService => "/spec/weighted/services/0/weight",
        };
        *edited.pointer_mut(pointer).unwrap() = json!(77);
        // Then it is seen, and mended by the next write.
        assert_eq!(read(kind, &edited, &names()), RouteState::Mixed, "{kind:?}");
        let mended = written(kind, &edited, Some(&Split::share(20)));
        assert_eq!(
            read(kind, &mended, &names()),
            RouteState::Split(Split::share(20)),
            "{kind:?}"
        );
    }
}

#[test]
fn a_rule_that_appears_in_mid_canary_is_led_too() {
    let kind = RouterKind::HttpRoute;
    let mut route = written(kind, &plain(kind), Some(&Split::share(20)));
    let new = json!({"matches": [{"path": {"type": "Exact", "value": "/new"}}],
        "backendRefs": [{"name": "web", "port": 80, "weight": 1}]});
    route["spec"]["rules"].as_array_mut().unwrap().push(new);
    assert_eq!(read(kind, &route, &names()), RouteState::Mixed);
    let mended = written(kind, &route, Some(&Split::share(20)));
    assert_eq!(
        mended["spec"]["rules"][1]["backendRefs"][1],
        json!({"name": "web-canary", "port": 80, "weight": 20})
    );
}

#[test]
fn what_can_not_be_led_is_refused_before_anything_is_written() {
    let refusals = [
        (
            RouterKind::HttpRoute,
            json!({"spec": {"rules": [{"backendRefs": [{"name": "other", "port": 80, "weight": 1}]}]}}),
            "it sends no request to Service web",
        ),
        (
            RouterKind::HttpRoute,
            json!({"spec": {"rules": [{"backendRefs": [{"name": "web", "namespace": "elsewhere", "port": 80, "weight": 1}]}]}}),
            "it sends no request to Service web",
        ),
        (
            RouterKind::HttpRoute,
            json!({"spec": {"rules": [{"backendRefs": [{"name": "web", "port": 80, "weight": 20000}]}]}}),
            "use weights of at most 10000",
        ),
        (
            RouterKind::VirtualService,
            json!({"spec": {"http": [{"route": [{"destination": {"host": "web", "subset": "v1"}}]}]}}),
            "take the subset out",
        ),
        (
            RouterKind::VirtualService,
            json!({"spec": {"http": [{"route": [{"destination": {"host": "web.elsewhere"}}]}]}}),
            "it sends no request to Service web",
        ),
        (
            RouterKind::TraefikService,
            json!({"spec": {"weighted": {"services": [{"name": "web", "weight": 1}, {"name": "b"}]}}}),
            "give each of them one",
        ),
        (
            RouterKind::TraefikService,
            json!({"spec": {"mirroring": {"name": "web"}}}),
            "it sends no request to Service web",
        ),
    ];
    for (kind, route, expected) in refusals {
        match read(kind, &route, &names()) {
            RouteState::Refused(why) => assert!(why.contains(expected), "{why}"),
            other => panic!("{route} is {other:?}"),
        }
        assert!(write(kind, &route, &names(), Some(&Split::share(5))).is_err());
    }
}

#[test]
fn a_cohort_that_a_rule_looks_at_already_is_refused_with_its_name() {
    let split = Split {
        cohorts: vec![cohort(&[condition(Part::Header, "X-Api", "3")])],
        ..Split::default()
    };
    for kind in [RouterKind::HttpRoute, RouterKind::VirtualService] {
        let refusal = write(kind, &rich(kind), &names(), Some(&split)).unwrap_err();
        let sentence = refusal.about(kind, "shop");
        assert!(sentence.contains("looks at header x-api"), "{sentence}");
    }
}

#[test]
fn more_rules_than_the_kind_takes_are_refused() {
    let kind = RouterKind::HttpRoute;
    let rule = plain(kind)["spec"]["rules"][0].clone();
    let route = json!({"spec": {"rules": vec![rule; 9]}});
    let split = asked(kind, 5, 1);
    let refusal = write(kind, &route, &names(), Some(&split)).unwrap_err();
    assert!(refusal.about(kind, "r").contains("18 rules"));
    assert!(write(kind, &route, &names(), Some(&Split::share(5))).is_ok());
}

#[test]
fn connections_are_shared_and_nothing_else() {
    let kind = RouterKind::VirtualService;
    let split = asked(kind, 30, 1 | 8);
    let both = written(kind, &rich(kind), Some(&split));
    assert_eq!(
        both["spec"]["tcp"],
        json!([{"match": [{"port": 9000}], "route": [
            {"destination": {"host": "web-stable.shop"}, "weight": 70},
            {"destination": {"host": "web-canary.shop"}, "weight": 30},
        ]}])
    );
    let only = json!({"spec": {"tls": [{"match": [{"port": 443}], "route": [{"destination": {"host": "web"}}]}]}});
    let refusal = write(kind, &only, &names(), Some(&split)).unwrap_err();
    assert!(
        refusal
            .about(kind, "r")
            .contains("can neither be told apart nor copied")
    );
    assert!(write(kind, &only, &names(), Some(&Split::share(30))).is_ok());
}
