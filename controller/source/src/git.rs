//! The `git` program in a locked-down environment.
//!
//! Invariant: git reads no configuration but what is written here, runs no hook, asks no question, speaks only the
//! repository's own protocol, and sees a credential only through its environment, bound to one URL, or in files of one run
//! ([`Access`]). Every operand has been
//! checked by its type ([`crate::RepositoryUrl`], [`crate::GitRef`], [`crate::Oid`]) and stands after `--` or inside a
//! refspec. Needs git 2.31 or newer; newer ones work less (`--filter` is used where the server knows it).

mod failure;
mod lfs;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::Semaphore;

use crate::access::{self, Access};
use crate::process::{self, Bounds, Finished, Invocation};
use crate::settings::{LocalRepositories, SourceSettings};
use crate::ssh::SshPrograms;
use crate::url::Transport;
use crate::{RefListing, Repository, SourceError};

pub(crate) use failure::Side;

const LISTING_BYTES: usize = 64 << 20;
const MEMORY_BYTES: u64 = 1 << 30;
const TOOL_TIMEOUT: Duration = Duration::from_secs(30);
const TOOL_OUTPUT_BYTES: usize = 1 << 20;
const TOOL_FILE_BYTES: u64 = 16 << 20;

/// The git program, its empty home and its share of the machine.
#[derive(Debug)]
pub(crate) struct Git {
    program: PathBuf,
    lfs_program: PathBuf,
    /// An empty directory: home, working directory, and the place above which git looks for nothing.
    home: PathBuf,
    /// Folders of single runs.
    scratch: PathBuf,
    ssh: SshPrograms,
    search_path: OsString,
    local_repositories: LocalRepositories,
    list_timeout: Duration,
    file_bytes: u64,
    permits: Semaphore,
    listings: AtomicU64,
    fetches: AtomicU64,
}

/// One run of git.
pub(crate) struct Call<'a> {
    /// For messages, for example `fetching`.
    pub(crate) operation: &'a str,
    pub(crate) repository: &'a Repository,
    /// The local copy; none for questions to the server alone.
    pub(crate) git_dir: Option<&'a Path>,
    pub(crate) side: Side,
    pub(crate) args: Vec<OsString>,
    pub(crate) stdin: Vec<u8>,
    pub(crate) timeout: Duration,
    pub(crate) stdout_bytes: usize,
    pub(crate) extra: Extra,
}

/// What one run of git gets beside its usual environment and configuration.
#[derive(Debug, Default)]
pub(crate) struct Extra {
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) configuration: Vec<(String, OsString)>,
}

/// One run of a program that helps git.
pub(crate) struct Tool<'a> {
    /// For messages.
    pub(crate) operation: &'a str,
    pub(crate) program: &'a Path,
    pub(crate) args: &'a [&'a str],
    pub(crate) env: Vec<(OsString, OsString)>,
    pub(crate) directory: &'a Path,
    pub(crate) stdin: Vec<u8>,
}

impl Git {
    pub(crate) fn new(
        settings: &SourceSettings,
        home: PathBuf,
        scratch: PathBuf,
        ssh: SshPrograms,
    ) -> Self {
        Self {
            program: settings.git_program.clone(),
            lfs_program: settings.git_lfs_program.clone(),
            home,
            scratch,
            ssh,
            search_path: std::env::var_os("PATH")
                .unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into()),
            local_repositories: settings.local_repositories,
            list_timeout: settings.list_timeout,
            file_bytes: settings.repository_limit_bytes,
            permits: Semaphore::new(settings.processes.max(1)),
            listings: AtomicU64::new(0),
            fetches: AtomicU64::new(0),
        }
    }

    /// A folder for one run, for this user alone; it goes when dropped.
    pub(crate) fn folder(&self) -> Result<TempDir, SourceError> {
        tempfile::Builder::new()
            .prefix(access::PREFIX)
            .tempdir_in(&self.scratch)
            .map_err(SourceError::cache)
    }

    /// Refuses repositories of this machine where the settings do.
    pub(crate) fn admit(&self, repository: &Repository) -> Result<(), SourceError> {
        let transport = repository.url().transport();
        if transport == Transport::Ssh && repository.ssh_key().is_none() {
            return Err(SourceError::refused(
                format!("reading {} without a key", repository.url()),
                "name a Secret with the keys identity (a private key) and known_hosts",
            ));
        }
        if transport == Transport::Registry {
            return Err(SourceError::refused(
                format!("reading {} with git", repository.url()),
                "only registries hold artifacts; write the address of a Git repository",
            ));
        }
        let is_local = transport == Transport::Local;
        if is_local && self.local_repositories == LocalRepositories::Refused {
            let what = format!("the local repository {}", repository.url());
            return Err(SourceError::refused(
                what,
                "use an https address, or allow local repositories for this controller",
            ));
        }
        Ok(())
    }

    /// The branches and tags of a repository, and other references by their full names: one request.
    pub(crate) async fn list(
        &self,
        repository: &Repository,
        named: &BTreeSet<String>,
    ) -> Result<RefListing, SourceError> {
        self.admit(repository)?;
        self.listings.fetch_add(1, Ordering::Relaxed);
        let url = repository.url().as_str();
        let output = self
            .run(Call {
                operation: "listing",
                repository,
                git_dir: None,
                side: Side::Server,
                args: words(&listing(url, named)),
                stdin: Vec::new(),
                timeout: self.list_timeout,
                stdout_bytes: LISTING_BYTES,
                extra: Extra::default(),
            })
            .await?;
        RefListing::parse(url, &output, named)
    }

    /// Runs git and gives its standard output.
    pub(crate) async fn run(&self, call: Call<'_>) -> Result<Vec<u8>, SourceError> {
        let (operation, repository, side) = (call.operation, call.repository, call.side);
        let finished = self.finish(call).await?;
        if finished.status.success() {
            return Ok(finished.stdout);
        }
        Err(failure::of(
            &finished,
            operation,
            repository,
            side,
            self.file_bytes,
        ))
    }

    /// Runs git to its end, whatever its exit status.
    pub(crate) async fn finish(&self, call: Call<'_>) -> Result<Finished, SourceError> {
        let access = Access::lay_out(call.repository, &self.scratch, &self.ssh)?;
        let invocation = Invocation {
            program: self.program.clone(),
            env: self.environment(call.repository, call.git_dir, [&access.extra, &call.extra]),
            directory: self.home.clone(),
            args: call.args,
            stdin: call.stdin,
        };
        let bounds = Bounds {
            timeout: call.timeout,
            stdout_bytes: call.stdout_bytes,
            memory_bytes: MEMORY_BYTES,
            file_bytes: self.file_bytes,
        };
        let finished = self
            .bounded(&invocation, &bounds, call.operation, call.repository)
            .await;
        // Only now: git has read the files.
        drop(access);
        finished
    }

    /// Runs another program that reads no repository: in `directory`, with this environment and nothing more than `PATH`.
    pub(crate) async fn tool(
        &self,
        tool: Tool<'_>,
        repository: &Repository,
    ) -> Result<Finished, SourceError> {
        let mut env = vec![("PATH".into(), self.search_path.clone())];
        env.push(("LC_ALL".into(), "C".into()));
        env.extend(tool.env);
        let invocation = Invocation {
            program: tool.program.to_owned(),
            args: words(tool.args),
            env,
            directory: tool.directory.to_owned(),
            stdin: tool.stdin,
        };
        let bounds = Bounds {
            timeout: TOOL_TIMEOUT,
            stdout_bytes: TOOL_OUTPUT_BYTES,
            memory_bytes: MEMORY_BYTES,
            file_bytes: TOOL_FILE_BYTES,
        };
        self.bounded(&invocation, &bounds, tool.operation, repository)
            .await
    }

    async fn bounded(
        &self,
        invocation: &Invocation,
        bounds: &Bounds,
        operation: &str,
        repository: &Repository,
    ) -> Result<Finished, SourceError> {
        let permit = self.permits.acquire().await.map_err(SourceError::cache)?;
        let outcome = process::run(invocation, bounds).await;
        drop(permit);
        outcome.map_err(|error| {
            failure::of_run(error, operation, repository, bounds, &invocation.program)
        })
    }

    pub(crate) fn count_fetch(&self) {
        self.fetches.fetch_add(1, Ordering::Relaxed);
    }

    /// How often servers were asked for their references, and for objects.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.listings.load(Ordering::Relaxed),
            self.fetches.load(Ordering::Relaxed),
        )
    }

    fn environment(
        &self,
        repository: &Repository,
        git_dir: Option<&Path>,
        extras: [&Extra; 2],
    ) -> Vec<(OsString, OsString)> {
        let home = self.home.as_os_str();
        let mut env: Vec<(OsString, OsString)> = vec![
            ("PATH".into(), self.search_path.clone()),
            ("HOME".into(), home.to_owned()),
            ("XDG_CONFIG_HOME".into(), home.to_owned()),
            // Keeps git from finding a repository, and so its configuration, around the cache directory.
            (
                "GIT_CEILING_DIRECTORIES".into(),
                self.home
                    .parent()
                    .unwrap_or(&self.home)
                    .as_os_str()
                    .to_owned(),
            ),
        ];
        let fixed = [
            ("LC_ALL", "C"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_ALLOW_PROTOCOL", protocols(repository)),
            // Without a key of its own nothing may go by SSH.
            ("GIT_SSH", "/bin/false"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_LITERAL_PATHSPECS", "1"),
        ];
        env.extend(fixed.map(|(name, value)| (name.into(), value.into())));
        if let Some(directory) = git_dir {
            env.push(("GIT_DIR".into(), directory.as_os_str().to_owned()));
        }
        let mut entries: Vec<(String, OsString)> = configuration(repository)
            .into_iter()
            .map(|(name, value)| (name, value.into()))
            .collect();
        entries.extend(extras.iter().flat_map(|extra| extra.configuration.clone()));
        env.push(("GIT_CONFIG_COUNT".into(), entries.len().to_string().into()));
        for (index, (name, value)) in entries.into_iter().enumerate() {
            env.push((format!("GIT_CONFIG_KEY_{index}").into(), name.into()));
            env.push((format!("GIT_CONFIG_VALUE_{index}").into(), value));
        }
        env.extend(extras.iter().flat_map(|extra| extra.env.clone()));
        env
    }
}

/// What a repository may be read by: nobody is led from one to another.
fn protocols(repository: &Repository) -> &'static str {
    match repository.url().transport() {
        Transport::Ssh => "ssh",
        Transport::Local => "file",
        // None of git's.
        Transport::Registry => "none",
        Transport::Https | Transport::HttpLoopback | Transport::HttpCleartext => "https:http",
    }
}

/// The whole configuration git sees, passed through the environment.
fn configuration(repository: &Repository) -> Vec<(String, String)> {
    let mut entries: Vec<(String, String)> = [
        ("core.hooksPath", "/dev/null"),
        ("core.fsmonitor", "false"),
        ("core.askPass", ""),
        ("core.bigFileThreshold", "8m"),
        ("core.packedGitLimit", "256m"),
        ("core.deltaBaseCacheLimit", "32m"),
        ("pack.windowMemory", "64m"),
        ("pack.threads", "1"),
        ("credential.helper", ""),
        ("protocol.version", "2"),
        ("gc.auto", "0"),
        ("maintenance.auto", "false"),
        // Packs are kept as packs: thousands of loose files would be slow to count and to remove.
        ("fetch.unpackLimit", "1"),
        ("http.sslVerify", "true"),
        ("http.lowSpeedLimit", "1000"),
        ("http.lowSpeedTime", "30"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    // Git sends extra headers to wherever it is redirected, and shows a certificate to anybody, so a
    // request that tells who asks follows nowhere.
    let redirects = if repository.identifies() {
        "false"
    } else {
        "initial"
    };
    entries.push(("http.followRedirects".to_owned(), redirects.to_owned()));
    if let Some(header) = repository.authorization() {
        let name = format!("http.{}.extraHeader", repository.url());
        entries.push((name, format!("Authorization: {header}")));
    }
    entries
}

/// Arguments from plain words.
/// Servers can leave out everything but branches and tags; for single references more they send all, which are sorted out here.
fn listing<'a>(url: &'a str, named: &BTreeSet<String>) -> Vec<&'a str> {
    let kinds: &[&str] = if named.is_empty() {
        &["--heads", "--tags"]
    } else {
        &[]
    };
    [&["ls-remote", "--quiet"], kinds, &["--", url]].concat()
}

pub(crate) fn words(words: &[&str]) -> Vec<OsString> {
    words.iter().map(OsString::from).collect()
}
