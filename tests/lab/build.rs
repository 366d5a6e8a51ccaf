//! Compiles the keeper beside the library.
//!
//! Cargo hands a package's binaries to that package's own tests only, but every crate whose tests start a lab needs the keeper. It
//! is one file on the standard library alone, so the compiler is asked directly; the path is baked into the library.

use std::env;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

const SOURCE: &str = "src/bin/lab-keeper.rs";

fn main() -> ExitCode {
    println!("cargo::rerun-if-changed={SOURCE}");
    println!("cargo::rerun-if-changed=build.rs");
    let (Some(rustc), Some(out_dir)) = (env::var_os("RUSTC"), env::var_os("OUT_DIR")) else {
        println!("cargo::error=RUSTC or OUT_DIR is not set: run this through cargo");
        return ExitCode::FAILURE;
    };
    let keeper = PathBuf::from(out_dir).join("lab-keeper");
    let compiled = Command::new(rustc)
        .args(["--edition=2024", "-Copt-level=1", "-Cstrip=symbols", "-o"])
        .arg(&keeper)
        .arg(SOURCE)
        .status();
    if !matches!(compiled, Ok(status) if status.success()) {
        println!("cargo::error=cannot compile {SOURCE}: {compiled:?}");
        return ExitCode::FAILURE;
    }
    println!("cargo::rustc-env=BELAY_LAB_KEEPER={}", keeper.display());
    ExitCode::SUCCESS
}
