//! Clients that stay with the version that they were given.

use belay_engine::traffic::{Part, RouteState, RouterKind, Split, Text};
use serde_json::{Value, json};

use super::{cohort, condition, names, plain, rich, routes::written, sessions};
use crate::traffic::{read, write};

fn kept(percent: u8, earlier: Option<u8>) -> Split {
    Split {
        sessions: Some(sessions(earlier)),
        ..Split::share(percent)
    }
}

fn weights(rule: &Value) -> Vec<(String, u64)> {
    let entries = rule["backendRefs"].as_array().unwrap().iter();
    entries
        .map(|entry| {
            let name = entry["name"].as_str().unwrap().to_owned();
            (name, entry["weight"].as_u64().unwrap())
        })
        .collect()
}

fn pair(stable: u64, canary: u64) -> Vec<(String, u64)> {
    vec![
        ("web-stable".to_owned(), stable),
        ("web-canary".to_owned(), canary),
    ]
}

#[test]
fn whoever_has_a_cookie_is_led_by_it_and_whoever_has_none_is_given_one() {
    let kind = RouterKind::HttpRoute;
    let split = Split {
        cohorts: vec![cohort(&[condition(Part::Header, "x-staff", "yes")])],
        ..kept(50, Some(10))
    };
    let route = written(kind, &plain(kind), Some(&split));
    let rules = route["spec"]["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 5);
    // A cohort comes first, then who has the candidate, who stayed in this step, and who stayed in the step before.
    let cookie = |rule: &Value| rule["matches"][0]["headers"][0]["value"].clone();
    assert_eq!(weights(&rules[0]), [("web-canary".to_owned(), 1)]);
    assert_eq!(
        cookie(&rules[1]),
        r"^(.*; ?)?shop=5d4f8-67a1\.canary(;.*)?$"
    );
    assert_eq!(weights(&rules[1]), [("web-canary".to_owned(), 1)]);
    assert_eq!(
        cookie(&rules[2]),
        r"^(.*; ?)?shop=5d4f8-67a1\.stable-50(;.*)?$"
    );
    assert_eq!(weights(&rules[2]), [("web-stable".to_owned(), 1)]);
    assert_eq!(
        cookie(&rules[3]),
        r"^(.*; ?)?shop=5d4f8-67a1\.stable-10(;.*)?$"
    );
    assert_eq!(weights(&rules[3]), pair(56, 44), "(50 - 10) / (100 - 10)");
    assert_eq!(weights(&rules[4]), pair(50, 50));
    // Each destination of the shared rules gives its own cookie.
    for rule in &rules[3..] {
        let given = |at: usize| {
            rule["backendRefs"][at]["filters"][0]["responseHeaderModifier"]["add"][0].clone()
        };
        let set = |value: &str| json!({"name": "Set-Cookie", "value": format!("shop={value}; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax")});
        assert_eq!(given(0), set("5d4f8-67a1.stable-50"));
        assert_eq!(given(1), set("5d4f8-67a1.canary"));
    }
    assert_eq!(
        read(kind, &route, &names()),
        RouteState::Split(split.canonical())
    );
}

#[test]
fn headers_that_a_destination_has_already_are_kept_or_refused() {
    // Istio's are a map: one more.
    let kind = RouterKind::VirtualService;
    let route = written(kind, &rich(kind), Some(&kept(50, None)));
    let added = &route["spec"]["http"].as_array().unwrap().last().unwrap()["route"][0]["headers"];
    assert_eq!(added["response"]["set"], json!({"a": "b"}));
    assert!(added["response"]["add"]["Set-Cookie"].is_string());
    assert_eq!(written(kind, &route, None), rich(kind));
    // Gateway API allows one such filter only.
    let kind = RouterKind::HttpRoute;
    let mut route = plain(kind);
    route["spec"]["rules"][0]["backendRefs"][0]["filters"] = json!([
        {"type": "ResponseHeaderModifier", "responseHeaderModifier": {"add": [{"name": "Set-Cookie", "value": "a=b; Path=/"}]}},
    ]);
    let refusal = write(kind, &route, &names(), Some(&kept(50, None))).unwrap_err();
    assert!(
        refusal
            .about(kind, "r")
            .contains("move that filter to the rule")
    );
    let shared = written(kind, &route, Some(&Split::share(50)));
    assert_eq!(
        written(kind, &shared, None),
        route,
        "a cookie of the user's stays"
    );
}

#[test]
fn traefik_keeps_clients_by_a_cookie_of_this_trial_beside_none_of_the_users() {
    let kind = RouterKind::TraefikService;
    let route = written(kind, &plain(kind), Some(&kept(20, None)));
    assert_eq!(
        route["spec"]["weighted"]["sticky"],
        json!({"cookie": {"name": "shop.belay.5d4f8-67a1", "maxAge": 3600, "httpOnly": true, "sameSite": "lax"}})
    );
    // Without the shares it is neither home nor split.
    let mut torn = route.clone();
    torn["spec"]["weighted"]["services"] = plain(kind)["spec"]["weighted"]["services"].clone();
    assert_eq!(read(kind, &torn, &names()), RouteState::Mixed);
    assert_eq!(written(kind, &torn, None), plain(kind));
    // At a whole share there is nothing to remember.
    let whole = written(kind, &route, Some(&Split::share(100)));
    assert_eq!(whole["spec"]["weighted"].get("sticky"), None);
    let refusal = write(kind, &rich(kind), &names(), Some(&kept(20, None))).unwrap_err();
    assert!(refusal.about(kind, "r").contains("a cookie of its own"));
}

#[test]
fn cookies_are_told_by_the_header_where_letters_mean_what_they_are() {
    for kind in [RouterKind::HttpRoute, RouterKind::VirtualService] {
        let split = Split {
            cohorts: vec![
                cohort(&[condition(Part::Cookie, "tr.y", "a$(b)|`c`")]),
                cohort(&[belay_engine::traffic::Condition {
                    value: Text::Regex("v[12]|w".to_owned()),
                    ..condition(Part::Cookie, "group", "")
                }]),
            ],
            ..Split::share(0)
        };
        let route = written(kind, &plain(kind), Some(&split));
        let text = route.to_string();
        let expected = json!(r"^(.*; ?)?tr\.y=a\$\(b\)\|`c`(;.*)?$").to_string();
        assert!(text.contains(&expected), "{text}");
        let expected = json!(r"^(.*; ?)?group=(?:v[12]|w)(;.*)?$").to_string();
        assert!(text.contains(&expected), "{text}");
        assert_eq!(read(kind, &route, &names()), RouteState::Split(split));
    }
}
