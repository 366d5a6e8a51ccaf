//! `cargo demo`: the main job on a real control plane of its own, from an empty machine to a rollback and its mending.

use std::{io::Write as _, process::ExitCode};

#[tokio::main]
async fn main() -> ExitCode {
    let told = tokio::select! {
        told = belay_tests::demo::run() => told.map_err(|error| error.to_string()),
        _ = tokio::signal::ctrl_c() => Err("interrupted; everything that was started is ended".to_owned()),
    };
    match told {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            let _ = writeln!(std::io::stderr(), "\nThe demo ended early: {message}");
            ExitCode::FAILURE
        }
    }
}
