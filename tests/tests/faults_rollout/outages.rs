//! Two controllers, no Prometheus, no API server, a hold that came late.

use std::time::{Duration, Instant};

use belay_api::names::ROLLOUT_LABEL;
use belay_engine::rollout::status::Phase;
use belay_lab::Part;
use belay_tests::{installed::Controller, scene::Scene};
use serde_json::json;

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
    let asked = Instant::now();
    second.terminate().await.unwrap();
    third.acting().await.unwrap();
    // Then the third need not wait for the lease to run out.
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "the hand-over took {:?}",
        asked.elapsed()
    );
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
async fn without_prometheus_for_two_minutes_a_canary_is_held_and_then_goes_on() {
    const OUTAGE: Duration = Duration::from_mins(2);
    // Given a canary in its first step.
    let turn = turn().await;
    let controller = turn.acting("prometheus").await.unwrap();
    let scene = Scene::new(turn.lab, "prometheus").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let steps = json!([{"replicas": 1, "hold": "5s"}, {"replicas": 2, "hold": "1s"}]);
    let web = scene.workload("web", 4, &steps, &["good"]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.is_in(Phase::Progressing).await.unwrap();
    // When Prometheus goes away.
    turn.lab.kill(Part::Prometheus).await.unwrap();
    let gone = Instant::now();
    let unknown = |status: &belay_engine::rollout::RolloutStatus| {
        if status.verdict == Some(belay_engine::gate::Verdict::Error) {
            Ok(status.clone())
        } else {
            Err(format!("verdict {:?}", status.verdict))
        }
    };
    let held = web.status_when(unknown).await.unwrap();
    // Then the status says so, and for two minutes nothing moves: neither forward nor back.
    assert_eq!(
        (held.phase, held.step_text.as_deref()),
        (Phase::Progressing, Some("1/2"))
    );
    while gone.elapsed() < OUTAGE {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let status = web.rollouts().get("web").await.unwrap().status.unwrap();
        assert_eq!(
            (status.phase, status.step_text.as_deref()),
            (Phase::Progressing, Some("1/2"))
        );
        assert!(status.rollback.is_none() && status.quarantine.is_empty());
    }
    let waiting = web
        .rollouts()
        .get("web")
        .await
        .unwrap()
        .status
        .unwrap()
        .waiting_for
        .unwrap();
    assert!(
        waiting.message.contains("good/value"),
        "the sentence names the gate: {}",
        waiting.message
    );
    // When it is back, then the canary goes on to its end.
    turn.lab.start(Part::Prometheus).await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    controller.terminate().await.unwrap();
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
