//! What comparing gates ask of Prometheus: questions and bytes for each rollout and minute, with many rollouts at once whose gates
//! share a template, once with arguments of their own and once with the same for all.

use std::time::{Duration, Instant};

use belay_api::{AnalysisTemplate, Rollout};
use belay_engine::{gate::Verdict, rollout::status::Phase};
use belay_lab::wait_for;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api,
    api::{ListParams, PostParams},
};
use serde_json::{Value, json};

use super::Bench;
use crate::{Error, measure::process, workload::Workload};

const AT_ONCE: usize = 16;
const WITHIN: Duration = Duration::from_mins(20);
/// How long questions are counted.
const OBSERVED: Duration = Duration::from_mins(1);

/// What selects the counters, and so what gates have in common.
const SELECTORS: [(&str, &str); 2] = [
    (
        "own service",
        r#"namespace="{{namespace}}",service="{{service}}""#,
    ),
    ("whole namespace", r#"namespace="{{namespace}}""#),
];

pub(super) async fn run(bench: &Bench) -> Result<Value, Error> {
    let wanted = std::env::var("BELAY_BENCH_QUERIES").unwrap_or_else(|_| "1,100".to_owned());
    let sizes: Vec<usize> = wanted
        .split(',')
        .filter_map(|size| size.trim().parse().ok())
        .collect();
    let mut rows = Vec::new();
    for size in sizes {
        for (kind, selector) in SELECTORS {
            rows.push(measure(bench, size, kind, selector).await?);
        }
    }
    Ok(Value::Array(rows))
}

async fn measure(bench: &Bench, size: usize, kind: &str, selector: &str) -> Result<Value, Error> {
    let client = bench.lab.client()?;
    let namespace = bench.lab.namespace("queries").await?;
    let controller = bench.installed.start(&bench.program, "queries").await?;
    controller.acting().await?;
    let templates: Api<AnalysisTemplate> = Api::namespaced(client.clone(), &namespace);
    let template = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"args": [{"name": "namespace"}, {"name": "service", "default": "none"}], "gates": [{"name": "ratio", "interval": "10s", "prometheus": {"compare": {
            "bad": format!("http_requests_total{{{selector},code=~\"5..\"}}"),
            "total": format!("http_requests_total{{{selector}}}"),
            "warmup": "0s"}}}]},
    }))?;
    templates.create(&PostParams::default(), &template).await?;
    let workloads = create(bench, &namespace, size, selector).await?;
    let rollouts: Api<Rollout> = Api::namespaced(client.clone(), &namespace);
    all(&rollouts, size, "all Rollouts to be healthy", |rollout| {
        let status = rollout.status.as_ref();
        status.is_some_and(|status| status.phase == Phase::Healthy)
    })
    .await?;
    futures::stream::iter(&workloads)
        .map(|workload| workload.set_image("web:v2"))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    all(&rollouts, size, "all gates to have counted", |rollout| {
        let gates = rollout.status.as_ref().map(|status| &status.gates);
        gates.is_some_and(|gates| gates.iter().any(|gate| gate.verdict == Verdict::Pass))
    })
    .await?;
    let pid = controller.pid().unwrap_or_default();
    let cpu = process::cpu(pid).map_err(Error::io("read the processor time"))?;
    bench.answers.forget();
    let began = Instant::now();
    // A measurement over time: there is no condition to wait for.
    tokio::time::sleep(OBSERVED).await;
    let (questions, bytes) = bench.answers.total();
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let cpu = process::cpu(pid)
        .map_err(Error::io("read the processor time"))?
        .saturating_sub(cpu);
    controller.terminate().await?;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client);
    namespaces
        .delete(&namespace, &kube::api::DeleteParams::default())
        .await?;
    #[expect(clippy::cast_precision_loss, reason = "counts of a minute fit")]
    Ok(json!({
        "rollouts": size,
        "selected": kind,
        "queries_per_minute": questions as f64 / minutes,
        "queries_per_rollout_and_minute": questions as f64 / minutes / size as f64,
        "answers_kib_per_minute": bytes as f64 / 1024.0 / minutes,
        "cpu_s_per_minute": cpu.as_secs_f64() / minutes,
    }))
}

/// Creates workloads with traffic whose changes are compared.
async fn create(
    bench: &Bench,
    namespace: &str,
    size: usize,
    selector: &str,
) -> Result<Vec<Workload>, Error> {
    let client = bench.lab.client()?;
    let load = bench.lab.load()?;
    futures::stream::iter(0..size)
        .map(|number| {
            let client = &client;
            let name = format!("web-{number}");
            load.set_requests_per_second(namespace, &name, 5.0);
            let args = if selector.contains("service") {
                json!({"namespace": namespace, "service": name})
            } else {
                json!({"namespace": namespace})
            };
            async move {
                let spec = json!({
                    "strategy": {"canary": {"steps": [{"replicas": 1, "hold": "10h"}]}},
                    "verification": {"gates": [{"template": "errors", "args": args}]},
                });
                Workload::create(client, namespace, &name, 1, "web:v1", spec).await
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Waits until all Rollouts are as `is` says.
async fn all(
    rollouts: &Api<Rollout>,
    size: usize,
    what: &str,
    is: fn(&Rollout) -> bool,
) -> Result<(), Error> {
    wait_for(what, WITHIN, || async {
        let list = rollouts.list(&ListParams::default()).await;
        let list = list.map_err(|error| error.to_string())?;
        let there = list.items.iter().filter(|rollout| is(rollout)).count();
        if there == size {
            Ok(())
        } else {
            Err(format!("{there} of {size}"))
        }
    })
    .await?;
    Ok(())
}
