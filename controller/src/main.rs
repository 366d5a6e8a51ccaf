//! The program `belay-controller`: reads its arguments, starts the runtime and waits for a signal to stop.

use std::{io::Write as _, process::ExitCode};

use belay::{Args, runtime, telemetry};
use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Decisions take microseconds and everything else is I/O: two workers carry thousands of Rollouts.
const WORKER_THREADS: usize = 2;

fn main() -> ExitCode {
    let args = Args::parse();
    telemetry::log::install(args.log_format, &args.log_filter);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKER_THREADS)
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(args)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "stopped");
            // The log may be filtered; a program that fails says why on its error stream in any case.
            let _ = writeln!(std::io::stderr(), "belay-controller: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> belay::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let settings = args.settings().await?;
    let mut running = runtime::start(settings).await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        ended = running.ended() => return ended,
    }
    tracing::info!("told to stop: ending work in progress and releasing the lease");
    running.stop().await
}
