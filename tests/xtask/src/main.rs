//! `cargo xtask generate [--check]`: writes the generated files, or says which of them are out of date.

use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};

/// Keeps generated files and code in step.
#[derive(Parser)]
#[command(name = "cargo xtask", version)]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write crds/, the chart's definitions and permissions, and docs/reference/ from the code.
    Generate {
        /// Write nothing; fail when a file differs from what would be written.
        #[arg(long)]
        check: bool,
    },
}

fn main() -> ExitCode {
    let Args {
        task: Task::Generate { check },
    } = Args::parse();
    let mut err = std::io::stderr().lock();
    match run(check) {
        Ok(report) => {
            let _ = writeln!(err, "{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            let _ = writeln!(err, "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(check: bool) -> Result<String, belay_xtask::Error> {
    let root = belay_xtask::root();
    let files = belay_xtask::generated(&root)?;
    if check {
        belay_xtask::check(&root, &files)?;
        Ok(format!("{} generated files are up to date", files.len()))
    } else {
        let changed = belay_xtask::write(&root, &files)?;
        Ok(format!(
            "{} generated files, {changed} changed",
            files.len()
        ))
    }
}
