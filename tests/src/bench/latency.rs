//! Reaction: from a changed template to its canary's ReplicaSet, from a failing answer and from a person's `Abort` to the write
//! that takes the canary away. Times are taken by watches of the benchmark's own, so they include the way back.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use belay_api::{Action, AnalysisTemplate};
use belay_engine::rollout::status::Phase;
use belay_lab::wait_for;
use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::{
    Api, Client, ResourceExt as _,
    api::PostParams,
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::{Value, json};

use super::Bench;
use crate::{Error, measure::figures::Figures, workload::Workload};

const SAMPLES: usize = 20;
const WITHIN: Duration = Duration::from_mins(1);

/// When ReplicaSets of candidates came and went.
#[derive(Default)]
struct Sightings {
    made: Vec<(String, Instant)>,
    gone: Vec<(String, Instant)>,
}

pub(super) async fn run(bench: &Bench) -> Result<Value, Error> {
    let controller = bench.installed.start(&bench.program, "latency").await?;
    let client = bench.lab.client()?;
    let namespace = bench.lab.namespace("latency").await?;
    template(&client, &namespace).await?;
    let sightings = Arc::new(Mutex::new(Sightings::default()));
    let watching = tokio::spawn(follow(
        Api::namespaced(client.clone(), &namespace),
        Arc::clone(&sightings),
    ));
    let workload =
        Workload::create(&client, &namespace, "web", 4, "shop/web:v1", strategy()).await?;
    workload.settled(Phase::Healthy, "v1", WITHIN).await?;
    let (mut made, mut failed, mut aborted) = (Vec::new(), Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        let change = begin(
            &workload,
            &sightings,
            &format!("bad{sample}-err50"),
            &mut made,
        )
        .await?;
        bench.answers.forget();
        let gone = taken_away(&sightings, &change).await?;
        let answered = bench
            .answers
            .last(|answer| answer.at < gone && fails(&answer.body))
            .ok_or_else(|| Error::Broken("the canary went before a failing answer".to_owned()))?;
        failed.push(gone.duration_since(answered));
        workload.settled(Phase::Rejected, "v1", WITHIN).await?;
    }
    for sample in 0..SAMPLES {
        let change = begin(&workload, &sightings, &format!("fine{sample}"), &mut made).await?;
        let asked = Instant::now();
        abort(&client, &namespace, sample).await?;
        aborted.push(taken_away(&sightings, &change).await?.duration_since(asked));
        workload.settled(Phase::Rejected, "v1", WITHIN).await?;
    }
    watching.abort();
    controller.terminate().await?;
    Ok(json!([
        row("template change to canary", &made),
        row("failing answer to canary gone", &failed),
        row("abort to canary gone", &aborted)
    ]))
}

fn row(what: &str, sample: &[Duration]) -> Value {
    Figures::of(sample).map_or(Value::Null, |f| {
        json!({"what": what, "samples": f.samples, "p50_ms": f.p50_ms, "p95_ms": f.p95_ms, "max_ms": f.max_ms})
    })
}

/// Changes the template and waits for the canary's ReplicaSet; gives its name.
async fn begin(
    workload: &Workload,
    sightings: &Mutex<Sightings>,
    tag: &str,
    made: &mut Vec<Duration>,
) -> Result<String, Error> {
    let known = sightings
        .lock()
        .map(|seen| seen.made.len())
        .unwrap_or_default();
    let before = Instant::now();
    workload.set_image(&format!("shop/web:{tag}")).await?;
    let (name, at) = seen(sightings, "the canary's ReplicaSet", |seen| {
        seen.made.get(known).cloned()
    })
    .await?;
    made.push(at.duration_since(before));
    workload.settled(Phase::Progressing, "v1", WITHIN).await?;
    Ok(name)
}

async fn taken_away(sightings: &Mutex<Sightings>, name: &str) -> Result<Instant, Error> {
    seen(sightings, "the canary to go", |seen| {
        seen.gone
            .iter()
            .find(|(gone, _)| gone == name)
            .map(|(_, at)| *at)
    })
    .await
}

async fn seen<T>(
    sightings: &Mutex<Sightings>,
    what: &str,
    find: impl Fn(&Sightings) -> Option<T>,
) -> Result<T, Error> {
    let find = || {
        std::future::ready(
            sightings
                .lock()
                .ok()
                .and_then(|seen| find(&seen))
                .ok_or_else(|| "not yet".to_owned()),
        )
    };
    Ok(wait_for(what, WITHIN, find).await?)
}

async fn abort(client: &Client, namespace: &str, number: usize) -> Result<(), Error> {
    let action = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"name": format!("abort-{number}")},
        "spec": {"target": {"kind": "Rollout", "name": "web"}, "verb": "Abort"},
    }))?;
    Api::<Action>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &action)
        .await?;
    Ok(())
}

async fn follow(api: Api<ReplicaSet>, sightings: Arc<Mutex<Sightings>>) {
    let config = watcher::Config::default().labels("belay.dev/rollout");
    let followed = watcher(api, config)
        .default_backoff()
        .try_for_each(|event| {
            if let Ok(mut seen) = sightings.lock() {
                match event {
                    watcher::Event::Apply(set) => {
                        let name = set.name_any();
                        let leaving = set.metadata.deletion_timestamp.is_some()
                            || set.spec.as_ref().and_then(|spec| spec.replicas) == Some(0);
                        if leaving && !seen.gone.iter().any(|(gone, _)| *gone == name) {
                            seen.gone.push((name, Instant::now()));
                        } else if !seen.made.iter().any(|(made, _)| *made == name) {
                            seen.made.push((name, Instant::now()));
                        }
                    }
                    watcher::Event::Delete(set) => {
                        let name = set.name_any();
                        if !seen.gone.iter().any(|(gone, _)| *gone == name) {
                            seen.gone.push((name, Instant::now()));
                        }
                    }
                    _ => {}
                }
            }
            futures::future::ready(Ok(()))
        });
    let _ = followed.await;
}

/// Whether a Prometheus answer is one number above the template's bound.
fn fails(body: &str) -> bool {
    let answer: Value = serde_json::from_str(body).unwrap_or_default();
    let value = answer
        .pointer("/data/result/0/value/1")
        .and_then(Value::as_str)
        .and_then(|value| value.parse::<f64>().ok());
    value.is_some_and(|value| value > 0.05)
}

/// The gate of all parts: the candidate's share of failed requests.
pub(super) async fn template(client: &Client, namespace: &str) -> Result<(), Error> {
    let query = concat!(
        r#"sum(rate(http_requests_total{service="{{app}}",pod=~"{{app}}-{{hash}}-.*",code="500"}[5s]))"#,
        r#" / sum(rate(http_requests_total{service="{{app}}",pod=~"{{app}}-{{hash}}-.*"}[5s]))"#
    );
    let template = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {
            "args": [{"name": "app"}, {"name": "hash"}],
            "gates": [{"name": "ratio", "interval": "1s", "initialDelay": "3s", "prometheus": {"query": query, "threshold": {"max": 0.05}}}],
        },
    }))?;
    Api::<AnalysisTemplate>::namespaced(client.clone(), namespace)
        .create(&PostParams::default(), &template)
        .await?;
    Ok(())
}

fn strategy() -> Value {
    json!({
        "strategy": {"canary": {"steps": [{"replicas": "50%", "hold": "10m"}]}},
        "verification": {"gates": [{"template": "errors", "args": {"app": "web"}, "argsFrom": [{"name": "hash", "field": "/status/candidate/hash"}]}]},
    })
}
