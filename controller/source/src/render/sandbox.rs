//! Running a build program apart from the machine.
//!
//! Invariant: the program gets a directory with the files of its job and nothing else: an empty environment, an empty home, no
//! program to start (an empty `PATH`), limits on time, memory and output, and no network where the machine lets an
//! unprivileged process give it up. What it says is passed on only as its [`Job`] words it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::{OnceCell, Semaphore};

use super::{RenderError, RendererSettings};
use crate::RepoPath;
use crate::process::{self, Bounds, Finished, Invocation, RunError};
use crate::text::one_line;

/// Ways to start a program without network, best first.
const UNSHARE: [&[&str]; 2] = [&["--net", "--"], &["--map-root-user", "--net", "--"]];

/// Where a job's files stand below the temporary directory.
const REPOSITORY: &str = "repository";
const INPUT: &str = "input";

/// A program that makes objects of files.
#[derive(Debug)]
pub(super) struct BuildTool {
    pub(super) name: &'static str,
    /// What to install where it is missing.
    pub(super) wanted: &'static str,
    /// Arguments that make it tell its version.
    pub(super) version: &'static [&'static str],
    /// Variables that would lead it to something of the machine; they name the empty directory.
    pub(super) homes: &'static [&'static str],
    /// The reason of a build that failed.
    pub(super) failed: &'static str,
}

/// One word of a command line.
#[derive(Debug)]
pub(super) enum Word {
    Text(String),
    /// An option with the path of a file that stands among the repository's files.
    File(&'static str, String),
    /// An option with the path of a file of `Job::input`.
    Input(&'static str, String),
}

/// What to build.
pub(super) struct Job<'a> {
    pub(super) path: &'a RepoPath,
    /// Files by their path in the repository.
    pub(super) files: &'a BTreeMap<String, Vec<u8>>,
    /// Files that don't come from the repository, by name.
    pub(super) input: &'a BTreeMap<String, Vec<u8>>,
    pub(super) words: &'a [Word],
    /// Makes what the program says on a failure fit for a status.
    pub(super) explain: &'a (dyn Fn(&str) -> String + Sync),
}

/// What a program makes of its standard input, without any file.
pub(super) struct Filter<'a> {
    pub(super) args: Vec<String>,
    /// What it is told beside the arguments, which others on the machine could read.
    pub(super) env: Vec<(&'static str, &'a str)>,
    pub(super) stdin: Vec<u8>,
}

/// What a program gave.
pub(super) struct Filtered {
    /// How it ended; nothing if it broke down.
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
}

/// What differs from one run to the next.
#[derive(Default)]
struct Run {
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    stdin: Vec<u8>,
}

impl Run {
    fn of(args: impl Iterator<Item = OsString>) -> Self {
        Self {
            args: args.collect(),
            ..Self::default()
        }
    }
}

#[derive(Debug)]
pub(super) struct Sandbox {
    tool: &'static BuildTool,
    program: PathBuf,
    settings: Arc<RendererSettings>,
    permits: Arc<Semaphore>,
    starter: OnceCell<Starter>,
}

/// How the program is started on this machine.
#[derive(Debug)]
struct Starter {
    /// A program that takes the network away and its arguments; empty where that is not permitted.
    prefix: Vec<OsString>,
    program: PathBuf,
    version: String,
}

/// A successful build.
pub(super) struct Built {
    pub(super) output: String,
    pub(super) warnings: Vec<String>,
}

impl Sandbox {
    /// Builds with `program`; `permits` are shared by all programs.
    pub(super) fn new(
        tool: &'static BuildTool,
        program: PathBuf,
        settings: Arc<RendererSettings>,
        permits: Arc<Semaphore>,
    ) -> Self {
        Self {
            tool,
            program,
            settings,
            permits,
            starter: OnceCell::new(),
        }
    }

    /// The program's name and version.
    pub(super) async fn version(&self) -> Result<String, RenderError> {
        Ok(format!(
            "{} {}",
            self.tool.name,
            self.starter().await?.version
        ))
    }

    /// Builds from the files of the job alone.
    pub(super) async fn build(&self, job: &Job<'_>) -> Result<Built, RenderError> {
        let starter = self.starter().await?;
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(RenderError::work_directory)?;
        let folder = self.folder()?;
        let (repository, input) = (folder.path().join(REPOSITORY), folder.path().join(INPUT));
        let files = job
            .files
            .iter()
            .map(|(path, content)| (path.as_str(), content));
        write_files(&repository, files)?;
        write_files(
            &input,
            job.input
                .iter()
                .map(|(name, content)| (name.as_str(), content)),
        )?;
        let args = job.words.iter().map(|word| match word {
            Word::Text(text) => text.into(),
            Word::File(option, path) => joined(option, &repository.join(path)),
            Word::Input(option, name) => joined(option, &input.join(name)),
        });
        let run = self.run(starter, &folder, Run::of(args)).await;
        match unless_killed(&job.path.to_string(), run)? {
            Ok(finished) if finished.status.success() => {
                let output = String::from_utf8(finished.stdout)
                    .map_err(|_| self.failed(job.path, "its output is not UTF-8"))?;
                Ok(Built {
                    output,
                    warnings: warnings(&finished.stderr),
                })
            }
            Ok(finished) => {
                let detail = complaint(&finished, folder.path(), job.explain);
                Err(self.failed(job.path, &detail))
            }
            Err(error) => Err(self.broken(&job.path.to_string(), starter, error)),
        }
    }

    /// Gives the program something to read, for the file at `path`. What it says beside its output is not kept.
    pub(super) async fn filter(
        &self,
        path: &str,
        filter: Filter<'_>,
    ) -> Result<Filtered, RenderError> {
        let starter = self.starter().await?;
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(RenderError::work_directory)?;
        let folder = self.folder()?;
        let env = filter.env.into_iter();
        let run = Run {
            args: filter.args.into_iter().map(OsString::from).collect(),
            env: env
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            stdin: filter.stdin,
        };
        let run = self.run(starter, &folder, run).await;
        match unless_killed(path, run)? {
            Ok(finished) => Ok(Filtered {
                code: finished.status.code(),
                stdout: finished.stdout,
            }),
            Err(error) => Err(self.broken(path, starter, error)),
        }
    }

    fn broken(&self, path: &str, starter: &Starter, error: RunError) -> RenderError {
        match error {
            RunError::TimedOut => RenderError::TimedOut {
                path: path.to_owned(),
                limit: self.settings.timeout,
            },
            RunError::TooMuchOutput => RenderError::TooLarge {
                what: format!("the build of {path}"),
                limit: format!("{} MiB", self.settings.output_bytes >> 20),
            },
            RunError::Start(error) => self.missing(&starter.program, &error),
            RunError::Talk(error) => RenderError::work_directory(error),
        }
    }

    async fn starter(&self) -> Result<&Starter, RenderError> {
        self.starter.get_or_try_init(|| self.find_starter()).await
    }

    /// Finds the program and the strictest way to start it that works here, by asking for its version.
    async fn find_starter(&self) -> Result<Starter, RenderError> {
        let program = find_program(&self.program);
        let unshare = find_program(Path::new("unshare"));
        let mut prefixes: Vec<Vec<OsString>> = Vec::new();
        if unshare.is_absolute() {
            prefixes.extend(UNSHARE.iter().map(|options| {
                let options = options.iter().map(OsString::from);
                std::iter::once(unshare.clone().into_os_string())
                    .chain(options)
                    .collect()
            }));
        }
        prefixes.push(Vec::new());
        let folder = self.folder()?;
        let mut problem = std::io::Error::other("it gives no version");
        for prefix in prefixes {
            let starter = Starter {
                prefix,
                program: program.clone(),
                version: String::new(),
            };
            match self
                .run(
                    &starter,
                    &folder,
                    Run::of(self.tool.version.iter().map(OsString::from)),
                )
                .await
            {
                Ok(finished) if finished.status.success() => {
                    let version = one_line(&String::from_utf8_lossy(&finished.stdout), 64);
                    tracing::info!(program = %program.display(), version, no_network = !starter.prefix.is_empty(), "{} is ready", self.tool.name);
                    return Ok(Starter { version, ..starter });
                }
                Err(RunError::Start(error)) => problem = error,
                Ok(_) | Err(_) => {}
            }
        }
        Err(self.missing(&program, &problem))
    }

    async fn run(
        &self,
        starter: &Starter,
        folder: &TempDir,
        run: Run,
    ) -> Result<Finished, RunError> {
        let mut words = starter
            .prefix
            .iter()
            .cloned()
            .chain([starter.program.clone().into_os_string()])
            .chain(run.args);
        let program = PathBuf::from(words.next().unwrap_or_default());
        let empty = folder.path().join("empty").into_os_string();
        let soft_memory = self.settings.memory_bytes / 4 * 3;
        let homes = ["HOME", "XDG_CONFIG_HOME", "PATH"];
        let homes = homes.iter().chain(self.tool.homes);
        let mut env: Vec<(OsString, OsString)> =
            homes.map(|name| (name.into(), empty.clone())).collect();
        env.extend([
            ("TMPDIR".into(), folder.path().join("tmp").into_os_string()),
            ("GOMAXPROCS".into(), "2".into()),
            ("GOMEMLIMIT".into(), soft_memory.to_string().into()),
        ]);
        env.extend(run.env);
        let bounds = Bounds {
            timeout: self.settings.timeout,
            stdout_bytes: self.settings.output_bytes,
            memory_bytes: self.settings.memory_bytes,
            file_bytes: 64 << 20,
        };
        let args = words.collect();
        let directory = folder.path().to_owned();
        process::run(
            &Invocation {
                program,
                args,
                env,
                directory,
                stdin: run.stdin,
            },
            &bounds,
        )
        .await
    }

    /// A new directory that only this process's user can enter, and that is removed when dropped.
    fn folder(&self) -> Result<TempDir, RenderError> {
        let folder = tempfile::Builder::new()
            .prefix("belay-render-")
            .tempdir_in(&self.settings.work_directory);
        // Programs report paths with links resolved; so do we, to find them in their words.
        let folder = folder.map_err(RenderError::work_directory)?;
        for name in ["empty", "tmp", REPOSITORY, INPUT] {
            DirBuilder::new()
                .mode(0o700)
                .create(folder.path().join(name))
                .map_err(RenderError::work_directory)?;
        }
        Ok(folder)
    }

    fn failed(&self, path: &RepoPath, detail: &str) -> RenderError {
        RenderError::BuildFailed {
            tool: self.tool.name,
            reason: self.tool.failed,
            path: path.to_string(),
            detail: detail.to_owned(),
        }
    }

    fn missing(&self, program: &Path, error: &std::io::Error) -> RenderError {
        RenderError::ProgramMissing {
            program: program.display().to_string(),
            detail: error.to_string(),
            wanted: self.tool.wanted,
        }
    }
}

/// Writes the files. Their names were checked when the commit was read: no `..`, no absolute path.
fn write_files<'a>(
    root: &Path,
    files: impl Iterator<Item = (&'a str, &'a Vec<u8>)>,
) -> Result<(), RenderError> {
    for (path, content) in files {
        let file = root.join(path);
        let parent = file.parent().unwrap_or(root);
        std::fs::create_dir_all(parent).map_err(RenderError::work_directory)?;
        std::fs::write(&file, content).map_err(RenderError::work_directory)?;
    }
    Ok(())
}

fn joined(option: &str, path: &Path) -> OsString {
    let mut word = OsString::from(option);
    word.push(path);
    word
}

/// What the program says without this machine's paths, as the job words it.
/// What came of a run, unless somebody else ended it, which says nothing about what is built. A program that breaks down by itself gets
/// other signals.
fn unless_killed(
    path: &str,
    run: Result<Finished, RunError>,
) -> Result<Result<Finished, RunError>, RenderError> {
    let from_outside = [Signal::KILL, Signal::TERM].map(Signal::as_raw);
    let signal = run
        .as_ref()
        .ok()
        .and_then(|finished| finished.status.signal());
    match signal.filter(|signal| from_outside.contains(signal)) {
        Some(signal) => Err(RenderError::Killed {
            path: path.to_owned(),
            signal,
        }),
        None => Ok(run),
    }
}

fn complaint(finished: &Finished, folder: &Path, explain: &dyn Fn(&str) -> String) -> String {
    let stderr = [REPOSITORY, INPUT]
        .iter()
        .fold(finished.stderr.clone(), |text, name| {
            text.replace(&format!("{}/{name}/", folder.display()), "")
        });
    let said = explain(&stderr);
    if said.is_empty() {
        format!("it ended with {}", finished.status)
    } else {
        one_line(&said, 400)
    }
}

fn warnings(stderr: &str) -> Vec<String> {
    let lines = stderr
        .lines()
        .filter(|line| line.to_ascii_lowercase().contains("warning"));
    lines
        .take(10)
        .map(|line| one_line(line.trim_start_matches(['#', ' ']), 200))
        .collect()
}

/// Looks a bare name up in `PATH`; the program itself gets an empty one.
fn find_program(name: &Path) -> PathBuf {
    if name.components().count() > 1 {
        return name.to_owned();
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    let found = std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| name.to_owned())
}
