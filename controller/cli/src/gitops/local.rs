//! A folder of this machine as a commit, so that it is rendered by the very code that renders commits.
//!
//! Invariant: the folder is only read. What Git needs for it lives in a temporary directory, no hook, filter or configuration of
//! the user's runs, and what `.gitignore` names stays out, as it would in a commit.

use std::{path::Path, process::Stdio, time::Duration};

use tokio::process::Command;

use crate::Error;

/// Longest time for one run of Git.
const LIMIT: Duration = Duration::from_mins(2);

/// Most of what Git says that is repeated.
const SAID_BYTES: usize = 400;

/// Makes a commit of `folder` in a new repository below `work`; gives the commit's id.
pub(super) async fn commit(folder: &Path, work: &Path) -> Result<String, Error> {
    let failed = |why: &str| Error::File {
        file: folder.display().to_string(),
        message: why.to_owned(),
    };
    if !folder.is_dir() {
        return Err(failed("no such folder; give the root of a checkout"));
    }
    let folder = folder
        .canonicalize()
        .map_err(|error| failed(&error.to_string()))?;
    git(
        work,
        &folder,
        &["init", "--quiet", "--bare", "repository"],
        None,
    )
    .await?;
    let repository = work.join("repository");
    let at = Some(repository.as_path());
    git(work, &folder, &["add", "--all", "--", "."], at).await?;
    let message = [
        "commit",
        "--quiet",
        "--allow-empty",
        "--no-verify",
        "--message",
        "local folder",
    ];
    git(work, &folder, &message, at).await?;
    let id = git(work, &folder, &["rev-parse", "--verify", "HEAD"], at).await?;
    Ok(id.trim().to_owned())
}

async fn git(
    work: &Path,
    folder: &Path,
    words: &[&str],
    repository: Option<&Path>,
) -> Result<String, Error> {
    let mut command = Command::new("git");
    let fixed = [
        "core.hooksPath=/dev/null",
        "core.fsmonitor=false",
        "core.bare=false",
        "core.autocrlf=false",
        "user.name=local",
        "user.email=local@localhost",
        "commit.gpgSign=false",
        "gc.auto=0",
    ];
    for setting in fixed {
        command.args(["-c", setting]);
    }
    if let Some(repository) = repository {
        command.arg("--git-dir").arg(repository);
        command.arg("--work-tree").arg(folder).current_dir(folder);
    } else {
        command.current_dir(work);
    }
    command
        .args(words)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", work)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let name = words.first().copied().unwrap_or_default();
    let failed = |why: String| Error::Source(format!("git {name} of the folder: {why}"));
    let ended = tokio::time::timeout(LIMIT, command.output())
        .await
        .map_err(|_| failed(format!("no end after {} s", LIMIT.as_secs())))?
        .map_err(|error| failed(format!("{error}; is git installed?")))?;
    if ended.status.success() {
        return Ok(String::from_utf8_lossy(&ended.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&ended.stderr);
    Err(failed(said.trim().chars().take(SAID_BYTES).collect()))
}
