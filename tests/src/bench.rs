//! The benchmark of rollouts. Absolute times move with the machine; counts and ratios do not.

mod costs;
mod idle;
mod latency;
mod queries;
pub mod releases;
mod table;

use std::path::PathBuf;

use belay_lab::{Lab, Part};
use serde_json::{Value, json};

use crate::{
    Error,
    installed::{Installed, controller_program, workspace_root},
    measure::answers::Answers,
};

/// User by which the API server knows the controller.
pub(crate) const CONTROLLER_USER: &str = "system:serviceaccount:belay-system:belay";

/// What the parts of the benchmark work on.
pub(crate) struct Bench {
    pub(crate) lab: Lab,
    pub(crate) installed: Installed,
    pub(crate) program: PathBuf,
    pub(crate) answers: Answers,
}

/// Runs the parts named in `BELAY_BENCH` (all by default), prints a table and writes `target/bench/rollouts.json`.
pub async fn run() -> Result<(), Error> {
    let wanted =
        std::env::var("BELAY_BENCH").unwrap_or_else(|_| "costs,latency,idle,queries".to_owned());
    // An unoptimised controller is for trying the benchmark itself out.
    let optimised = std::env::var_os("BELAY_BENCH_UNOPTIMISED").is_none();
    let program = controller_program(optimised).await?;
    let lab = Lab::builder()
        .nodes(5)
        .with(Part::Prometheus)
        .with(Part::Load)
        .audit()
        .start()
        .await?;
    let answers = Answers::relay(&lab.prometheus_url()?)
        .await
        .map_err(Error::io("start the relay"))?;
    let installed = Installed::chart(&lab, &[])
        .await?
        .with_prometheus(answers.url());
    let bench = Bench {
        lab,
        installed,
        program,
        answers,
    };
    let mut results = json!({});
    for part in wanted.split(',') {
        let result = match part {
            "costs" => costs::run(&bench).await?,
            "latency" => latency::run(&bench).await?,
            "idle" => idle::run(&bench).await?,
            "queries" => queries::run(&bench).await?,
            other => {
                return Err(Error::Broken(format!(
                    "BELAY_BENCH knows costs, latency, idle and queries, not {other:?}"
                )));
            }
        };
        table::print(part, &result);
        if let Some(results) = results.as_object_mut() {
            results.insert(part.to_owned(), result);
        }
    }
    write("rollouts", &results)?;
    bench.lab.down().await?;
    Ok(())
}

fn write(name: &str, results: &Value) -> Result<(), Error> {
    let folder = workspace_root().join("target/bench");
    std::fs::create_dir_all(&folder).map_err(Error::io("create target/bench"))?;
    let file = folder.join(format!("{name}.json"));
    std::fs::write(&file, serde_json::to_string_pretty(results)?)
        .map_err(Error::io(format!("write {}", file.display())))
}
