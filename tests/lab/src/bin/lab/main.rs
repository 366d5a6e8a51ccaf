//! `cargo lab`: a real control plane on this machine, from the command line.
//!
//! The process that runs `up` or `run` holds the lab; when it ends, in whatever way, so does the lab.

mod arguments;
mod down;
mod report;
mod run;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use belay_lab::{LabError, LabStatus, build_all, enter_plane};
use clap::Parser;

use arguments::{Arguments, Command, Requests};

fn main() -> ExitCode {
    let command = Arguments::parse().command;
    // Before any thread: the namespace is this thread's and its children's.
    let outcome = if command.needs_plane() {
        enter_plane()
    } else {
        Ok(())
    };
    outcome
        .and_then(|()| obey(command))
        .unwrap_or_else(|error| {
            report::complain(&error);
            ExitCode::FAILURE
        })
}

#[tokio::main]
async fn obey(command: Command) -> Result<ExitCode, LabError> {
    match command {
        Command::Up(options) if options.detach => up::detached(&options).await,
        Command::Up(options) => up::attached(&options).await,
        Command::Run(options) => run::run(&options).await,
        Command::Status { place, json } => status(&place.dir(), json),
        Command::Down(place) => down::down(&place.dir()).await,
        Command::Traffic(requests) => traffic(&requests).await,
        Command::Build => build().await,
    }
}

/// Sends requests for the given time, or until ctrl-C.
async fn traffic(requests: &Requests) -> Result<ExitCode, LabError> {
    let running = requests.traffic()?.start()?;
    tokio::select! {
        () = tokio::time::sleep(Duration::from_secs(requests.seconds)) => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    let tally = running.stop().await;
    report::json(&tally);
    Ok(if tally.lost() == 0 {
        ExitCode::SUCCESS
    } else {
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
