//! What must not change a verdict: outages, restarts, and pods that show nothing. And what must not change a count.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use belay_engine::rollout::{RolloutStatus, status::Phase};
use belay_lab::Part;
use belay_tests::{
    installed::Controller, scene::Scene, turns::Turn, watching::pods, workload::Workload,
};
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::json;

use crate::{SOON, Traffic, compared, gate, more_readings, scene, turn, when};

/// Waits until so many more looks have counted events.
async fn more_looks(controller: &Controller, looks: f64) {
    more_readings(controller, "counted", looks).await;
}

/// The pods of a version, by the tag of its image.
async fn pods_of(scene: &Scene, workload: &Workload, hash: &str) -> Vec<String> {
    let labels = format!("app={},pod-template-hash={hash}", workload.name);
    let pods: BTreeMap<String, String> = pods(&scene.client, &scene.namespace, &labels)
        .await
        .unwrap();
    pods.into_values().collect()
}

/// A new version on some pods that stays in its only step.
async fn canary(turn: &Turn, scene: &Scene, requests_per_second: f64) -> (Workload, RolloutStatus) {
    let traffic = Traffic {
        replicas: 4,
        requests_per_second,
        errors: (0.01, 0.01),
    };
    let steps = json!([{"replicas": 2, "hold": "1h"}]);
    let web = compared(turn, scene, "web", &traffic, &steps).await;
    web.set_image("web:v2").await.unwrap();
    let status = web
        .status_when(|status| {
            let step = status.step.as_ref().ok_or("no step")?;
            step.ready_at.ok_or("not ready")?;
            Ok(status.clone())
        })
        .await
        .unwrap();
    (web, status)
}

/// Restarts the container of a pod, as its node would report it.
async fn restart(turn: &Turn, scene: &Scene, pod: &str) {
    turn.lab
        .load()
        .unwrap()
        .restart_counters(&scene.namespace, pod);
    let api: Api<Pod> = scene.api();
    let mut status = api.get(pod).await.unwrap().status.unwrap();
    for container in status.container_statuses.iter_mut().flatten() {
        container.restart_count += 1;
        let running = container.state.as_mut().unwrap().running.as_mut().unwrap();
        running.started_at = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            jiff::Timestamp::now(),
        ));
    }
    let patch = json!({"status": {"containerStatuses": status.container_statuses}});
    api.patch_status(pod, &PatchParams::default(), &Patch::Strategic(patch))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_in_mid_canary_and_with_restarted_pods_nothing_is_lost_or_counted_twice() {
    // Given a canary without traffic whose counters are looked at.
    let turn = turn().await;
    let mut controller = turn.acting("counts").await.unwrap();
    let scene = scene(&turn, "counts", json!({})).await;
    let (web, status) = canary(&turn, &scene, 0.0).await;
    more_looks(&controller, 2.0).await;
    let load = turn.lab.load().unwrap();
    let before = load.served(&scene.namespace, "web:v2").requests;
    let stable_before = load.served(&scene.namespace, "web:v1").requests;
    // When there is traffic, and the controller is killed again and again in the middle of it.
    load.set_requests_per_second(&scene.namespace, "web", 200.0);
    for _ in 0..3 {
        more_looks(&controller, 5.0).await;
        controller.kill().await.unwrap();
        controller = turn.acting("counts").await.unwrap();
    }
    // And when a container of each version is restarted, so that its counters begin at zero again.
    let hashes = [
        status.candidate.unwrap().version.hash,
        status.stable.unwrap().hash,
    ];
    for hash in &hashes {
        // What was counted since the last scrape goes with the process; without traffic that is nothing.
        load.set_requests_per_second(&scene.namespace, "web", 0.0);
        more_looks(&controller, 3.0).await;
        let pod = pods_of(&scene, &web, hash).await.remove(0);
        restart(&turn, &scene, &pod).await;
        more_looks(&controller, 2.0).await;
        load.set_requests_per_second(&scene.namespace, "web", 200.0);
        more_looks(&controller, 3.0).await;
    }
    load.set_requests_per_second(&scene.namespace, "web", 0.0);
    // Then, when all is counted, it is what was served: no request more, none less.
    let canary = load.served(&scene.namespace, "web:v2").requests - before;
    let stable = load.served(&scene.namespace, "web:v1").requests - stable_before;
    let evidence = when(&web, |status| {
        let evidence = gate(status).and_then(|gate| gate.evidence.clone());
        let evidence = evidence.ok_or("no evidence")?;
        let seen = (evidence.canary.total(), evidence.stable.total());
        #[allow(clippy::cast_precision_loss)]
        let served = (canary as f64, stable as f64);
        if seen == served {
            Ok(evidence)
        } else {
            Err(format!("{seen:?} counted of {served:?} served"))
        }
    })
    .await;
    println!(
        "{} canary and {} stable requests counted, as served",
        evidence.canary.total(),
        evidence.stable.total()
    );
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_prometheus_and_pods_without_metrics_change_no_verdict() {
    const OUTAGE: Duration = Duration::from_mins(1);
    // Given a canary in its first step, whose gate has passed.
    let turn = turn().await;
    let controller = turn.acting("outage").await.unwrap();
    let scene = scene(&turn, "outage", json!({})).await;
    let (web, status) = canary(&turn, &scene, 200.0).await;
    more_looks(&controller, 5.0).await;
    // When a pod of each version shows no metrics any more.
    let hashes = [
        status.candidate.unwrap().version.hash,
        status.stable.unwrap().hash,
    ];
    for hash in &hashes {
        let pod = pods_of(&scene, &web, hash).await.remove(0);
        turn.lab.load().unwrap().silence(&scene.namespace, &pod);
    }
    more_looks(&controller, 10.0).await;
    stands(&web).await;
    // And when Prometheus is away for a minute.
    turn.lab.kill(Part::Prometheus).await.unwrap();
    let gone = Instant::now();
    while gone.elapsed() < OUTAGE {
        tokio::time::sleep(Duration::from_secs(5)).await;
        stands(&web).await;
    }
    turn.lab.start(Part::Prometheus).await.unwrap();
    more_looks(&controller, 5.0).await;
    stands(&web).await;
    // Then a person may skip the rest of the hold, and the version is promoted.
    scene.act("web", "Skip").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    controller.terminate().await.unwrap();
}

/// The canary is neither forward nor back.
async fn stands(web: &Workload) {
    let status = web.status().await.unwrap();
    assert_eq!(status.phase, Phase::Progressing, "{:?}", status.rollback);
    assert!(status.rollback.is_none() && status.quarantine.is_empty());
}
