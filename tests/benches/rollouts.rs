//! What rollouts cost: requests to the API server, memory, processor time and reaction, on a real control plane with the
//! controller as it is shipped. Prints a table, and the same as JSON to `target/bench/rollouts.json`.
//!
//! `BELAY_BENCH=costs,latency,idle,queries` chooses parts; `BELAY_BENCH_IDLE=100,1000` the numbers of idle Rollouts,
//! `BELAY_BENCH_QUERIES=1,100,1000` those of Rollouts whose gates compare at the same time.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test --benches` and `cargo bench -- --list` must not take minutes.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return ExitCode::SUCCESS;
    }
    match belay_tests::bench::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}
