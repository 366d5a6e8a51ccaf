//! `cargo lab`: a real control plane on this machine, from the command line.
//!
//! The process that runs `up` or `run` holds the lab; when it ends, in whatever way, so does the lab.

mod arguments;
mod down;
mod report;
mod run;
mod up;

use std::process::ExitCode;

use belay_lab::{LabError, LabStatus, build_all};
use clap::Parser;

use arguments::{Arguments, Command};

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Arguments::parse().command {
        Command::Up(options) if options.detach => up::detached(&options).await,
        Command::Up(options) => up::attached(&options).await,
        Command::Run(options) => run::run(&options).await,
        Command::Status { place, json } => status(&place.dir(), json),
        Command::Down(place) => down::down(&place.dir()).await,
        Command::Build => build().await,
    };
    outcome.unwrap_or_else(|error| {
        report::complain(&error);
        ExitCode::FAILURE
    })
}

fn status(folder: &std::path::Path, json: bool) -> Result<ExitCode, LabError> {
    let status = LabStatus::read(folder)?;
    if !down::is_up(folder) {
        return Err(LabError::NoLab(folder.to_path_buf()));
    }
    if json {
        report::json(&status);
    } else {
        report::summary(&status);
    }
    Ok(ExitCode::SUCCESS)
}

async fn build() -> Result<ExitCode, LabError> {
    report::programs(&build_all().await?);
    Ok(ExitCode::SUCCESS)
}
