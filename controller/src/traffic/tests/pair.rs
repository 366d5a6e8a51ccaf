//! The user's Service and the pair.

use belay_engine::{rollout::effect::Side, traffic::UserService};
use serde_json::{Value, json};

use super::names;
use crate::traffic::{
    Names,
    services::{body, selected, user},
};

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
    let owner = json!({"kind": "Rollout", "name": "web", "uid": "1"});
    let canary = body(&names(), &service(), Side::Canary, "h2", "web", &owner);
    assert_eq!(
        canary,
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "web-canary", "namespace": "shop", "labels": {"belay.dev/rollout": "web"}, "ownerReferences": [owner]},
            "spec": {
                "selector": {"app": "web", "pod-template-hash": "h2"}, "sessionAffinity": "ClientIP", "ipFamilyPolicy": "SingleStack",
                "ports": [{"name": "http", "port": 80, "targetPort": "http", "protocol": "TCP"}],
            },
        })
    );
    // The API server adds to it; that does not matter. A new port of the user's Service does.
    let mut live = canary;
    live["spec"]["clusterIP"] = json!("10.0.0.9");
    assert_eq!(selected(&live, &service()), "h2");
    let mut changed = service();
    let port = json!({"name": "admin", "port": 81, "protocol": "TCP", "targetPort": 81});
    changed["spec"]["ports"].as_array_mut().unwrap().push(port);
    assert_eq!(selected(&live, &changed), "");
}

#[test]
fn a_pinned_service_is_what_the_pair_is_made_from_without_its_pin() {
    let mut pinned = service();
    pinned["spec"]["selector"]["pod-template-hash"] = json!("h1");
    assert_eq!(user(&pinned, &names()), UserService::Pinned("h1".to_owned()));
    let canary = body(&names(), &pinned, Side::Canary, "h2", "web", &json!({}));
    assert_eq!(
        canary["spec"]["selector"],
        json!({"app": "web", "pod-template-hash": "h2"})
    );
    assert_eq!(selected(&canary, &pinned), "h2");
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
