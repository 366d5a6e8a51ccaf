//! One Rollout with several routes of several routers: all are led alike, each is waited for that says when it is done, and all are as
//! they were at the end.

use belay::traffic::{self, Names};
use belay_engine::{
    rollout::status::Phase,
    traffic::{RouteState, RouterKind, Split},
};
use belay_lab::wait_for;
use belay_tests::{
    routers::KINDS,
    scene::{SOON, Scene},
};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, is_served},
    lab,
    manifests::{route, service},
    ownership::owners,
    writers::Writer,
};

/// A route of the user's.
struct Route {
    kind: RouterKind,
    name: &'static str,
    api: Api<DynamicObject>,
}

impl Route {
    /// Brought by a tool, with this name.
    async fn brought(scene: &Scene, kind: RouterKind, name: &'static str, source: Value) -> Self {
        let mut source = source;
        source["metadata"]["name"] = json!(name);
        let resource = traffic::resource(kind);
        let api = Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource);
        Writer::Flux.create(&api, &source).await;
        Self { kind, name, api }
    }

    async fn get(&self) -> DynamicObject {
        self.api.get(self.name).await.unwrap()
    }

    /// What it says, and who owns what in it but its status.
    async fn state(&self) -> Value {
        let object = self.get().await;
        let mut owners = owners(&object);
        let entries = owners.as_array_mut().unwrap();
        entries.retain(|entry| entry["subresource"] != "status");
        json!({"spec": object.data["spec"], "owners": owners})
    }

    async fn is_led(&self, names: &Names, percent: u8) {
        let object = self.get().await;
        let state = traffic::read(self.kind, &object.data, names);
        assert_eq!(
            state,
            RouteState::Split(Split::share(percent)),
            "{}",
            object.name_any()
        );
    }
}

/// A route for callers inside the mesh: its parent is the Service itself.
fn of_mesh(namespace: &str) -> Value {
    let mut route = route(RouterKind::HttpRoute, namespace);
    route["spec"] = json!({
        "parentRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80}],
        "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
    });
    route
}

#[tokio::test(flavor = "multi_thread")]
async fn several_routes_of_several_routers_are_led_together_and_let_go_together() {
    // Given a Service with a route of each kind, and one more for a mesh.
    let scene = Scene::new(lab().await, "several").await.unwrap();
    let (client, namespace) = (&scene.client, &scene.namespace);
    let services = Api::namespaced_with(
        client.clone(),
        namespace,
        &ApiResource::erase::<Service>(&()),
    );
    Writer::Flux.create(&services, &service(namespace)).await;
    let mut routes = Vec::new();
    for kind in KINDS {
        routes.push(Route::brought(&scene, kind, "web", route(kind, namespace)).await);
    }
    let mesh = of_mesh(namespace);
    routes.push(Route::brought(&scene, RouterKind::HttpRoute, "mesh", mesh).await);
    let listed: Vec<Value> = routes
        .iter()
        .map(|route| json!({"kind": route.kind, "name": route.name}))
        .collect();
    let spec = json!({
        "strategy": {"canary": {"steps": [{"weight": 30, "approval": true}, {"weight": 60, "approval": true}]}},
        "traffic": {"service": "web", "routes": listed, "drain": "1s"},
    });
    let web = scene.workload_with("web", 3, spec).await.unwrap();
    wait_for("the Service to have endpoints", SOON, || async {
        let served = is_served(&scene.api(), "web").await;
        served.then_some(()).ok_or_else(|| "it has none".to_owned())
    })
    .await
    .unwrap();
    let _http = Gateway::begin(client, namespace);
    let mut before = Vec::new();
    for route in &routes {
        before.push(route.state().await);
    }
    // When a new version is asked for, then it waits for the one router that says nothing though it should, by the route's name.
    web.set_image("web:v2").await.unwrap();
    web.status_when(|status| match &status.waiting_for {
        Some(waiting)
            if waiting.reason == "Traffic" && waiting.message.contains("GRPCRoute web") =>
        {
            Ok(())
        }
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    let _grpc = Gateway::of(RouterKind::GrpcRoute, client, namespace);
    // When that one has taken it up, then all of them give what the step says, and so in the next one.
    let names = Names::new(namespace, "web");
    for percent in [30, 60] {
        web.status_when(
            |status| match (&status.waiting_for, status.weight_percent) {
                (Some(waiting), Some(share))
                    if waiting.reason == "Approval" && share == i32::from(percent) =>
                {
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            },
        )
        .await
        .unwrap();
        for route in &routes {
            route.is_led(&names, percent).await;
        }
        let verb = if percent == 30 { "Approve" } else { "Abort" };
        scene.act("web", verb).await.unwrap();
    }
    // When it is aborted, then each of them is what it was, to the letter, and no Service is left.
    web.is_in(Phase::Rejected).await.unwrap();
    wait_for("everything to be as before", SOON, || async {
        for (route, before) in routes.iter().zip(&before) {
            let now = route.state().await;
            if now != *before {
                return Err(format!("{now:#}, not {before:#}"));
            }
        }
        let left = services
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len();
        (left == 1)
            .then_some(())
            .ok_or_else(|| format!("{left} Services"))
    })
    .await
    .unwrap();
}
