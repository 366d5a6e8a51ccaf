//! One repository and a working copy to commit from.
//!
//! Commits go straight into the repository's folder, so that they work while the server is stopped.

use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::fs;
use tokio::process::Command;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::lfs;
use crate::LabError;

const MAIN: &str = "main";
/// How long one `git` command may take.
const END_WITHIN: Duration = Duration::from_mins(1);

/// A repository of the lab; `main` is its first branch.
#[derive(Debug)]
pub struct GitRepo {
    bare: PathBuf,
    url: String,
    working_copy: Mutex<PathBuf>,
}

impl GitRepo {
    pub(super) async fn create(bare: PathBuf, url: String) -> Result<Self, LabError> {
        let parent = bare.parent().unwrap_or(Path::new("/")).to_path_buf();
        git(
            &parent,
            Command::new("git")
                .args(["init", "--quiet", "--bare", "--initial-branch", MAIN, "--"])
                .arg(&bare),
        )
        .await?;
        // Clients may fetch any commit by its name, as the large hosts allow.
        git(
            &bare,
            Command::new("git").args(["config", "uploadpack.allowAnySHA1InWant", "true"]),
        )
        .await?;
        let working_copy = bare.with_extension("work");
        git(
            &parent,
            Command::new("git")
                .args(["clone", "--quiet", "--"])
                .arg(&bare)
                .arg(&working_copy),
        )
        .await?;
        git(
            &working_copy,
            Command::new("git").args(["symbolic-ref", "HEAD", "refs/heads/main"]),
        )
        .await?;
        Ok(Self {
            bare,
            url,
            working_copy: Mutex::new(working_copy),
        })
    }

    /// The address over HTTP, without a login.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The repository's folder, which is an address too.
    pub fn path(&self) -> &Path {
        &self.bare
    }

    /// Writes the files, commits them on `main` and pushes. Returns the commit's name.
    pub async fn commit(&self, files: &[(&str, &str)], message: &str) -> Result<String, LabError> {
        self.commit_on(MAIN, files, message).await
    }

    /// As [`GitRepo::commit`], on another branch, which starts at `main` where it does not exist yet.
    pub async fn commit_on(
        &self,
        branch: &str,
        files: &[(&str, &str)],
        message: &str,
    ) -> Result<String, LabError> {
        let folder = self.working_copy.lock().await;
        check_out(&folder, branch).await?;
        write(&folder, files).await?;
        record(&folder, branch, message).await
    }

    /// Removes files or folders and writes others in one commit on `main`, and pushes. Returns the commit's name.
    pub async fn change(
        &self,
        gone: &[&str],
        files: &[(&str, &str)],
        message: &str,
    ) -> Result<String, LabError> {
        let folder = self.working_copy.lock().await;
        check_out(&folder, MAIN).await?;
        if !gone.is_empty() {
            take_out(&folder, gone).await?;
        }
        write(&folder, files).await?;
        record(&folder, MAIN, message).await
    }

    /// Puts a content where the server has files of Git LFS. Returns the pointer to commit.
    pub async fn store(&self, content: &[u8]) -> Result<String, LabError> {
        let (digest, pointer) = lfs::pointer(content);
        let folder = self.bare.join("lfs");
        fs::create_dir_all(&folder)
            .await
            .map_err(LabError::io(format!("create {}", folder.display())))?;
        let file = folder.join(digest);
        fs::write(&file, content)
            .await
            .map_err(LabError::io(format!("write {}", file.display())))?;
        Ok(pointer)
    }

    /// Puts a submodule at a path of `main`, or moves it to another commit, and pushes. What `.gitmodules` says is the caller's. Returns the
    /// commit's name.
    pub async fn pin(&self, path: &str, commit: &str) -> Result<String, LabError> {
        let folder = self.working_copy.lock().await;
        check_out(&folder, MAIN).await?;
        let place = inside(&folder, path)?;
        // An empty folder is how git shows a submodule that nobody cloned.
        fs::create_dir_all(&place)
            .await
            .map_err(LabError::io(format!("create {}", place.display())))?;
        let entry = format!("160000,{commit},{path}");
        let add = ["update-index", "--add", "--cacheinfo", &entry];
        git(&folder, Command::new("git").args(add)).await?;
        record(&folder, MAIN, &format!("Put {path} at {commit}")).await
    }

    /// Removes files or folders, commits that on `main` and pushes. Returns the commit's name.
    pub async fn remove(&self, paths: &[&str], message: &str) -> Result<String, LabError> {
        let folder = self.working_copy.lock().await;
        check_out(&folder, MAIN).await?;
        take_out(&folder, paths).await?;
        record(&folder, MAIN, message).await
    }

    /// Puts a branch at a commit, also one that is not its descendant (a forced push).
    pub async fn reset(&self, branch: &str, commit: &str) -> Result<(), LabError> {
        let folder = self.working_copy.lock().await;
        let refspec = format!("+{commit}:refs/heads/{branch}");
        push(&folder, &refspec).await
    }

    /// Tags a commit.
    pub async fn tag(&self, name: &str, commit: &str) -> Result<(), LabError> {
        let folder = self.working_copy.lock().await;
        push(&folder, &format!("{commit}:refs/tags/{name}")).await
    }

    /// The commit a branch, tag or other revision names.
    pub async fn resolve(&self, revision: &str) -> Result<String, LabError> {
        let peeled = format!("{revision}^{{commit}}");
        let name = git(
            &self.bare,
            Command::new("git").args(["rev-parse", "--verify", "--end-of-options", &peeled]),
        )
        .await?;
        Ok(name.trim().to_owned())
    }
}

async fn check_out(folder: &Path, branch: &str) -> Result<(), LabError> {
    git(
        folder,
        Command::new("git").args(["fetch", "--quiet", "--prune", "origin"]),
    )
    .await?;
    for start in [
        format!("refs/remotes/origin/{branch}"),
        format!("refs/remotes/origin/{MAIN}"),
    ] {
        let known = git(
            folder,
            Command::new("git").args(["rev-parse", "--verify", "--quiet", &start]),
        )
        .await;
        if known.is_ok() {
            return git(
                folder,
                Command::new("git").args(["checkout", "--quiet", "--force", "-B", branch, &start]),
            )
            .await
            .map(drop);
        }
    }
    // An empty repository: the first commit makes the branch.
    git(
        folder,
        Command::new("git").args(["symbolic-ref", "HEAD", &format!("refs/heads/{branch}")]),
    )
    .await
    .map(drop)
}

async fn write(folder: &Path, files: &[(&str, &str)]) -> Result<(), LabError> {
    for (path, content) in files {
        let path = inside(folder, path)?;
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .await
            .map_err(LabError::io(format!("create {}", parent.display())))?;
        fs::write(&path, content)
            .await
            .map_err(LabError::io(format!("write {}", path.display())))?;
    }
    Ok(())
}

async fn take_out(folder: &Path, paths: &[&str]) -> Result<(), LabError> {
    let command = &mut Command::new("git");
    git(
        folder,
        command.args(["rm", "-r", "--quiet", "--"]).args(paths),
    )
    .await?;
    Ok(())
}

async fn record(folder: &Path, branch: &str, message: &str) -> Result<String, LabError> {
    git(folder, Command::new("git").args(["add", "--all"])).await?;
    git(
        folder,
        Command::new("git").args(["commit", "--quiet", "--allow-empty", "-m", message]),
    )
    .await?;
    push(folder, &format!("HEAD:refs/heads/{branch}")).await?;
    Ok(git(folder, Command::new("git").args(["rev-parse", "HEAD"]))
        .await?
        .trim()
        .to_owned())
}

async fn push(folder: &Path, refspec: &str) -> Result<(), LabError> {
    git(
        folder,
        Command::new("git").args(["push", "--quiet", "origin", refspec]),
    )
    .await
    .map(drop)
}

/// A path of a file to commit; it must stay inside the working copy.
fn inside(folder: &Path, path: &str) -> Result<PathBuf, LabError> {
    let path = Path::new(path);
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let message = || {
        format!(
            "{} is not a plain path inside the repository",
            path.display()
        )
    };
    if plain {
        Ok(folder.join(path))
    } else {
        Err(LabError::Format {
            what: "a file to commit".into(),
            message: message(),
        })
    }
}

/// Runs a `git` command in `folder`, undisturbed by this machine's configuration. Returns what it printed.
pub(crate) async fn git(folder: &Path, command: &mut Command) -> Result<String, LabError> {
    command
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .envs([
            ("GIT_AUTHOR_NAME", "Lab"),
            ("GIT_AUTHOR_EMAIL", "lab@example.com"),
        ])
        .envs([
            ("GIT_COMMITTER_NAME", "Lab"),
            ("GIT_COMMITTER_EMAIL", "lab@example.com"),
        ])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
        command.env_remove(variable);
    }
    let arguments: Vec<_> = command
        .as_std()
        .get_args()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect();
    let failed = |output: String| LabError::Git {
        command: arguments.join(" "),
        output,
    };
    let output = timeout(END_WITHIN, command.output())
        .await
        .map_err(|_| failed("it takes too long".into()))?;
    let output = output.map_err(|error| failed(format!("cannot run git: {error}")))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(failed(
            String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        ))
    }
}
