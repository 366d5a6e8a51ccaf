//! What Rollouts cost while nothing happens: memory, requests and processor time per minute.

use std::time::{Duration, Instant};

use belay_engine::rollout::status::Phase;
use belay_lab::wait_for;
use futures::{StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use super::{Bench, CONTROLLER_USER};
use crate::{
    Error,
    measure::{audit::Mark, process},
    workload::Workload,
};

const CREATE_AT_ONCE: usize = 16;
const WITHIN: Duration = Duration::from_mins(10);
/// How long requests and processor time are counted.
const OBSERVED: Duration = Duration::from_mins(1);
const MEBIBYTE: f64 = 1024.0 * 1024.0;

pub(super) async fn run(bench: &Bench) -> Result<Value, Error> {
    let wanted = std::env::var("BELAY_BENCH_IDLE").unwrap_or_else(|_| "0,100,1000".to_owned());
    let sizes: Vec<usize> = wanted
        .split(',')
        .filter_map(|size| size.trim().parse().ok())
        .collect();
    let client = bench.lab.client()?;
    let namespace = bench.lab.namespace("idle").await?;
    let mut rows = Vec::new();
    let mut present = 0;
    for size in sizes {
        let controller = bench.installed.start(&bench.program, "idle").await?;
        let began = Instant::now();
        futures::stream::iter(present..size)
            .map(|number| create(&client, &namespace, number))
            .buffer_unordered(CREATE_AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        all_healthy(bench, &namespace, size).await?;
        let created = size - present;
        present = size;
        let healthy_after = began.elapsed();
        // Measured on a fresh process: what start-up and creation left behind is another question.
        controller.terminate().await?;
        let controller = bench.installed.start(&bench.program, "idle").await?;
        let pid = controller.pid().unwrap_or_default();
        let first = Instant::now();
        let ready_after = controller.acting().await.map(|()| first.elapsed())?;
        rows.push(observe(bench, pid, size, created, healthy_after, ready_after).await?);
        controller.terminate().await?;
    }
    Ok(Value::Array(rows))
}

async fn create(client: &kube::Client, namespace: &str, number: usize) -> Result<(), Error> {
    let strategy = json!({"strategy": {"canary": {"steps": [{"replicas": "100%"}]}}});
    Workload::create(
        client,
        namespace,
        &format!("idle-{number}"),
        1,
        "shop/web:v1",
        strategy,
    )
    .await
    .map(|_| ())
}

async fn all_healthy(bench: &Bench, namespace: &str, size: usize) -> Result<(), Error> {
    let rollouts = kube::Api::<belay_api::Rollout>::namespaced(bench.lab.client()?, namespace);
    wait_for("all Rollouts to be healthy", WITHIN, || async {
        let list = rollouts
            .list(&kube::api::ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        let healthy = list
            .items
            .iter()
            .filter(|rollout| {
                rollout
                    .status
                    .as_ref()
                    .is_some_and(|status| status.phase == Phase::Healthy)
            })
            .count();
        if healthy == size {
            Ok(())
        } else {
            Err(format!("{healthy} of {size}"))
        }
    })
    .await?;
    Ok(())
}

async fn observe(
    bench: &Bench,
    pid: u32,
    size: usize,
    created: usize,
    healthy_after: Duration,
    ready_after: Duration,
) -> Result<Value, Error> {
    let mark = Mark::now(&bench.lab.audit_log_path()?, CONTROLLER_USER)
        .map_err(Error::io("read the audit log"))?;
    let cpu = process::cpu(pid).map_err(Error::io("read the processor time"))?;
    // A measurement over time: there is no condition to wait for.
    tokio::time::sleep(OBSERVED).await;
    let requests = mark.since().map_err(Error::io("read the audit log"))?;
    let cpu = process::cpu(pid)
        .map_err(Error::io("read the processor time"))?
        .saturating_sub(cpu);
    let resident = process::resident_bytes(pid).map_err(Error::io("read the memory"))?;
    let peak = process::peak_bytes(pid).map_err(Error::io("read the memory"))?;
    #[expect(clippy::cast_precision_loss, reason = "bytes of one process fit")]
    Ok(json!({
        "rollouts": size,
        "memory_mib": resident as f64 / MEBIBYTE,
        "peak_mib": peak as f64 / MEBIBYTE,
        "requests_per_minute": requests.total(),
        "lease_requests_per_minute": requests.leases,
        "watches_per_minute": requests.watches,
        "cpu_s_per_minute": cpu.as_secs_f64(),
        "created": created,
        "all_healthy_s": healthy_after.as_secs_f64(),
        "start_to_acting_s": ready_after.as_secs_f64(),
    }))
}
