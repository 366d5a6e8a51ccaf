//! A router whose kind is not installed. This lab has none, until the test brings one.

use belay::traffic::resource;
use belay_engine::{rollout::status::Phase, traffic::RouterKind};
use belay_lab::Manifests;
use belay_tests::{
    routers,
    scene::{SOON, Scene},
};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
    api::{DynamicObject, PostParams},
};
use serde_json::json;

use super::lab;

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_that_is_not_installed_is_named_and_led_when_it_comes() {
    // Given a Rollout with a route of a kind that the API server does not know.
    let scene = Scene::new(lab().await, "router").await.unwrap();
    let services: Api<Service> = scene.api();
    let service = serde_json::from_value(json!({
        "metadata": {"name": "web"},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]},
    }));
    services
        .create(&PostParams::default(), &service.unwrap())
        .await
        .unwrap();
    let spec = json!({
        "strategy": {"canary": {"steps": [{"weight": 50}]}},
        "traffic": {"service": "web", "routes": [{"kind": "TraefikService", "name": "web"}], "drain": "0s"},
    });
    let web = scene.workload_with("web", 2, spec).await.unwrap();
    // When a new version is asked for, it says what is missing, and starts nothing that requests could reach.
    web.set_image("web:v2").await.unwrap();
    let says = |text: &'static str| {
        let web = web.clone();
        async move {
            web.status_when(|status| match &status.waiting_for {
                Some(waiting) if waiting.message.contains(text) => Ok(()),
                other => Err(format!("{other:?}")),
            })
            .await
            .unwrap();
        }
    };
    says("install the definitions of Traefik").await;
    // When the kind comes, the route itself is what is missing.
    routers::install(lab().await, &[Manifests::Traefik])
        .await
        .unwrap();
    says("TraefikService web does not exist").await;
    // When the route comes, it is led to the end.
    let kind = resource(RouterKind::TraefikService);
    let routes: Api<DynamicObject> =
        Api::namespaced_with(scene.client.clone(), &scene.namespace, &kind);
    let route = DynamicObject::new("web", &kind)
        .data(json!({"spec": {"weighted": {"services": [{"name": "web", "port": 80}]}}}));
    routes.create(&PostParams::default(), &route).await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    let home = routes.get("web").await.unwrap();
    assert_eq!(
        home.data["spec"]["weighted"]["services"],
        json!([{"name": "web", "port": 80}])
    );
}
