//! `cargo demo`: the main job on a real control plane of its own, from an empty machine to a rollback and its mending.

use std::{io::Write as _, process::ExitCode};

use belay_lab::{LabError, enter_plane};
use belay_tests::{Error, demo::Requests};

// Not an asynchronous `main`: the namespace is entered before there are threads.
fn main() -> ExitCode {
    match tell() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "\nThe demo ended early: {message}");
            ExitCode::FAILURE
        }
    }
}

fn tell() -> Result<(), String> {
    let text = |error: Error| error.to_string();
    let requests = match enter_plane() {
        Ok(()) => Requests::Real,
        Err(error @ LabError::PlaneForbidden(_)) => Requests::Played(error.to_string()),
        Err(error) => return Err(error.to_string()),
    };
    let runtime = tokio::runtime::Runtime::new().map_err(Error::io("start a runtime"));
    runtime.map_err(text)?.block_on(async {
        tokio::select! {
            told = belay_tests::demo::run(requests) => told.map_err(text),
            _ = tokio::signal::ctrl_c() => Err("interrupted; everything that was started is ended".to_owned()),
        }
    })
}
