//! Other things than errors: latencies and burn rates.

use std::time::Duration;

use belay_api::AnalysisTemplate;
use belay_engine::rollout::status::{Phase, RollbackReason};
use belay_tests::{scene::Scene, turns::Turn, workload::Workload};
use futures::future::join_all;
use kube::api::PostParams;
use serde_json::{Value, json};

use crate::{SOON, ends_in, shared_turn};

/// A template whose only gate `g` asks this of Prometheus.
pub(crate) async fn template(scene: &Scene, name: &str, prometheus: Value) {
    let args = ["namespace", "canary"].map(|name| json!({"name": name}));
    let template: AnalysisTemplate = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
        "spec": {"args": args, "gates": [{"name": "g", "interval": "1s", "prometheus": prometheus}]},
    }))
    .unwrap();
    let api = scene.api::<AnalysisTemplate>();
    api.create(&PostParams::default(), &template).await.unwrap();
}

/// A query for all requests of the namespace, with this in its selector.
pub(crate) fn requests(more: &str) -> String {
    format!("http_requests_total{{namespace=\"{{{{namespace}}}}\"{more}}}")
}

/// A gate that compares how many of `total` are `bad`, with more fields.
pub(crate) fn compare(bad: &str, total: &str, more: &Value) -> Value {
    let mut compare = json!({"bad": bad, "total": total, "warmup": "0s", "ingestDelay": "1s"});
    let fields = compare.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    json!({"compare": compare})
}

/// A healthy workload with the gate of the template of the same name. Its template knows the `namespace`, and the version of the
/// `canary`.
pub(crate) async fn gated(scene: &Scene, name: &str) -> Workload {
    let from = [
        ("namespace", "/metadata/namespace"),
        ("canary", "/status/candidate/version"),
    ]
    .map(|(name, field)| json!({"name": name, "field": field}));
    let spec = json!({
        "strategy": {"canary": {"steps": [{"replicas": 2, "hold": "5s"}]}},
        "verification": {"gates": [{"template": name, "argsFrom": from}]},
    });
    scene.workload_with(name, 4, spec).await.unwrap()
}

/// Brings a good version out.
pub(crate) async fn passes(workload: &Workload, version: &str) {
    let image = format!("{}:{version}", workload.name);
    workload.set_image(&image).await.unwrap();
    workload
        .settled(Phase::Healthy, version, SOON)
        .await
        .unwrap();
}

/// Brings a bad version out, and gives what it is rolled back for.
pub(crate) async fn is_rolled_back(workload: &Workload, version: &str) -> String {
    let image = format!("{}:{version}", workload.name);
    workload.set_image(&image).await.unwrap();
    let status = ends_in(workload, &[Phase::Rejected, Phase::Baking]).await;
    let rollback = status.rollback.expect("the bad version is rolled back");
    assert_eq!(
        rollback.reason,
        RollbackReason::GateFailed,
        "{}",
        rollback.message
    );
    rollback.message
}

/// In a namespace of its own, a good version passes and a bad one is rolled back for what the gate found; `spoil` makes `web:v3` bad.
async fn passes_good_and_rolls_back_bad(
    turn: &Turn,
    prefix: &str,
    prometheus: Value,
    spoil: impl FnOnce(&Scene),
) -> String {
    let scene = Scene::new(turn.lab, prefix).await.unwrap();
    template(&scene, "web", prometheus).await;
    let web = gated(&scene, "web").await;
    passes(&web, "v2").await;
    spoil(&scene);
    is_rolled_back(&web, "v3").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slower_version_is_rolled_back_by_each_measure_of_both_kinds_of_histograms() {
    let turn = shared_turn().await;
    let load = turn.lab.load().unwrap();
    turn.lab.scrape_native_histograms().unwrap();
    let histograms = [
        ("classic", "http_request_duration_seconds_bucket"),
        ("native", "http_request_duration_seconds"),
    ];
    let measures = [
        ("share", json!({"slowerThan": 0.1})),
        ("buckets", json!({"everyBucket": {}})),
        ("growth", json!({"maxGrowth": 0.2})),
    ];
    let trials = histograms.iter().flat_map(|(kind, metric)| {
        let turn = &turn;
        measures.iter().map(move |(name, measure)| {
            let latency = json!({"latency": {
                "histogram": format!("{metric}{{namespace=\"{{{{namespace}}}}\"}}"),
                "measure": measure, "warmup": "0s", "ingestDelay": "1s",
            }});
            async move {
                let prefix = format!("{kind}-{name}");
                let slow = |scene: &Scene| {
                    load.set_latency(&scene.namespace, "web:v3", Duration::from_millis(400));
                };
                let message = passes_good_and_rolls_back_bad(turn, &prefix, latency, slow).await;
                format!("{prefix}: {message}")
            }
        })
    });
    for message in join_all(trials).await {
        println!("{message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_burns_the_budget_is_rolled_back() {
    let turn = shared_turn().await;
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
}
