//! `lab run`: a lab for the time of one command.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use belay_lab::{Lab, LabError};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::arguments::Run;

/// What a shell adds to the number of the signal that ended a command.
const SIGNALLED: i32 = 128;

pub(crate) async fn run(options: &Run) -> Result<ExitCode, LabError> {
    let mut builder = options.shape.builder();
    if let Some(folder) = &options.dir {
        builder = builder.dir(folder);
    }
    let lab = builder.start().await?;
    let status = command(&lab, options).await;
    lab.down().await?;
    let status = status?;
    let code = status
        .code()
        .or_else(|| status.signal().map(|number| SIGNALLED + number))
        .unwrap_or(1);
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

async fn command(lab: &Lab, options: &Run) -> Result<ExitStatus, LabError> {
    let Some((program, arguments)) = options.command.split_first() else {
        return Ok(ExitStatus::default());
    };
    let failed = |source| LabError::Io {
        what: format!("run {}", program.display()),
        source,
    };
    let status = lab.status();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("KUBECONFIG", &status.kubeconfig)
        .env("BELAY_LAB_DIR", &status.dir)
        .env("PATH", path_with(&status.bin_dir));
    let urls = [
        ("PROMETHEUS_URL", status.prometheus_url),
        ("GIT_URL", status.git_url),
        ("GATEWAY_URL", status.gateway_url),
    ];
    command.envs(
        urls.into_iter()
            .filter_map(|(name, url)| Some((name, url?))),
    );
    // A ctrl-C reaches the command too; the lab waits for its end.
    let mut interrupts = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminations = signal(SignalKind::terminate()).map_err(failed)?;
    let mut child = command.spawn().map_err(failed)?;
    loop {
        tokio::select! {
            ended = child.wait() => return ended.map_err(failed),
            _ = interrupts.recv() => {}
            _ = terminations.recv() => terminate(&child),
        }
    }
}

fn terminate(child: &Child) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // A command that has just ended needs no signal.
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// PATH with the lab's programs first.
fn path_with(folder: &std::path::Path) -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_path_buf()).chain(env::split_paths(&path));
    env::join_paths(folders).unwrap_or(path)
}
