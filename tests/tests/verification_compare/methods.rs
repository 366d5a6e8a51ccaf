//! Other things than errors: latencies, burn rates, other baselines, credentials.

use std::time::Duration;

use belay_api::AnalysisTemplate;
use belay_engine::rollout::status::{Phase, RollbackReason};
use belay_tests::{scene::Scene, turns::Turn};
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::{SOON, ends_in, turn};

/// A template `t` whose only gate `g` asks this of Prometheus.
async fn template(scene: &Scene, prometheus: Value) {
    let template: AnalysisTemplate = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "t"},
        "spec": {"args": [{"name": "namespace"}],
                 "gates": [{"name": "g", "interval": "1s", "prometheus": prometheus}]},
    }))
    .unwrap();
    let api = scene.api::<AnalysisTemplate>();
    api.create(&PostParams::default(), &template).await.unwrap();
}

fn spec(steps: &Value) -> Value {
    json!({
        "strategy": {"canary": {"steps": steps}},
        "verification": {"gates": [{"template": "t", "argsFrom": [{"name": "namespace", "field": "/metadata/namespace"}]}]},
    })
}

/// A good version passes and a bad one is rolled back for what the gate found; `spoil` makes `web:v3` bad.
async fn passes_good_and_rolls_back_bad(
    turn: &Turn,
    prefix: &str,
    prometheus: Value,
    spoil: impl FnOnce(&Scene),
) -> String {
    let scene = Scene::new(turn.lab, prefix).await.unwrap();
    template(&scene, prometheus).await;
    let steps = json!([{"replicas": 2, "hold": "5s"}]);
    let web = scene.workload_with("web", 4, spec(&steps)).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    spoil(&scene);
    web.set_image("web:v3").await.unwrap();
    let status = ends_in(&web, &[Phase::Rejected, Phase::Baking]).await;
    let rollback = status.rollback.expect("the bad version is rolled back");
    assert_eq!(
        rollback.reason,
        RollbackReason::GateFailed,
        "{}",
        rollback.message
    );
    rollback.message
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slower_version_is_rolled_back_by_each_measure_of_its_histogram() {
    let turn = turn().await;
    let controller = turn.acting("latency").await.unwrap();
    let load = turn.lab.load().unwrap();
    let measures = [
        json!({"slowerThan": 0.1}),
        json!({"everyBucket": {}}),
        json!({"maxGrowth": 0.2}),
    ];
    for (number, measure) in measures.into_iter().enumerate() {
        let latency = json!({"latency": {
            "histogram": r#"http_request_duration_seconds_bucket{namespace="{{namespace}}"}"#,
            "measure": measure, "warmup": "0s", "ingestDelay": "1s",
        }});
        let message =
            passes_good_and_rolls_back_bad(&turn, &format!("latency-{number}"), latency, |scene| {
                load.set_latency(&scene.namespace, "web:v3", Duration::from_millis(400));
            })
            .await;
        println!("{message}");
    }
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_burns_the_budget_is_rolled_back() {
    let turn = turn().await;
    let controller = turn.acting("burn").await.unwrap();
    let load = turn.lab.load().unwrap();
    let burn = json!({"burnRate": {
        "objectivePercent": 99.9,
        "errorRatio": r#"sum(rate(http_requests_total{namespace="{{namespace}}",code=~"5.."}[{{window}}])) / sum(rate(http_requests_total{namespace="{{namespace}}"}[{{window}}]))"#,
    }});
    let message = passes_good_and_rolls_back_bad(&turn, "burn", burn, |scene| {
        load.set_error_rate(&scene.namespace, "web:v3", 0.5);
    })
    .await;
    println!("{message}");
    assert!(message.contains("budget"), "{message}");
    controller.terminate().await.unwrap();
}
