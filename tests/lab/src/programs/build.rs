//! Builds one program with Go.
//!
//! Invariant: only one builder works at a time (a file lock, also between processes), and it leaves a whole program or nothing: the
//! linker writes into a temporary folder beside the cache, and renaming is the last act.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use super::recipe::Recipe;
use crate::LabError;
use crate::progress::Progress;

/// How much of a failed build's output is shown.
const SHOWN_LINES: usize = 30;

/// The root of this workspace.
fn workspace_root() -> PathBuf {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir
        .ancestors()
        .nth(2)
        .unwrap_or(crate_dir)
        .to_path_buf()
}

/// Cargo's target folder.
pub(super) fn target_dir() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    named.unwrap_or_else(|| workspace_root().join("target"))
}

/// Builds `recipe` to `cached`, unless another builder was faster.
pub(super) async fn build(
    recipe: &'static Recipe,
    cached: &Path,
    progress: &Progress,
) -> Result<(), LabError> {
    let folder = cached.parent().unwrap_or(Path::new(".")).to_path_buf();
    fs::create_dir_all(&folder).map_err(LabError::io(format!("create {}", folder.display())))?;
    let _lock = lock(folder.clone(), recipe.name, progress).await?;
    if cached.is_file() {
        return Ok(());
    }
    let version = recipe.version;
    let step = progress.step(format!("building {} {version} (once)", recipe.name));
    sweep(&folder);
    let scratch = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(&folder)
        .map_err(LabError::io("create a folder for the build"))?;
    let program = scratch.path().join(recipe.name);
    let output = run_go(recipe, scratch.path(), &program).await?;
    if !output.status.success() {
        return Err(LabError::Build {
            program: recipe.name,
            folder: recipe.module_dir(),
            output: last_lines(&output),
        });
    }
    fs::rename(&program, cached)
        .map_err(LabError::io(format!("move {} into place", recipe.name)))?;
    step.done();
    Ok(())
}

async fn run_go(
    recipe: &'static Recipe,
    scratch: &Path,
    program: &Path,
) -> Result<Output, LabError> {
    let mut go = Command::new("go");
    go.args([
        "build",
        "-trimpath",
        "-buildvcs=false",
        "-mod=readonly",
        "-ldflags",
        &recipe.linker_flags(),
    ]);
    if !recipe.tags.is_empty() {
        go.args(["-tags", recipe.tags]);
    }
    go.arg("-o")
        .arg(program)
        .arg("--")
        .arg(recipe.package)
        .current_dir(recipe.module_dir());
    // A workspace file or a C compiler of this machine must not change what is built.
    go.env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .env("GOTMPDIR", scratch);
    go.stdin(Stdio::null()).kill_on_drop(true);
    go.output()
        .await
        .map_err(|error| go_failed(recipe.name, error))
}

/// Go could not be run.
pub(super) fn go_failed(program: &'static str, error: std::io::Error) -> LabError {
    match error.kind() {
        std::io::ErrorKind::NotFound => LabError::GoMissing { program },
        _ => LabError::io("run `go`")(error),
    }
}

/// Waits for other builders. The lock ends with the returned file, or with this process.
pub(super) async fn lock(
    folder: PathBuf,
    name: &str,
    progress: &Progress,
) -> Result<File, LabError> {
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(LabError::io(format!("create {}", path.display())))?;
    if file.try_lock().is_ok() {
        return Ok(file);
    }
    let step = progress.step(format!(
        "waiting for another process that builds programs, for {name}"
    ));
    let locked = tokio::task::spawn_blocking(move || file.lock().map(|()| file)).await;
    step.done();
    locked
        .map_err(std::io::Error::other)
        .and_then(|locked| locked)
        .map_err(LabError::io(format!("lock {}", path.display())))
}

/// Removes what interrupted builds left; nobody else builds while the lock is held.
fn sweep(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| {
        entry
            .file_name()
            .to_string_lossy()
            .starts_with(".building-")
    }) {
        // A leftover that can't be removed costs disk space only.
        let _ = fs::remove_dir_all(entry.path());
    }
}

pub(super) fn last_lines(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with("go: downloading"))
        .collect();
    lines
        .get(lines.len().saturating_sub(SHOWN_LINES)..)
        .unwrap_or_default()
        .join("\n")
}
