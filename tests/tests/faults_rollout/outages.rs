//! Two controllers, no API server, a hold that came late.

use std::time::Duration;

use belay_api::names::ROLLOUT_LABEL;
use belay_engine::rollout::status::Phase;
use belay_lab::Part;
use belay_tests::{
    daemon::{self, Agent},
    installed::{Controller, NAMESPACE},
    scene::Scene,
};
use k8s_openapi::api::coordination::v1::Lease;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};

use crate::{SOON, only_this_version_runs, turn, two_steps};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_controllers_one_acts_and_the_other_takes_over() {
    // Given two controllers.
    let turn = turn().await;
    let first = turn.acting("first").await.unwrap();
    let second = turn.controller("second").await.unwrap();
    let scene = Scene::new(turn.lab, "two").await.unwrap();
    let web = scene
        .workload("web", 3, &json!([{"replicas": 1, "approval": true}]), &[])
        .await
        .unwrap();
    // When a canary runs.
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Approval").await.unwrap();
    // Then only the first has the lease and has written anything.
    assert_eq!((leads(&first).await, leads(&second).await), (true, false));
    assert_eq!(workload_writes(&second).await, 0, "the standby wrote");
    assert!(workload_writes(&first).await > 0);
    // When the first is killed without a goodbye.
    first.kill().await.unwrap();
    scene
        .make_action(&scene.client, "web", "Approve")
        .await
        .unwrap();
    // Then the second finishes what the first began.
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    assert!(leads(&second).await);
    // When the second says goodbye to a third.
    let third = turn.controller("third").await.unwrap();
    second.terminate().await.unwrap();
    // Then the third need not wait for the lease to run out: it was given up.
    let leases: Api<Lease> = Api::namespaced(scene.client.clone(), NAMESPACE);
    let lease = leases.get("belay-controller").await.unwrap();
    let holder = lease.spec.and_then(|spec| spec.holder_identity);
    assert_ne!(holder.as_deref(), Some("second"));
    third.acting().await.unwrap();
    web.set_image("web:v3").await.unwrap();
    web.waits_for("Approval").await.unwrap();
    third.terminate().await.unwrap();
}

async fn leads(controller: &Controller) -> bool {
    controller
        .metrics()
        .await
        .unwrap()
        .lines()
        .any(|line| line.trim() == "belay_lease_held 1")
}

/// Writes to ReplicaSets, Deployments and Rollouts by the controller's own count.
async fn workload_writes(controller: &Controller) -> u64 {
    let metrics = controller.metrics().await.unwrap();
    let of_workloads = |line: &&str| {
        line.starts_with("belay_api_requests_total{")
            && ["create", "patch", "update", "delete"]
                .iter()
                .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
            && ["replicasets", "deployments", "rollouts"]
                .iter()
                .any(|kind| line.contains(&format!("resource=\"{kind}")))
    };
    metrics
        .lines()
        .filter(of_workloads)
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .map(|count| count as u64)
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_api_server_restarted_in_mid_canary_it_goes_on() {
    // Given a canary in its first step.
    let turn = turn().await;
    let controller = turn.acting("apiserver").await.unwrap();
    let scene = Scene::new(turn.lab, "apiserver").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let web = scene
        .workload("web", 4, &two_steps(), &["good"])
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    web.is_in(Phase::Progressing).await.unwrap();
    // When the API server is killed and comes back.
    turn.lab.kill(Part::ApiServer).await.unwrap();
    turn.lab.start(Part::ApiServer).await.unwrap();
    // Then the canary ends as if nothing had been.
    web.settled(Phase::Healthy, "v2", Duration::from_mins(2))
        .await
        .unwrap();
    only_this_version_runs(&scene, &web, "v2", 4).await;
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_slipped_in_before_the_hold_was_in_force_is_found_and_watched() {
    // Given a governed workload, and nobody who acts.
    let turn = turn().await;
    let controller = turn.acting("slipped").await.unwrap();
    let scene = Scene::new(turn.lab, "slipped").await.unwrap();
    let web = scene.workload("web", 3, &two_steps(), &[]).await.unwrap();
    controller.kill().await.unwrap();
    // When another version rolls natively while the workload is not held, and the hold comes after it.
    web.patch(json!({"metadata": {"labels": {ROLLOUT_LABEL: null}}}))
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    only_this_version_runs(&scene, &web, "v2", 3).await;
    web.patch(json!({"metadata": {"labels": {ROLLOUT_LABEL: "web"}}, "spec": {"paused": true}}))
        .await
        .unwrap();
    // Then whoever acts next finds what serves, though it never was labelled, and accepts it after having watched it.
    let controller = turn.acting("slipped").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    only_this_version_runs(&scene, &web, "v2", 3).await;
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_sets_version_that_slipped_in_before_the_hold_was_in_force_is_watched_and_can_go_back()
 {
    // Given a governed DaemonSet, and nobody who acts.
    let turn = turn().await;
    let controller = turn.acting("slipped-nodes").await.unwrap();
    let scene = Scene::new(turn.lab, "slipped-nodes").await.unwrap();
    scene.gate("errors", "vector(0)").await.unwrap();
    let nodes = [("n1", "core"), ("n2", "core"), ("n3", "edge")];
    let spec = daemon::canary(&json!([{"replicas": 1, "hold": "1s"}]), &["errors"]);
    let agent = Agent::healthy(&scene, &nodes, spec).await.unwrap();
    controller.kill().await.unwrap();
    // When another version rolls natively past the hold, then whoever acts next finds it and accepts it after having watched it.
    slip(&agent, "v2").await;
    let controller = turn.acting("slipped-nodes").await.unwrap();
    agent
        .rollout
        .settled(Phase::Healthy, "v2", SOON)
        .await
        .unwrap();
    agent.runs(&["v2", "v2", "v2"]).await.unwrap();
    agent.strategy_is("RollingUpdate").await.unwrap();
    controller.kill().await.unwrap();
    // When a bad one does, then it is taken back from all nodes.
    scene.set_query("errors", "vector(1)").await.unwrap();
    slip(&agent, "v3").await;
    let controller = turn.acting("slipped-nodes").await.unwrap();
    agent.runs(&["v2", "v2", "v2"]).await.unwrap();
    agent
        .rollout
        .settled(Phase::Healthy, "v2", SOON)
        .await
        .unwrap();
    assert_eq!(agent.tag().await.unwrap(), "v2");
    controller.terminate().await.unwrap();
}

/// Another version comes while the DaemonSet has no label, so that no policy holds it, and runs on all nodes.
async fn slip(agent: &Agent, tag: &str) {
    let label = |value: Value| {
        let patch = Patch::Merge(json!({"metadata": {"labels": {ROLLOUT_LABEL: value}}}));
        async move {
            let parameters = PatchParams::default();
            let patched = agent.sets.patch("agent", &parameters, &patch).await;
            patched.unwrap();
        }
    };
    label(Value::Null).await;
    agent.apply(tag).await.unwrap();
    agent.runs(&[tag; 3]).await.unwrap();
    label(json!("agent")).await;
}
