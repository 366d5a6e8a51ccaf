//! Requests, writes and processor time of one whole rollout, for small and large workloads: they must not grow with the pods.

use std::time::Duration;

use belay_engine::rollout::status::Phase;
use serde_json::{Value, json};

use super::{Bench, CONTROLLER_USER};
use crate::{
    Error,
    measure::{audit::Mark, process},
    workload::Workload,
};

const SIZES: [i32; 3] = [3, 30, 300];
/// The steps of the peers' figures in docs/performance.md: 20 % of the pods, then 60 %, five seconds each.
const STEPS: u64 = 2;
const WITHIN: Duration = Duration::from_mins(5);
/// Rollouts of each size; figures are per rollout.
const RUNS: u64 = 3;

pub(super) async fn run(bench: &Bench) -> Result<Value, Error> {
    let controller = bench.installed.start(&bench.program, "costs").await?;
    let pid = controller.pid().unwrap_or_default();
    let client = bench.lab.client()?;
    let namespace = bench.lab.namespace("costs").await?;
    super::latency::template(&client, &namespace).await?;
    let mut rows = Vec::new();
    for pods in SIZES {
        let name = format!("size-{pods}");
        let workload = Workload::create(
            &client,
            &namespace,
            &name,
            pods,
            "shop/web:v1",
            strategy(&name),
        )
        .await?;
        workload.settled(Phase::Healthy, "v1", WITHIN).await?;
        let mark = Mark::now(&bench.lab.audit_log_path()?, CONTROLLER_USER)
            .map_err(Error::io("read the audit log"))?;
        let cpu = process::cpu(pid).map_err(Error::io("read the processor time"))?;
        for run in 0..RUNS {
            let tag = format!("v{}", run + 2);
            workload.set_image(&format!("shop/web:{tag}")).await?;
            workload.settled(Phase::Healthy, &tag, WITHIN).await?;
        }
        let cpu = process::cpu(pid)
            .map_err(Error::io("read the processor time"))?
            .saturating_sub(cpu);
        let requests = mark.since().map_err(Error::io("read the audit log"))?;
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let per = |count: u64| count as f64 / RUNS as f64;
        rows.push(json!({
            "pods": pods,
            "reads": per(requests.reads),
            "writes": per(requests.writes),
            "events": per(requests.events),
            "all": per(requests.total()),
            "conflicts": per(requests.conflicts),
            "writes_per_step": per(requests.writes) / f64::from(u32::try_from(STEPS).unwrap_or(1)),
            "cpu_ms": cpu.as_secs_f64() * 1000.0 / f64::from(u32::try_from(RUNS).unwrap_or(1)),
            "by_kind": format!("{:?}", requests.by_kind),
        }));
    }
    controller.terminate().await?;
    Ok(Value::Array(rows))
}

fn strategy(name: &str) -> Value {
    json!({
        "strategy": {"canary": {"steps": [
            {"replicas": "20%", "hold": "5s"}, {"replicas": "60%", "hold": "5s"},
        ]}},
        "verification": {"gates": [{"template": "errors", "args": {"app": name}, "argsFrom": [{"name": "hash", "field": "/status/candidate/hash"}]}]},
    })
}
