//! `lab up`, in the foreground or in the background.

use std::process::{ExitCode, Stdio};

use belay_lab::{LabError, LabStatus};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Up;
use crate::report;

/// Holds a lab until this process is told to end. Until the lab is up, a signal ends the process at once, and the keeper the lab.
pub(crate) async fn attached(options: &Up) -> Result<ExitCode, LabError> {
    let lab = options
        .shape
        .builder()
        .dir(options.place.dir())
        .start()
        .await?;
    let ended = end_signal();
    if options.announce {
        report::json_line(&lab.status());
    } else {
        report::summary(&lab.status());
        report::note("the lab is up; ctrl-C ends it");
    }
    ended.await;
    lab.down().await?;
    report::note("the lab is gone");
    Ok(ExitCode::SUCCESS)
}

/// Resolves when the process is asked to end, in any of the usual ways.
fn end_signal() -> impl Future<Output = ()> {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let signals: Vec<_> = kinds
        .into_iter()
        .filter_map(|kind| signal(kind).ok())
        .collect();
    async move {
        let waits = signals
            .into_iter()
            .map(|mut signal| Box::pin(async move { signal.recv().await }));
        futures::future::select_all(waits).await;
    }
}

/// Starts another process that holds the lab, and waits until the lab is up. What that process says until then is passed on.
pub(crate) async fn detached(options: &Up) -> Result<ExitCode, LabError> {
    let failed = |source| LabError::Io {
        what: "start the process that holds the lab".into(),
        source,
    };
    let program = std::env::current_exe().map_err(failed)?;
    let mut holder = Command::new(program)
        .args(["up", "--announce"])
        .args(options.shape.arguments())
        .arg("--dir")
        .arg(options.place.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(failed)?;
    let (Some(output), Some(errors)) = (holder.stdout.take(), holder.stderr.take()) else {
        return Ok(ExitCode::FAILURE);
    };
    let mut announcement = BufReader::new(output).lines();
    let mut errors = BufReader::new(errors).lines();
    loop {
        tokio::select! {
            biased;
            Ok(Some(line)) = errors.next_line() => report::pass_on(&line),
            line = announcement.next_line() => match line.map_err(failed)? {
                Some(line) => return announced(&line),
                None => break,
            },
        }
    }
    while let Ok(Some(line)) = errors.next_line().await {
        report::pass_on(&line);
    }
    Ok(ExitCode::FAILURE)
}

fn announced(line: &str) -> Result<ExitCode, LabError> {
    let status: LabStatus = serde_json::from_str(line).map_err(|error| LabError::Format {
        what: "the holder's announcement".into(),
        message: error.to_string(),
    })?;
    report::summary(&status);
    report::note(&format!(
        "the lab is up; end it with `cargo lab down --dir {}`",
        status.dir.display()
    ));
    Ok(ExitCode::SUCCESS)
}
