//! Baselines that are not the stable pods.

use belay_tests::{scene::Scene, turns::Turn};
use futures::future::join;
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::{
    methods::{compare, gated, is_rolled_back, passes, requests, template},
    shared_turn,
};

/// Another workload, which serves well, and a Service in front of it.
async fn reference(turn: &Turn, scene: &Scene) {
    let labels = json!({"app": "reference"});
    let containers = json!([{"name": "main", "image": "reference:v1"}]);
    let deployment: Deployment = serde_json::from_value(json!({
        "metadata": {"name": "reference"},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels},
                 "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}}},
    }))
    .unwrap();
    let service: Service = serde_json::from_value(json!({
        "metadata": {"name": "reference"}, "spec": {"selector": labels, "ports": [{"port": 80}]},
    }))
    .unwrap();
    let load = turn.lab.load().unwrap();
    load.set_error_rate(&scene.namespace, "reference:v1", 0.001);
    let parameters = PostParams::default();
    let deployments = scene.api::<Deployment>();
    deployments.create(&parameters, &deployment).await.unwrap();
    let services = scene.api::<Service>();
    services.create(&parameters, &service).await.unwrap();
}

/// Failed and all requests of the series with these labels.
fn counters(labels: &str) -> [String; 2] {
    [r#",code=~"5..""#, ""].map(|code| requests(&format!("{labels}{code}")))
}

fn against(baseline: &Value, [bad, total]: &[String; 2]) -> Value {
    let more = json!({"baseline": baseline, "minRequests": 200});
    compare(bad, total, &more)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_is_compared_with_the_baseline_that_is_named_and_not_with_stable_pods() {
    // Given two workloads as bad as can be, and a third one that serves well and is the baseline of both.
    let turn = shared_turn().await;
    let scene = Scene::new(turn.lab, "baselines").await.unwrap();
    reference(&turn, &scene).await;
    let service = json!({"service": {"name": "reference"}});
    template(&scene, "by-service", against(&service, &counters(""))).await;
    let own = counters(r#",service="by-query",version="{{canary}}""#);
    let [bad, total] = counters(r#",service="reference""#);
    let query = json!({"query": {"bad": bad, "total": total}});
    template(&scene, "by-query", against(&query, &own)).await;
    let load = turn.lab.load().unwrap();
    let trial = async |name: &str| {
        for version in ["v1", "v2"] {
            load.set_error_rate(&scene.namespace, &format!("{name}:{version}"), 0.3);
        }
        let workload = gated(&scene, name).await;
        // When a version comes that is no worse than the stable one, then it is rolled back all the same.
        let message = is_rolled_back(&workload, "v2").await;
        println!("{name}: {message}");
        // When one comes that is as good as the baseline, then it passes.
        passes(&workload, "v3").await;
    };
    join(trial("by-service"), trial("by-query")).await;
}
