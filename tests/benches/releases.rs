//! What Releases cost: the first sync of many from one repository, and rest. On a real control plane with a real Git server and the
//! controller as it is shipped. Prints a table, and the same as JSON to `target/bench/releases.json`.
//!
//! `BELAY_BENCH_RELEASES=100,500,1000` chooses their numbers.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test --benches` and `cargo bench -- --list` must not take minutes.
    if std::env::args().any(|argument| argument == "--test" || argument == "--list") {
        return ExitCode::SUCCESS;
    }
    match belay_tests::bench::releases::run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "the benchmark failed: {error}");
            ExitCode::FAILURE
        }
    }
}
