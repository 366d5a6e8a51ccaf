//! Requests, writes and processor time of one whole rollout, for small and large workloads: they must not grow with the pods.
//!
//! What one step costs is the difference between a plan of four steps and one of two, shared out over the two more.

use std::time::Duration;

use belay_engine::rollout::status::Phase;
use serde_json::{Value, json};

use super::{Bench, CONTROLLER_USER};
use crate::{
    Error,
    measure::{
        audit::{Mark, Requests},
        process,
    },
    workload::Workload,
};

const SIZES: [i32; 3] = [3, 30, 300];
const WITHIN: Duration = Duration::from_mins(5);
/// Rollouts of each size; figures are per rollout.
const RUNS: u32 = 3;

/// The steps of the peers' figures in docs/performance.md: 20 % of the pods, then 60 %, five seconds each.
const TWO_STEPS: [&str; 2] = ["20%", "60%"];
const FOUR_STEPS: [&str; 4] = ["20%", "40%", "60%", "80%"];

/// What rollouts of one workload took together.
struct Taken {
    requests: Requests,
    cpu: Duration,
}

pub(super) async fn run(bench: &Bench) -> Result<Value, Error> {
    let controller = bench.installed.start(&bench.program, "costs").await?;
    let pid = controller.pid().unwrap_or_default();
    let namespace = bench.lab.namespace("costs").await?;
    super::latency::template(&bench.lab.client()?, &namespace).await?;
    let mut rows = Vec::new();
    for pods in SIZES {
        let two = rollouts(bench, &namespace, pid, pods, &TWO_STEPS).await?;
        let four = rollouts(bench, &namespace, pid, pods, &FOUR_STEPS).await?;
        rows.push(row(pods, &two, &four));
    }
    controller.terminate().await?;
    Ok(Value::Array(rows))
}

async fn rollouts(
    bench: &Bench,
    namespace: &str,
    pid: u32,
    pods: i32,
    steps: &[&str],
) -> Result<Taken, Error> {
    let name = format!("pods-{pods}-steps-{}", steps.len());
    let workload = Workload::create(
        &bench.lab.client()?,
        namespace,
        &name,
        pods,
        "shop/web:v1",
        strategy(&name, steps),
    )
    .await?;
    workload.settled(Phase::Healthy, "v1", WITHIN).await?;
    let mark = Mark::now(&bench.lab.audit_log_path()?, CONTROLLER_USER)
        .map_err(Error::io("read the audit log"))?;
    let before = process::cpu(pid).map_err(Error::io("read the processor time"))?;
    for run in 0..RUNS {
        let tag = format!("v{}", run + 2);
        workload.set_image(&format!("shop/web:{tag}")).await?;
        workload.settled(Phase::Healthy, &tag, WITHIN).await?;
    }
    let after = process::cpu(pid).map_err(Error::io("read the processor time"))?;
    let requests = mark.since().map_err(Error::io("read the audit log"))?;
    workload
        .deployments()
        .delete(&name, &kube::api::DeleteParams::default())
        .await?;
    Ok(Taken {
        requests,
        cpu: after.saturating_sub(before),
    })
}

fn row(pods: i32, two: &Taken, four: &Taken) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let per = |count: u64| count as f64 / f64::from(RUNS);
    let requests = &two.requests;
    let more = per(four.requests.writes) - per(requests.writes);
    json!({
        "pods": pods,
        "reads": per(requests.reads),
        "writes": per(requests.writes),
        "events": per(requests.events),
        "all requests": per(requests.total()),
        "conflicts": per(requests.conflicts),
        "writes per step": more / 2.0,
        "cpu ms": two.cpu.as_secs_f64() * 1000.0 / f64::from(RUNS),
        "of which": kinds(requests),
    })
}

fn kinds(requests: &Requests) -> String {
    let counted = requests
        .by_kind
        .iter()
        .filter(|(kind, _)| !kind.contains("lease"));
    counted
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn strategy(name: &str, steps: &[&str]) -> Value {
    let steps: Vec<Value> = steps
        .iter()
        .map(|replicas| json!({"replicas": replicas, "hold": "5s"}))
        .collect();
    json!({
        "strategy": {"canary": {"steps": steps}},
        "verification": {"gates": [{"template": "errors", "args": {"app": name}, "argsFrom": [{"name": "hash", "field": "/status/candidate/hash"}]}]},
    })
}
