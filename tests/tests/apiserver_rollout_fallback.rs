//! Rollouts on an API server without `MutatingAdmissionPolicy`: governed Deployments stay paused while idle too.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use belay_api::Action;
use belay_engine::rollout::status::Phase;
use belay_lab::{Lab, wait_for_object};
use belay_tests::{
    daemon::{self, Agent},
    scene::{SOON, Scene},
    stage::Stage,
    watching::{SetWatch, pods},
    workload::Workload,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

static STAGE: Stage = Stage::without_hold_policy();

async fn lab() -> &'static Lab {
    STAGE
        .lab(|| Lab::builder().without_mutating_admission_policy())
        .await
        .expect("the lab starts")
}

async fn paused(web: &Workload) {
    wait_for_object(&web.deployments(), "web", SOON, |d: Option<&Deployment>| {
        let paused = d.and_then(|d| d.spec.as_ref()?.paused);
        if paused == Some(true) {
            Ok(())
        } else {
            Err(format!("paused: {paused:?}"))
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_deployment_stays_paused_scales_and_is_canaried_all_the_same() {
    let scene = Scene::new(lab().await, "fallback").await.unwrap();
    let steps = json!([{"weight": 50, "approval": true}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    paused(&web).await;
    // Paused, it still follows its replicas.
    web.patch(json!({"spec": {"replicas": 3}})).await.unwrap();
    wait_for_object(&web.deployments(), "web", SOON, |d: Option<&Deployment>| {
        let available = d.and_then(|d| d.status.as_ref()?.available_replicas);
        if available == Some(3) {
            Ok(())
        } else {
            Err(format!("{available:?}"))
        }
    })
    .await
    .unwrap();
    let sets = SetWatch::begin(&scene.client, &scene.namespace, "app=web").await;
    // A new version is canaried, its pods are kept, and the Deployment is paused again.
    web.set_image("web:v2").await.unwrap();
    let status = web.waits_for("Approval").await.unwrap();
    let hash = status.candidate.unwrap().version.hash;
    let labels = format!("pod-template-hash={hash}");
    let canaries = pods(&scene.client, &scene.namespace, &labels)
        .await
        .unwrap();
    let stable = status.stable.unwrap().hash;
    assert_eq!(sets.seen()[&stable], [3]);
    act(&scene, "web", "Approve").await;
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    paused(&web).await;
    let after = pods(&scene.client, &scene.namespace, "app=web")
        .await
        .unwrap();
    assert!(canaries.keys().all(|uid| after.contains_key(uid)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_daemon_set_stays_held_and_is_held_again_after_a_version_that_was_let_go() {
    // Given a DaemonSet, which no policy holds.
    let scene = Scene::new(lab().await, "fallback-nodes").await.unwrap();
    let nodes = [("n1", "core"), ("n2", "core"), ("n3", "edge")];
    let spec = daemon::canary(&json!([{"replicas": 1, "approval": true}]), &[]);
    let agent = Agent::healthy(&scene, &nodes, spec).await.unwrap();
    agent.strategy_is("OnDelete").await.unwrap();
    // When its image is changed, then the first node alone gets it, and the others after approval; then it is held again.
    let containers = json!([{"name": "main", "image": "agent:v2"}]);
    let patch =
        Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": containers}}}}));
    let parameters = PatchParams::default();
    agent
        .sets
        .patch("agent", &parameters, &patch)
        .await
        .unwrap();
    agent.rollout.waits_for("Approval").await.unwrap();
    let canary = agent.runs(&["v1", "v1", "v2"]).await.unwrap();
    act(&scene, "agent", "Approve").await;
    agent
        .rollout
        .settled(Phase::Healthy, "v2", SOON)
        .await
        .unwrap();
    let after = agent.runs(&["v2", "v2", "v2"]).await.unwrap();
    assert_eq!(after["n3"], canary["n3"]);
    agent.strategy_is("OnDelete").await.unwrap();
    // When a tool applies a manifest that says that it rolls, then nothing holds it: it is watched on its way, and what comes after it is held
    // again.
    agent.apply("v3-slow-1s").await.unwrap();
    agent
        .rollout
        .settled(Phase::Healthy, "v3-slow-1s", SOON)
        .await
        .unwrap();
    agent.strategy_is("OnDelete").await.unwrap();
}

/// Without the policy a client names itself.
async fn act(scene: &Scene, name: &str, verb: &str) {
    let action = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"generateName": "act-"},
        "spec": {"target": {"kind": "Rollout", "name": name}, "verb": verb, "actor": "lab-admin"},
    }))
    .unwrap();
    let api = scene.api::<Action>();
    api.create(&PostParams::default(), &action).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_must_name_itself_and_cannot_name_another() {
    let scene = Scene::new(lab().await, "named").await.unwrap();
    scene
        .workload("web", 1, &json!([{"weight": 50}]), &[])
        .await
        .unwrap();
    let nobody = scene
        .make_action(&scene.client, "web", "Pause")
        .await
        .unwrap_err();
    assert!(
        nobody
            .to_string()
            .contains("spec.actor must be who makes this Action: lab-admin"),
        "{nobody}"
    );
}
