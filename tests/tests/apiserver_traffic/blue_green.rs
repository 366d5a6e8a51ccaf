//! Blue-green: a preview without requests, then all of them at once, by a route or by the Service itself.

use belay_engine::rollout::status::Phase;
use belay_lab::wait_for;
use belay_tests::{scene::SOON, watching::pods};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use serde_json::{Value, json};

use crate::canary::Shop;

fn spec(routes: &Value, scale_down_delay: &str) -> Value {
    json!({
        "strategy": {"blueGreen": {"preview": {"approval": true}, "scaleDownDelay": scale_down_delay}},
        "traffic": {"service": "web", "routes": routes, "drain": "1s"},
    })
}

/// The version that a Service selects.
async fn selected(shop: &Shop, service: &str) -> Option<String> {
    let services: Api<Service> = shop.scene.api();
    let service = services.get(service).await.unwrap();
    let selector = service.spec.unwrap().selector.unwrap();
    selector.get("pod-template-hash").cloned()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_switch_takes_everything_and_goes_back_in_one_write() {
    let routes = json!([{"kind": "HTTPRoute", "name": "web"}]);
    let shop = Shop::open_with("green", 3, spec(&routes, "1h"), &[], &[]).await;
    let client = &shop.scene.client;
    let blue = pods(client, &shop.scene.namespace, "app=web")
        .await
        .unwrap();
    // When a new version is asked for, it is whole and reached by its own Service, and gets no request.
    shop.web.set_image("web:v2").await.unwrap();
    let preview = shop.web.waits_for("Approval").await.unwrap();
    let green = preview.candidate.unwrap().version.hash;
    assert_eq!(preview.candidate_replicas, Some(3));
    assert_eq!(selected(&shop, "web-canary").await, Some(green));
    assert_eq!(shop.gateway.shares(), [0]);
    // When a person approves, everything goes there, and the stable pods stay.
    shop.scene.act("web", "Approve").await.unwrap();
    shop.web.waits_for("Hold").await.unwrap();
    assert_eq!(shop.gateway.shares(), [0, 100]);
    let both = pods(client, &shop.scene.namespace, "app=web")
        .await
        .unwrap();
    assert_eq!(both.len(), 6);
    // When a person aborts, everything goes back to the very pods that it came from.
    shop.scene.act("web", "Abort").await.unwrap();
    shop.web.is_in(Phase::Rejected).await.unwrap();
    shop.is_as_before().await;
    assert_eq!(shop.gateway.shares(), [0, 100, 0]);
    let after = pods(client, &shop.scene.namespace, "app=web")
        .await
        .unwrap();
    assert_eq!(after, blue);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_route_the_service_itself_is_switched_and_left_as_it_was() {
    let shop = Shop::open_with("switch", 2, spec(&json!([]), "0s"), &[], &[]).await;
    shop.web.set_image("web:v2").await.unwrap();
    let preview = shop.web.waits_for("Approval").await.unwrap();
    // Then the Service stays with the stable version, and the preview has one of its own.
    let blue = preview.stable.unwrap().hash;
    let green = preview.candidate.unwrap().version.hash;
    assert_eq!(selected(&shop, "web").await, Some(blue));
    assert_eq!(selected(&shop, "web-canary").await, Some(green.clone()));
    let canary = format!("pod-template-hash={green}");
    let kept = pods(&shop.scene.client, &shop.scene.namespace, &canary)
        .await
        .unwrap();
    // When a person approves, the new version's pods are the workload's, and nothing is left.
    shop.scene.act("web", "Approve").await.unwrap();
    shop.web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    shop.is_as_before().await;
    wait_for("only the new pods", SOON, || async {
        let now = pods(&shop.scene.client, &shop.scene.namespace, "app=web")
            .await
            .unwrap();
        if now == kept {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
    .unwrap();
}

/// A switch by itself, with gates before and after it.
fn gated(routes: &Value, scale_down_delay: &str) -> Value {
    json!({
        "strategy": {"blueGreen": {
            "preview": {"replicas": 1, "hold": "1s", "gates": [{"template": "before"}]},
            "scaleDownDelay": scale_down_delay,
            "gates": [{"template": "after"}],
        }},
        "traffic": {"service": "web", "routes": routes, "drain": "1s"},
    })
}

const GATES: [&str; 2] = ["before", "after"];

#[tokio::test(flavor = "multi_thread")]
async fn a_preview_that_fails_its_gates_never_gets_a_request() {
    let routes = json!([{"kind": "HTTPRoute", "name": "web"}]);
    let shop = Shop::open_with("bg-before", 2, gated(&routes, "1h"), &[], &GATES).await;
    shop.scene.set_query("before", "vector(1)").await.unwrap();
    shop.web.set_image("web:v2").await.unwrap();
    shop.web.is_in(Phase::Rejected).await.unwrap();
    shop.is_as_before().await;
    assert_eq!(shop.gateway.shares(), [0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_fails_after_the_switch_brings_everything_back_to_the_pods_that_waited() {
    for routes in [json!([{"kind": "HTTPRoute", "name": "web"}]), json!([])] {
        let shop = Shop::open_with("bg-after", 2, gated(&routes, "1h"), &[], &GATES).await;
        let client = &shop.scene.client;
        let blue = pods(client, &shop.scene.namespace, "app=web")
            .await
            .unwrap();
        // When the preview has held and passed, everything is switched without anybody's doing, onto as many pods as there were.
        shop.web.set_image("web:v2").await.unwrap();
        let switched = shop
            .web
            .status_when(
                |status| match (&status.waiting_for, status.weight_percent) {
                    (Some(waiting), Some(100)) if waiting.reason == "Hold" => Ok(status.clone()),
                    other => Err(format!("{other:?}")),
                },
            )
            .await
            .unwrap();
        assert_eq!(switched.candidate_replicas, Some(2));
        // When a gate of the time after fails, then everything goes back to the very pods that it came from.
        shop.scene.set_query("after", "vector(1)").await.unwrap();
        let back = shop.web.is_in(Phase::Rejected).await.unwrap();
        let why = back.rollback.unwrap();
        assert!(why.message.contains("after"), "{why:?}");
        shop.is_as_before().await;
        if routes != json!([]) {
            assert_eq!(shop.gateway.shares(), [0, 100, 0]);
        }
        let after = pods(client, &shop.scene.namespace, "app=web")
            .await
            .unwrap();
        assert_eq!(after, blue);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_that_pass_before_and_after_promote_it_when_the_delay_is_over() {
    let routes = json!([{"kind": "HTTPRoute", "name": "web"}]);
    let shop = Shop::open_with("bg-through", 2, gated(&routes, "1s"), &[], &GATES).await;
    shop.web.set_image("web:v2").await.unwrap();
    shop.web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    shop.is_as_before().await;
    assert_eq!(shop.gateway.shares(), [0, 100, 0]);
}
