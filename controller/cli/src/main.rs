//! `kubectl-belay`, called as `kubectl belay …`.

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;
use kubectl_belay::{Args, Style, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let args = Args::parse();
    // A second installation is the only failure, and leaves a provider in place all the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut out = std::io::stdout();
    let style = Style::of_terminal();
    match Box::pin(run(args, style, &mut out)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = out.flush();
            if !error.is_told() {
                let _ = writeln!(std::io::stderr(), "error: {error}");
            }
            ExitCode::from(error.exit_code())
        }
    }
}
