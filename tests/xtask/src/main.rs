//! `cargo xtask generate [--check]`: writes the generated files, or says which of them are out of date.

use std::{io::Write as _, process::ExitCode};

use belay_xtask::manifests;
use clap::{Parser, Subcommand};

/// Keeps generated files and code in step.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write crds/, the chart's definitions and permissions, docs/reference/ and deploy/kustomize/.
    Generate {
        /// Write nothing; fail when a file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Args {
        task: Task::Generate { check },
    } = Args::parse();
    let mut err = std::io::stderr().lock();
    match run(check).await {
        Ok(report) => {
            let _ = writeln!(err, "{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The chart's own files come first: Helm renders what was written.
async fn run(check: bool) -> Result<String, belay_xtask::Error> {
    let root = belay_xtask::root();
    let helm = belay_lab::program(belay_lab::Program::Helm)
        .await
        .map_err(|error| belay_xtask::Error::Program(error.to_string()))?;
    let files = belay_xtask::generated(&root)?;
    if check {
        belay_xtask::check(&root, &files)?;
        let manifests = manifests::files(&root, &helm)?;
        belay_xtask::check(&root, &manifests)?;
        return Ok(format!(
            "{} generated files are up to date",
            files.len() + manifests.len()
        ));
    }
    let mut changed = belay_xtask::write(&root, &files)?;
    let manifests = manifests::files(&root, &helm)?;
    changed += belay_xtask::write(&root, &manifests)?;
    Ok(format!(
        "{} generated files, {changed} changed",
        files.len() + manifests.len()
    ))
}
