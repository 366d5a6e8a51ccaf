//! The user's Service and the pair.

use belay_engine::traffic::UserService;
use serde_json::{Value, json};

use super::names;
use crate::traffic::{
    Names,
    services::{is_current, selected, spec, user},
};

const HASH: &str = "pod-template-hash";

fn service() -> Value {
    json!({
        "metadata": {"name": "web", "labels": {"team": "shop"}, "annotations": {"cloud": "x"}},
        "spec": {
            "clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "type": "NodePort", "selector": {"app": "web"},
            "sessionAffinity": "ClientIP", "ipFamilyPolicy": "SingleStack",
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP", "nodePort": 30080}],
        },
    })
}

#[test]
fn each_of_the_pair_is_the_users_service_for_one_version() {
    let canary = spec(&service(), HASH, "h2");
    let expected = json!({
        "selector": {"app": "web", "pod-template-hash": "h2"}, "sessionAffinity": "ClientIP", "ipFamilyPolicy": "SingleStack",
        "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
    });
    assert_eq!(json!(canary), expected);
    // The API server adds to it; that does not matter. A new port of the user's Service does.
    let mut live = json!({"spec": canary});
    live["spec"]["clusterIP"] = json!("10.0.0.9");
    assert_eq!(selected(&live), "h2");
    assert!(is_current(&live, &service()));
    let mut changed = service();
    let port = json!({"name": "admin", "port": 81, "protocol": "TCP", "targetPort": 81});
    changed["spec"]["ports"].as_array_mut().unwrap().push(port);
    assert!(!is_current(&live, &changed));
}

#[test]
fn a_pinned_service_is_what_the_pair_is_made_from_without_its_pin() {
    let mut pinned = service();
    pinned["spec"]["selector"]["pod-template-hash"] = json!("h1");
    assert_eq!(
        user(&pinned, &names()),
        UserService::Pinned("h1".to_owned())
    );
    let canary = json!({"spec": spec(&pinned, HASH, "h2")});
    assert_eq!(
        canary["spec"]["selector"],
        json!({"app": "web", "pod-template-hash": "h2"})
    );
    assert!(is_current(&canary, &pinned));
}

#[test]
fn versions_of_a_stateful_set_are_told_apart_by_their_revision() {
    let label = "controller-revision-hash";
    let canary = json!({"spec": spec(&service(), label, "db-5f")});
    assert_eq!(
        canary["spec"]["selector"],
        json!({"app": "web", "controller-revision-hash": "db-5f"})
    );
    assert_eq!(selected(&canary), "db-5f");
    let mut pinned = service();
    pinned["spec"]["selector"][label] = json!("db-4c");
    assert_eq!(
        user(&pinned, &names()),
        UserService::Pinned("db-4c".to_owned())
    );
    assert!(is_current(&canary, &pinned));
}

#[test]
fn services_that_can_not_be_divided_are_refused_with_what_to_do() {
    assert_eq!(user(&service(), &names()), UserService::Open);
    let with = |pointer: &str, value: Value| {
        let mut service = service();
        *service.pointer_mut(pointer).unwrap() = value;
        service
    };
    let refused = [
        (with("/spec/clusterIP", json!("None")), "headless"),
        (with("/spec/type", json!("ExternalName")), "outside"),
        (with("/spec/selector", json!({})), "no selector"),
    ];
    for (service, expected) in refused {
        match user(&service, &names()) {
            UserService::Refused(why) => assert!(why.contains(expected), "{why}"),
            other => panic!("{other:?}"),
        }
    }
    let long = Names::new("shop", &"x".repeat(57));
    match user(&service(), &long) {
        UserService::Refused(why) => assert!(why.contains("at most 56 letters"), "{why}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(
        user(&service(), &Names::new("shop", &"x".repeat(56))),
        UserService::Open
    );
}
