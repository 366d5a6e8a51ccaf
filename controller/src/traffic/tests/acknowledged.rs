//! What gateways answer.

use belay_engine::traffic::{Acknowledgement, RouterKind};
use serde_json::{Value, json};

use crate::traffic::acknowledged;

fn route(parents: &Value, answers: &Value) -> Value {
    json!({"spec": {"parentRefs": parents}, "status": {"parents": answers}})
}

fn conditions(generation: i64, resolved: &str) -> Value {
    json!([
        {"type": "Accepted", "status": "True", "observedGeneration": generation},
        {"type": "ResolvedRefs", "status": resolved, "observedGeneration": generation,
         "reason": "BackendNotFound", "message": "web-canary"},
    ])
}

fn waits(object: &Value, for_what: &str) {
    match acknowledged(RouterKind::HttpRoute, object, 3) {
        Acknowledgement::Waiting(why) => assert!(why.contains(for_what), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_route_is_acknowledged_when_every_parent_has_read_and_resolved_this_generation() {
    let edge = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"});
    let inner = json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "inner", "sectionName": "http"});
    let answer = |parent: &Value, conditions: Value| json!({"parentRef": parent, "controllerName": "x/y", "conditions": conditions});
    let parents = json!([edge, inner]);
    waits(
        &json!({"spec": {"parentRefs": parents}}),
        "Gateway edge has not taken it up",
    );
    waits(
        &route(&parents, &json!([answer(&edge, conditions(3, "True"))])),
        "Gateway inner has not taken it up",
    );
    waits(
        &route(
            &parents,
            &json!([
                answer(&edge, conditions(2, "True")),
                answer(&inner, conditions(3, "True"))
            ]),
        ),
        "Gateway edge: it has not read the present version yet",
    );
    waits(
        &route(
            &parents,
            &json!([
                answer(&edge, conditions(3, "True")),
                answer(&inner, conditions(3, "False"))
            ]),
        ),
        "Gateway inner: ResolvedRefs is not true (BackendNotFound) web-canary",
    );
    let all = json!([
        answer(&edge, conditions(3, "True")),
        answer(&inner, conditions(4, "True"))
    ]);
    assert_eq!(
        acknowledged(RouterKind::GrpcRoute, &route(&parents, &all), 3),
        Acknowledgement::Given
    );
}

#[test]
fn what_is_accepted_but_not_programmed_is_waited_for_where_a_gateway_says_so() {
    let edge = json!({"name": "edge"});
    let mut answer = json!({"parentRef": edge, "conditions": conditions(3, "True")});
    let programmed = json!({"type": "Programmed", "status": "False", "observedGeneration": 3, "reason": "Pending"});
    answer["conditions"]
        .as_array_mut()
        .unwrap()
        .push(programmed);
    waits(
        &route(&json!([edge]), &json!([answer])),
        "Programmed is not true (Pending)",
    );
}

#[test]
fn istio_and_traefik_never_say() {
    for kind in [RouterKind::VirtualService, RouterKind::TraefikService] {
        assert_eq!(
            acknowledged(kind, &json!({}), 1),
            Acknowledgement::NeverGiven
        );
    }
}
