//! A route and a Service that a Release brings from Git, led by a Rollout of somebody else's.

use belay::traffic::resource;
use belay_engine::{
    release::{Phase as ReleasePhase, ReleaseStatus},
    rollout::status::Phase,
    traffic::RouterKind,
};
use belay_lab::wait_for;
use belay_tests::{
    installed::NAMESPACE,
    measure::audit::Mark,
    scene::{SOON, Scene},
    tenant::{Tenant, config_map},
    told::condition,
    workload::Workload,
};
use k8s_openapi::api::core::v1::Service;
use kube::{Api, api::DynamicObject};
use serde_json::{Value, json};

use crate::{
    gateway::{Gateway, is_served},
    lab,
    manifests::{route, service},
    ownership::owners,
};

/// What the objects say, and who owns what.
async fn state(tenant: &Tenant) -> Value {
    let routes: Api<DynamicObject> = Api::namespaced_with(
        tenant.client.clone(),
        &tenant.namespace,
        &resource(RouterKind::HttpRoute),
    );
    let services: Api<DynamicObject> = Api::namespaced_with(
        tenant.client.clone(),
        &tenant.namespace,
        &kube::api::ApiResource::erase::<Service>(&()),
    );
    let mut states = Vec::new();
    for api in [routes, services] {
        let object = api.get("web").await.unwrap();
        let mut owners = owners(&object);
        owners
            .as_array_mut()
            .unwrap()
            .retain(|entry| entry["subresource"] != "status");
        states.push(json!({"spec": object.data["spec"], "owners": owners}));
    }
    json!(states)
}

fn is_quiet(status: &ReleaseStatus) -> bool {
    status.phase == ReleasePhase::Verified && condition(&status.conditions, "Drifted").is_none()
}

/// A Release of a route and a Service, and a Rollout that it knows nothing of.
struct Given {
    tenant: Tenant,
    scene: Scene,
    web: Workload,
    gateway: Gateway,
}

async fn given() -> Given {
    let lab = lab().await;
    let tenant = Tenant::create(lab, "gitops").await.unwrap();
    let routes = json!([{"apiGroups": ["gateway.networking.k8s.io"], "resources": ["httproutes"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]}]);
    tenant.allow_cluster(&routes).await.unwrap();
    let mut source = route(RouterKind::HttpRoute, &tenant.namespace);
    source["spec"]["rules"] = json!([{"backendRefs": [{"name": "web", "port": 80}]}]);
    let files = [
        ("route.yaml", source.to_string()),
        ("service.yaml", service(&tenant.namespace).to_string()),
        ("config.yaml", config_map("config", "one")),
    ];
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (*name, text.as_str()))
        .collect();
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    tenant.release(&json!({})).await.unwrap();
    tenant
        .phase(ReleasePhase::Verified, &commit, SOON)
        .await
        .unwrap();
    let scene = Scene {
        client: tenant.client.clone(),
        namespace: tenant.namespace.clone(),
    };
    let spec = json!({
        "strategy": {"canary": {"steps": [{"weight": 40, "approval": true}, {"weight": 100}]}},
        "traffic": {"service": "web", "routes": [{"kind": "HTTPRoute", "name": "web"}], "drain": "1s"},
    });
    let web = scene.workload_with("web", 2, spec).await.unwrap();
    wait_for("the Service to have endpoints", SOON, || async {
        let served = is_served(&scene.api(), "web").await;
        served.then_some(()).ok_or_else(|| "it has none".to_owned())
    })
    .await
    .unwrap();
    let gateway = Gateway::begin(&scene.client, &scene.namespace);
    Given {
        tenant,
        scene,
        web,
        gateway,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_sees_no_drift_in_what_is_led_and_a_newer_commit_of_it_changes_nothing_lasting() {
    let Given {
        tenant,
        scene,
        web,
        gateway,
    } = given().await;
    let before = state(&tenant).await;
    // When the route is led.
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Approval").await.unwrap();
    assert!(gateway.shares().contains(&40), "{:?}", gateway.shares());
    // Also what is applied in another's name is on Belay's account.
    let user = format!("system:serviceaccount:{NAMESPACE}:belay");
    let log = lab().await.audit_log_path().unwrap();
    let mark = Mark::now(&log, &user).unwrap().within(&tenant.namespace);
    // Then the Release, which has a reason to look at everything, neither reports nor writes anything: its content is the same.
    let note = tenant
        .repo
        .commit(&[("README.md", "# Shop\n")], "Tell")
        .await
        .unwrap();
    tenant
        .phase(ReleasePhase::Verified, &note, SOON)
        .await
        .unwrap();
    tenant.wait("quiet", SOON, is_quiet).await.unwrap();
    let requests = mark.since().unwrap();
    let written = |kind: &&String| kind.contains("httproutes") || kind.contains("services");
    let written = requests
        .by_kind
        .keys()
        .find(|kind| written(kind) && !kind.starts_with("watch") && !kind.starts_with("get"));
    assert_eq!(written, None, "{requests:?}");
    assert_eq!(gateway.shares().last(), Some(&40));

    // When a newer commit has it apply everything.
    let config = config_map("config", "two");
    let commit = tenant
        .repo
        .commit(&[("config.yaml", &config)], "More")
        .await
        .unwrap();
    tenant
        .phase(ReleasePhase::Verified, &commit, SOON)
        .await
        .unwrap();
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
    // Then the route is led as before, or again.
    wait_for("the route to be led", SOON, || async {
        let last = gateway.shares().last().copied();
        (last == Some(40))
            .then_some(())
            .ok_or_else(|| format!("{last:?}"))
    })
    .await
    .unwrap();
    tenant.wait("quiet", SOON, is_quiet).await.unwrap();

    // When the rollout ends, then all is as in Git, and the Release is quiet.
    scene.act("web", "Approve").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    wait_for("everything to be as before", SOON, || async {
        let now = state(&tenant).await;
        (now == before)
            .then_some(())
            .ok_or_else(|| format!("{now:#}"))
    })
    .await
    .unwrap();
    let status = tenant.wait("quiet", SOON, is_quiet).await.unwrap();
    assert_eq!(status.phase, ReleasePhase::Verified);
    for moment in gateway.moments() {
        assert_eq!(moment.empty, Vec::<String>::new(), "{moment:?}");
    }
}
