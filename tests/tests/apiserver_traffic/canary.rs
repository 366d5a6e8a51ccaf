//! Whole rollouts with an `HTTPRoute`: the controller installed from the chart leads, and a gateway acknowledges.

use belay::traffic::resource;
use belay_engine::{rollout::status::Phase, traffic::RouterKind};
use belay_lab::wait_for;
use belay_tests::{
    scene::{SOON, Scene},
    watching::pods,
    workload::Workload,
};
use k8s_openapi::api::core::v1::Service;
use kube::{
    Api,
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

/// A workload behind a Service and a route, both brought by Flux.
pub(crate) struct Shop {
    pub(crate) scene: Scene,
    pub(crate) web: Workload,
    pub(crate) gateway: Gateway,
    before: [Value; 2],
}

impl Shop {
    /// Healthy, with these steps and gates.
    pub(crate) async fn open(prefix: &str, replicas: i32, steps: Value, gates: &[&str]) -> Self {
        let spec = json!({
            "strategy": {"canary": {"steps": steps}},
            "traffic": {"service": "web", "routes": [{"kind": "HTTPRoute", "name": "web"}], "drain": "1s"},
        });
        Self::open_with(prefix, replicas, spec, gates, &[]).await
    }

    /// Healthy, with this spec and these gates throughout; the steps' own gates are in the spec, and pass, too.
    pub(crate) async fn open_with(
        prefix: &str,
        replicas: i32,
        spec: Value,
        gates: &[&str],
        of_steps: &[&str],
    ) -> Self {
        let scene = Scene::new(lab().await, prefix).await.unwrap();
        for gate in of_steps {
            scene.gate(gate, "vector(0)").await.unwrap();
        }
        Self::brought_by(Writer::Flux, scene, replicas, spec, gates).await
    }

    /// Healthy, with objects that this tool brought.
    pub(crate) async fn brought_by(
        writer: Writer,
        scene: Scene,
        replicas: i32,
        mut spec: Value,
        gates: &[&str],
    ) -> Self {
        for (api, source) in sources(&scene) {
            writer.create(&api, &source).await;
        }
        for gate in gates {
            scene.gate(gate, "vector(0)").await.unwrap();
        }
        let gates: Vec<Value> = gates.iter().map(|gate| json!({"template": gate})).collect();
        spec["verification"] = json!({"gates": gates});
        let web = scene.workload_with("web", replicas, spec).await.unwrap();
        let gateway = opened(&scene).await;
        let before = state(&scene).await;
        Self {
            scene,
            web,
            gateway,
            before,
        }
    }

    /// Waits until nothing of Belay's is left in routes and Services, and checks what the gateway read in all the time.
    pub(crate) async fn is_as_before(&self) {
        is_as(&self.before, &self.scene, &self.gateway).await;
    }
}

/// Waits until routes and Services are as they were, and checks that the gateway never had nobody to send requests to.
pub(crate) async fn is_as(before: &[Value; 2], scene: &Scene, gateway: &Gateway) {
    wait_for("everything to be as before", SOON, || async {
        let now = state(scene).await;
        if now != *before {
            return Err(format!("{now:#?}"));
        }
        let services: Api<Service> = scene.api();
        let left = services
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len();
        if left == 1 {
            Ok(())
        } else {
            Err(format!("{left} Services"))
        }
    })
    .await
    .unwrap();
    for moment in gateway.moments() {
        assert_eq!(moment.empty, Vec::<String>::new(), "{moment:?}");
    }
}

/// The gateway, once it leads to the pods behind the user's Service.
pub(crate) async fn opened(scene: &Scene) -> Gateway {
    wait_for("the Service to have endpoints", SOON, || async {
        if is_served(&scene.api(), "web").await {
            Ok(())
        } else {
            Err("it has none".to_owned())
        }
    })
    .await
    .unwrap();
    let gateway = Gateway::begin(&scene.client, &scene.namespace);
    wait_for("the gateway to read the route", SOON, || async {
        match gateway.shares().as_slice() {
            [0] => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    gateway
}

/// The user's objects, with the APIs by which they are written.
pub(crate) fn sources(scene: &Scene) -> [(Api<DynamicObject>, Value); 2] {
    let api = |resource: &ApiResource| {
        Api::namespaced_with(scene.client.clone(), &scene.namespace, resource)
    };
    let mut route = route(RouterKind::HttpRoute, &scene.namespace);
    // Only destinations that exist, for the gateway looks for their endpoints.
    route["spec"]["rules"] = json!([{"backendRefs": [{"name": "web", "port": 80}]}]);
    [
        (api(&resource(RouterKind::HttpRoute)), route),
        (
            api(&ApiResource::erase::<Service>(&())),
            service(&scene.namespace),
        ),
    ]
}

/// What the user's objects say, and who owns what in them.
pub(crate) async fn state(scene: &Scene) -> [Value; 2] {
    let mut state = [Value::Null, Value::Null];
    for (now, (api, _)) in state.iter_mut().zip(sources(scene)) {
        let object = api.get("web").await.unwrap();
        let mut owners = owners(&object);
        // What the gateway says of itself comes when it comes.
        owners
            .as_array_mut()
            .unwrap()
            .retain(|entry| entry["subresource"] != "status");
        *now = json!({"spec": object.data["spec"], "owners": owners});
    }
    state
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_its_shares_by_the_route_is_promoted_and_leaves_nothing_behind() {
    let steps = json!([{"weight": 10}, {"weight": 60, "approval": true}, {"weight": 100}]);
    let shop = Shop::open("route", 4, steps, &["good"]).await;
    // When a new version is asked for.
    shop.web.set_image("web:v2").await.unwrap();
    let status = shop.web.waits_for("Approval").await.unwrap();
    // Then the route gives what the step says, on as many pods as that takes, and the Service stays with the stable version.
    assert_eq!(status.weight_percent, Some(60));
    assert_eq!(status.candidate_replicas, Some(3), "60 % of 4, rounded up");
    assert_eq!(shop.gateway.shares(), [0, 10, 60]);
    let stable = status.stable.unwrap().hash;
    let services: Api<Service> = shop.scene.api();
    let pinned = services
        .get("web")
        .await
        .unwrap()
        .spec
        .unwrap()
        .selector
        .unwrap();
    assert_eq!(pinned.get("pod-template-hash"), Some(&stable));
    // When its sources are applied again in the middle of it.
    for (api, source) in sources(&shop.scene) {
        Writer::Flux.apply(&api, &source).await;
    }
    wait_for("the route to be led again", SOON, || async {
        match shop.gateway.shares().as_slice() {
            [0, 10, 60, 0, 60] => Ok(()),
            // The gateway may not have read what was there for a moment only.
            [0, 10, 60] if led(&shop).await => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    // When a person approves, it goes on to its end.
    shop.scene.act("web", "Approve").await.unwrap();
    shop.web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    shop.is_as_before().await;
    assert!(shop.gateway.shares().contains(&100));
    let all = pods(&shop.scene.client, &shop.scene.namespace, "app=web")
        .await
        .unwrap();
    assert_eq!(all.len(), 4);
}

/// Whether the route leads to the canary, in a version that belongs to Belay.
async fn led(shop: &Shop) -> bool {
    let [route, _] = state(&shop.scene).await;
    route["owners"].to_string().contains("belay-traffic")
        && route["spec"].to_string().contains("web-canary")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_gate_sends_the_route_home_before_any_pod_goes() {
    let steps = json!([{"weight": 30, "hold": "1h"}]);
    let shop = Shop::open("back", 3, steps, &["errors"]).await;
    let before = pods(&shop.scene.client, &shop.scene.namespace, "app=web")
        .await
        .unwrap();
    shop.web.set_image("web:v2").await.unwrap();
    shop.web.waits_for("Hold").await.unwrap();
    // When a gate fails.
    shop.scene.set_query("errors", "vector(1)").await.unwrap();
    shop.web.is_in(Phase::Rejected).await.unwrap();
    // Then requests go where they went, and the same pods serve them.
    shop.is_as_before().await;
    assert_eq!(shop.gateway.shares(), [0, 30, 0]);
    let after = pods(&shop.scene.client, &shop.scene.namespace, "app=web")
        .await
        .unwrap();
    assert_eq!(after, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cohort_comes_first_and_a_newer_version_starts_over() {
    let steps = json!([
        {"match": [{"headers": [{"name": "X-Beta", "exact": "yes"}]}], "hold": "1h"},
        {"weight": 50},
    ]);
    let shop = Shop::open("cohort", 2, steps, &[]).await;
    shop.web.set_image("web:v2").await.unwrap();
    let old = shop.web.waits_for("Hold").await.unwrap().candidate.unwrap();
    // Then a rule for the cohort stands before the user's own.
    let [(api, _), _] = sources(&shop.scene);
    let rules = api.get("web").await.unwrap().data["spec"]["rules"].clone();
    assert_eq!(
        rules[0]["matches"][0]["headers"],
        json!([{"type": "Exact", "name": "x-beta", "value": "yes"}])
    );
    assert_eq!(rules[0]["backendRefs"][0]["name"], "web-canary");
    assert_eq!(rules[1]["backendRefs"][0]["name"], "web-stable");
    // When a newer version is asked for in the middle of it, it gets the cohort instead.
    shop.web.set_image("web:v3").await.unwrap();
    let status = shop
        .web
        .status_when(|status| match (&status.candidate, &status.waiting_for) {
            (Some(candidate), Some(waiting))
                if candidate.version.version == "v3" && waiting.reason == "Hold" =>
            {
                Ok(status.clone())
            }
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    let services: Api<Service> = shop.scene.api();
    let canary = services
        .get("web-canary")
        .await
        .unwrap()
        .spec
        .unwrap()
        .selector
        .unwrap();
    let hash = status.candidate.unwrap().version.hash;
    assert_ne!(hash, old.version.hash);
    assert_eq!(canary.get("pod-template-hash"), Some(&hash));
    // When its author takes the change back, nothing is left.
    shop.web.set_image("web:v1").await.unwrap();
    shop.web.settled(Phase::Healthy, "v1", SOON).await.unwrap();
    shop.is_as_before().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_rollout_lets_routes_and_services_go() {
    let steps = json!([{"weight": 20, "hold": "1h"}]);
    let shop = Shop::open("gone", 2, steps, &[]).await;
    shop.web.set_image("web:v2").await.unwrap();
    shop.web.waits_for("Hold").await.unwrap();
    let rollouts = shop.web.rollouts();
    rollouts
        .delete("web", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    belay_lab::wait_for_object(&rollouts, "web", SOON, |rollout| {
        rollout.map_or(Ok(()), |_| Err("it is still there".to_owned()))
    })
    .await
    .unwrap();
    shop.is_as_before().await;
}
