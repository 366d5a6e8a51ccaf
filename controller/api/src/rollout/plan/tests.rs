//! Plans with and without a router.

use belay_engine::traffic::{Condition, Match, Part, Text};
use serde_json::{Value, json};

use super::*;

/// No template has any gate.
struct Nothing;

impl Templates for Nothing {
    fn gates(&self, _: &GateRef) -> &[GateSpec] {
        &[]
    }
}

fn plan(kind: Option<&str>, steps: &Value) -> Result<Plan, PlanError> {
    let mut spec =
        json!({"workloadRef": {"name": "web"}, "strategy": {"canary": {"steps": steps}}});
    if let Some(kind) = kind {
        spec["traffic"] = json!({"service": "web", "routes": [{"kind": kind, "name": "edge"}]});
    }
    let spec: RolloutSpec = serde_json::from_value(spec).unwrap();
    spec.plan(&Nothing)
}

#[test]
fn with_a_router_a_step_is_a_split_and_may_take_everything() {
    let steps = json!([
        {"match": [{"headers": [{"name": "X-Beta", "exact": "yes"}], "query": [{"name": "q", "regex": "a+"}]}]},
        {"weight": 5, "mirror": 50, "replicas": 2},
        {"weight": 100},
    ]);
    let plan = plan(Some("HTTPRoute"), &steps).unwrap();
    let routing = plan.routing.unwrap();
    assert_eq!(routing.service, "web");
    assert_eq!(routing.drain.as_secs(), 5);
    let splits: Vec<Split> = plan
        .steps
        .iter()
        .map(|step| step.split.clone().unwrap())
        .collect();
    let condition = |part, name: &str, value| Condition {
        part,
        name: name.to_owned(),
        value,
    };
    let cohort = Match {
        all: vec![
            condition(Part::Header, "x-beta", Text::Exact("yes".to_owned())),
            condition(Part::Query, "q", Text::Regex("a+".to_owned())),
        ],
    };
    assert_eq!(
        splits,
        [
            Split {
                cohorts: vec![cohort],
                ..Split::default()
            },
            Split {
                mirror_percent: Some(50),
                ..Split::share(5)
            },
            Split::share(100),
        ]
    );
    assert_eq!(plan.steps[1].share, Share::Replicas(2));
}

#[test]
fn what_a_router_can_not_do_is_refused_with_its_kind() {
    let header = json!([{"match": [{"headers": [{"name": "x", "exact": "y"}]}]}]);
    let cookie = json!([{"match": [{"cookies": [{"name": "x", "exact": "y"}]}]}]);
    let mirror = json!([{"mirror": 10}]);
    for (kind, steps) in [
        ("TraefikService", &header),
        ("TraefikService", &mirror),
        ("GRPCRoute", &cookie),
    ] {
        let error = plan(Some(kind), steps).unwrap_err();
        assert!(error.to_string().contains(kind), "{error}");
    }
    assert!(plan(Some("VirtualService"), &cookie).is_ok());
    assert!(plan(Some("HTTPRoute"), &cookie).is_ok());
}

#[test]
fn shares_of_a_router_only_rise_and_each_step_gives_something() {
    let falling = json!([{"weight": 50}, {"weight": 20, "replicas": "100%"}]);
    assert_eq!(
        plan(Some("HTTPRoute"), &falling).unwrap_err(),
        PlanError::Falling(2)
    );
    assert_eq!(
        plan(Some("HTTPRoute"), &json!([{"replicas": 1}])).unwrap_err(),
        PlanError::NothingLed(1)
    );
}

#[test]
fn without_a_router_nothing_is_told_apart() {
    assert_eq!(
        plan(None, &json!([{"weight": 5, "mirror": 5}])).unwrap_err(),
        PlanError::NeedsRouter(1)
    );
    assert_eq!(
        plan(None, &json!([{"weight": 60}])).unwrap_err(),
        PlanError::WeightTooHigh {
            step: 1,
            weight: 60
        }
    );
    assert!(plan(None, &json!([{"weight": 50}])).is_ok());
}

fn blue_green(traffic: &Value, blue_green: &Value) -> Result<Plan, PlanError> {
    let spec = json!({
        "workloadRef": {"name": "web"}, "strategy": {"blueGreen": blue_green}, "traffic": traffic,
    });
    let spec: RolloutSpec = serde_json::from_value(spec).unwrap();
    spec.plan(&Nothing)
}

#[test]
fn blue_green_is_a_preview_without_requests_and_then_all_of_them() {
    let own = json!({"preview": {"replicas": 1, "hold": "5m", "approval": true}, "scaleDownDelay": "10m"});
    let plan = blue_green(&json!({"service": "web"}), &own).unwrap();
    let [preview, switched] = plan.steps.as_slice() else {
        panic!("{:?}", plan.steps);
    };
    assert_eq!(preview.share, Share::Replicas(1));
    assert_eq!(preview.split, Some(Split::share(0)));
    assert_eq!(preview.approval, Approval::Required);
    assert_eq!(switched.split, Some(Split::share(100)));
    assert_eq!((switched.pods(7), switched.hold.as_secs()), (7, 600));
}

#[test]
fn blue_green_by_default_previews_with_all_pods() {
    let plan = blue_green(&json!({"service": "web"}), &json!({})).unwrap();
    assert_eq!(plan.steps[0].pods(7), 7);
}

#[test]
fn blue_green_needs_something_to_switch_and_a_canary_needs_routes() {
    assert_eq!(
        blue_green(&Value::Null, &json!({})).unwrap_err(),
        PlanError::NothingToSwitch
    );
    let spec = json!({
        "workloadRef": {"name": "web"}, "traffic": {"service": "web"},
        "strategy": {"canary": {"steps": [{"weight": 10}]}},
    });
    let spec: RolloutSpec = serde_json::from_value(spec).unwrap();
    assert_eq!(spec.plan(&Nothing).unwrap_err(), PlanError::NoRoutes);
}

#[test]
fn a_stateful_set_is_led_by_routes_but_gets_nothing_that_takes_all_pods_twice() {
    let plan = |more: Value| {
        let mut spec = json!({"workloadRef": {"kind": "StatefulSet", "name": "db"},
            "strategy": {"canary": {"steps": [{"weight": 10}]}}});
        for (field, value) in more.as_object().unwrap() {
            spec[field] = value.clone();
        }
        let spec: RolloutSpec = serde_json::from_value(spec).unwrap();
        spec.plan(&Nothing)
    };
    assert!(plan(json!({})).is_ok());
    let traffic = json!({"service": "db", "routes": [{"kind": "HTTPRoute", "name": "db"}]});
    let led = plan(json!({"traffic": traffic})).unwrap();
    assert_eq!(led.steps[0].split, Some(Split::share(10)));
    for strategy in [
        json!({"blueGreen": {}}),
        json!({"ab": {"weight": 10, "duration": "1h"}}),
    ] {
        let both = json!({"strategy": strategy, "traffic": traffic});
        assert_eq!(plan(both).unwrap_err(), PlanError::InPlace);
    }
}

#[test]
fn an_ab_test_is_one_step_with_all_pods_that_ends_by_evidence_and_needs_routes() {
    let spec = |traffic: Value| -> RolloutSpec {
        serde_json::from_value(json!({
            "workloadRef": {"name": "web"}, "traffic": traffic,
            "strategy": {"ab": {"match": [{"cookies": [{"name": "group", "exact": "b"}]}], "duration": "2h"}},
        }))
        .unwrap()
    };
    let routes = json!([{"kind": "HTTPRoute", "name": "web"}]);
    let plan = spec(json!({"service": "web", "routes": routes}))
        .plan(&Nothing)
        .unwrap();
    let [test] = plan.steps.as_slice() else {
        panic!("{:?}", plan.steps);
    };
    assert_eq!((test.pods(7), test.hold.as_secs()), (7, 7_200));
    assert_eq!(test.end, End::Evidence);
    assert_eq!(test.split.as_ref().unwrap().cohorts.len(), 1);
    for traffic in [Value::Null, json!({"service": "web"})] {
        assert_eq!(
            spec(traffic).plan(&Nothing).unwrap_err(),
            PlanError::NothingToTell
        );
    }
}

#[test]
fn clients_stay_only_where_something_is_shared_and_the_route_can_keep_them() {
    let plan = |strategy: Value, kind: &str| {
        let spec: RolloutSpec = serde_json::from_value(json!({
            "workloadRef": {"name": "web"}, "strategy": strategy,
            "traffic": {"service": "web", "routes": [{"kind": kind, "name": "web"}], "affinity": {"cookie": "shop"}},
        }))
        .unwrap();
        spec.plan(&Nothing)
    };
    let canary = || json!({"canary": {"steps": [{"weight": 10}]}});
    for kind in ["HTTPRoute", "VirtualService", "TraefikService"] {
        let affinity = plan(canary(), kind)
            .unwrap()
            .routing
            .unwrap()
            .affinity
            .unwrap();
        assert_eq!(
            (affinity.cookie.as_str(), affinity.max_age_seconds),
            ("shop", 86_400)
        );
    }
    assert_eq!(
        plan(canary(), "GRPCRoute").unwrap_err(),
        PlanError::NoAffinity("GRPCRoute")
    );
    let switch = plan(json!({"blueGreen": {}}), "HTTPRoute");
    assert_eq!(switch.unwrap_err(), PlanError::NothingShared);
}
