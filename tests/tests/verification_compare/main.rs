//! Gates that compare, on a real control plane with a real Prometheus and the lab's load: what they find, what they let pass, and
//! what they are not confused by.
//!
//! The controller runs as the program that is shipped. Tests without faults share a lab; the others take turns, for a fault of one is a
//! fault for all, on two labs of their own, or on the shared one when nobody shares it any more.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test ends where its assumption ends"
)]

mod access;
mod baselines;
mod budgets;
mod detection;
mod faults;
mod methods;
mod mistakes;

use std::time::Duration;

use belay_api::{AnalysisTemplate, Rollout};
use belay_engine::{
    gate::GateState,
    rollout::{RolloutStatus, status::Phase},
};
use belay_lab::{Lab, LabBuilder, Part, wait_for, wait_for_object};
use belay_tests::{
    installed::{Controller, Installed},
    scene::Scene,
    turns::{Turn, Turns, first_free},
    workload::Workload,
};
use kube::api::PostParams;
use serde_json::{Value, json};

/// Those who share are on the last one.
static LABS: [Turns; 3] = [const { Turns::new() }; 3];

/// Long enough on a slow machine; only a test that fails waits so long.
const SOON: Duration = Duration::from_mins(5);

/// The next turn on a lab, alone.
async fn turn() -> Turn {
    first_free(&LABS, lab, adjusted).await.unwrap()
}

/// A turn with others who need no more than a controller that acts.
async fn shared_turn() -> Turn {
    LABS[2].share(lab, adjusted).await.unwrap()
}

fn lab() -> LabBuilder {
    Lab::builder().with(Part::Prometheus).with(Part::Load)
}

fn adjusted(installed: Installed) -> Installed {
    installed.with_argument("--allow-loopback")
}

/// A namespace with a template `errors` that compares failed requests, changed by `more`.
async fn scene(turn: &Turn, prefix: &str, more: Value) -> Scene {
    let scene = Scene::new(turn.lab, prefix).await.unwrap();
    let mut compare = json!({
        "bad": r#"http_requests_total{namespace="{{namespace}}",service="{{service}}",code=~"5.."}"#,
        "total": r#"http_requests_total{namespace="{{namespace}}",service="{{service}}"}"#,
        "warmup": "0s", "ingestDelay": "1s",
    });
    let fields = compare.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    let template: AnalysisTemplate = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"args": [{"name": "namespace"}, {"name": "service"}],
                 "gates": [{"name": "compared", "interval": "1s", "prometheus": {"compare": compare}}]},
    }))
    .unwrap();
    let api = scene.api::<AnalysisTemplate>();
    api.create(&PostParams::default(), &template).await.unwrap();
    scene
}

/// A healthy workload with traffic whose changes are compared by the template `errors`.
async fn compared(turn: &Turn, scene: &Scene, name: &str, of: &Traffic, steps: &Value) -> Workload {
    let load = turn.lab.load().unwrap();
    let namespace = &scene.namespace;
    load.set_requests_per_second(namespace, name, of.requests_per_second);
    load.set_error_rate(namespace, &format!("{name}:v1"), of.errors.0);
    load.set_error_rate(namespace, &format!("{name}:v2"), of.errors.1);
    let spec = json!({
        "strategy": {"canary": {"steps": steps}},
        "verification": {"gates": [{"template": "errors", "args": {"service": name},
                                    "argsFrom": [{"name": "namespace", "field": "/metadata/namespace"}]}]},
    });
    scene.workload_with(name, of.replicas, spec).await.unwrap()
}

/// What a workload serves.
struct Traffic {
    replicas: i32,
    requests_per_second: f64,
    /// Share of failed requests of the stable and of the new version.
    errors: (f64, f64),
}

/// The gate as it is in status.
fn gate(status: &RolloutStatus) -> Option<&GateState> {
    status
        .gates
        .iter()
        .find(|gate| gate.name == "errors/compared")
}

/// Waits until so many more measurements have had this result, by the controller's own count.
async fn more_readings(controller: &Controller, result: &str, more: f64) {
    let count = async || {
        let metrics = controller.metrics().await.unwrap();
        let name = format!("belay_gate_readings_total{{result=\"{result}\"}}");
        let line = metrics.lines().find(|line| line.starts_with(&name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0.0)
    };
    let before = count().await;
    wait_for("more measurements", SOON, || async {
        let now = count().await;
        if now >= before + more {
            Ok(())
        } else {
            Err(format!("{now} after {before}"))
        }
    })
    .await
    .unwrap();
}

/// Waits until the Rollout is in one of these phases.
async fn ends_in(workload: &Workload, phases: &[Phase]) -> RolloutStatus {
    when(workload, |status| {
        if phases.contains(&status.phase) {
            Ok(status.clone())
        } else {
            let waiting = &status.waiting_for;
            Err(format!(
                "{:?}, {waiting:?}, {:?}",
                status.phase,
                gate(status)
            ))
        }
    })
    .await
}

/// Waits, for as long as a slow machine may take, until the status fulfils `check`, whose `Err` is the state seen.
async fn when<T>(
    workload: &Workload,
    mut check: impl FnMut(&RolloutStatus) -> Result<T, String>,
) -> T {
    let rollouts = workload.rollouts();
    wait_for_object(
        &rollouts,
        &workload.name,
        SOON,
        |rollout: Option<&Rollout>| {
            let status = rollout.and_then(|rollout| rollout.status.as_ref());
            check(status.ok_or("it has no status")?)
        },
    )
    .await
    .unwrap()
}
