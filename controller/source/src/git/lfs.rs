//! The `git-lfs` program, in the locked-down environment of git.
//!
//! Invariant: it runs in an empty repository of its own, so that nothing of the one it fetches for (`.lfsconfig`,
//! attributes, configuration) reaches it. It is told the server, which is the repository's own, and takes nothing but a pointer.
//! The credential stands in its environment alone, bound to that server; git-lfs can't write it into its log, for that is in the way of a file.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use super::{Call, Extra, Git, Side, words};
use crate::access::Access;
use crate::lfs::{Pointer, other_content};
use crate::process::{Bounds, Finished, Invocation};
use crate::text::one_line;
use crate::url::Transport;
use crate::{CredentialUse, Repository, SourceError};

const MEMORY_BYTES: u64 = 1 << 30;
/// What the program writes beside the content.
const BESIDE_BYTES: u64 = 1 << 20;
const SETUP_TIMEOUT: Duration = Duration::from_secs(30);

impl Git {
    /// What a pointer stands for, of the size it names or less.
    pub(crate) async fn large_file(
        &self,
        repository: &Repository,
        pointer: &Pointer,
        timeout: Duration,
    ) -> Result<Vec<u8>, SourceError> {
        self.admit(repository)?;
        let endpoint = endpoint(repository)?;
        let folder = self.folder()?;
        let home = folder.path().join("repository");
        self.set_up(repository, &home).await?;
        let access = Access::lay_out(repository, &self.scratch, &self.ssh)?;
        let extra = Extra {
            env: Vec::new(),
            configuration: configuration(repository, &endpoint),
        };
        let invocation = Invocation {
            program: self.lfs_program.clone(),
            args: words(&["smudge"]),
            env: self.environment(repository, Some(&home), [&access.extra, &extra]),
            directory: self.home.clone(),
            stdin: pointer.text().into_bytes(),
        };
        let bytes = pointer.bytes();
        let bounds = Bounds {
            timeout,
            // After a failure it writes the pointer.
            stdout_bytes: usize::try_from(bytes).unwrap_or(usize::MAX).max(4096),
            memory_bytes: MEMORY_BYTES,
            file_bytes: bytes.saturating_add(BESIDE_BYTES),
        };
        self.count_fetch();
        let operation = "fetching a file in Git LFS of";
        let finished = self.bounded(&invocation, &bounds, operation, repository);
        let finished = finished.await?;
        if finished.status.success() {
            return Ok(finished.stdout);
        }
        Err(failure(&finished, repository, pointer))
    }

    /// An empty repository in which nothing can be logged.
    async fn set_up(&self, repository: &Repository, home: &Path) -> Result<(), SourceError> {
        let path = home.to_string_lossy();
        let init = ["init", "--quiet", "--bare", "--template=", "--", &path];
        self.run(Call {
            operation: "preparing a folder for",
            repository,
            git_dir: None,
            side: Side::Copy,
            args: words(&init),
            stdin: Vec::new(),
            timeout: SETUP_TIMEOUT,
            stdout_bytes: 4096,
            extra: Extra::default(),
        })
        .await?;
        let lfs = home.join("lfs");
        std::fs::create_dir(&lfs).map_err(SourceError::cache)?;
        // Where the program would make a folder for logs, which hold its environment.
        std::fs::write(lfs.join("logs"), "").map_err(SourceError::cache)
    }
}

/// The LFS server of a repository, by LFS's own rule.
fn endpoint(repository: &Repository) -> Result<String, SourceError> {
    let url = repository.url();
    match url.transport() {
        Transport::Https | Transport::HttpLoopback | Transport::HttpCleartext => {
            let address = url.as_str().trim_end_matches('/');
            let dot = if address.strip_suffix(".git").is_some() {
                ""
            } else {
                ".git"
            };
            Ok(format!("{address}{dot}/info/lfs"))
        }
        Transport::Ssh | Transport::Local | Transport::Registry => Err(SourceError::refused(
            format!("Git LFS of {url}"),
            "its files are fetched by https alone; write the repository's https address, or commit the files themselves",
        )),
    }
}

fn configuration(repository: &Repository, endpoint: &str) -> Vec<(String, OsString)> {
    let mut entries: Vec<(String, OsString)> = [
        ("lfs.url", endpoint),
        // No other way of transfer, which might be a program or SSH.
        ("lfs.basictransfersonly", "true"),
        ("lfs.concurrenttransfers", "1"),
        ("lfs.transfer.maxretries", "1"),
        ("lfs.dialtimeout", "15"),
        ("lfs.tlstimeout", "15"),
        ("lfs.activitytimeout", "30"),
        ("lfs.cachecredentials", "false"),
        ("lfs.skipdownloaderrors", "false"),
    ]
    .map(|(name, value)| (name.to_owned(), value.into()))
    .into();
    if let Some(header) = repository.authorization() {
        let name = format!("http.{endpoint}.extraHeader");
        entries.push((name, format!("Authorization: {header}").into()));
    }
    entries
}

/// What git-lfs's complaints mean, in this order. All texts are lower case.
const SIGNS: &[(Meaning, &[&str])] = &[
    (Meaning::Other, &["expected oid"]),
    (
        Meaning::Login,
        &[
            "authorization error",
            "authentication required",
            "could not read username",
            "git credentials for",
        ],
    ),
    (
        Meaning::Missing,
        &[
            "[404]",
            "[410]",
            "object not found",
            "object does not exist",
        ],
    ),
    (Meaning::Certificate, &["x509:", "certificate"]),
    (
        Meaning::Away,
        &[
            "dial tcp",
            "server error",
            "rate limit",
            "timeout",
            "connection reset",
            "eof",
            "no such host",
            "proxyconnect",
        ],
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Other,
    Login,
    Missing,
    Certificate,
    Away,
}

fn failure(finished: &Finished, repository: &Repository, pointer: &Pointer) -> SourceError {
    let url = repository.url().to_string();
    let said = complaint(&finished.stderr);
    let lower = said.to_lowercase();
    let meaning = SIGNS
        .iter()
        .find(|(_, signs)| signs.iter().any(|sign| lower.contains(sign)))
        .map(|(meaning, _)| *meaning);
    let unreachable = |cause: &str| SourceError::Unreachable {
        url: url.clone(),
        cause: cause.to_owned(),
    };
    match meaning {
        Some(Meaning::Other) => other_content(repository),
        Some(Meaning::Login) => SourceError::AuthenticationFailed {
            given: if repository.identifies() {
                CredentialUse::Configured
            } else {
                CredentialUse::None
            },
            url,
        },
        Some(Meaning::Missing) => SourceError::RefNotFound {
            wanted: format!("object {} in Git LFS", pointer.digest()),
            url,
        },
        Some(Meaning::Certificate) => {
            unreachable("the certificate of its LFS server is not trusted")
        }
        Some(Meaning::Away) => unreachable("its LFS server does not answer as it should"),
        None => SourceError::Unexpected {
            operation: format!("fetching a file in Git LFS of {url}"),
            detail: one_line(&repository.scrub(&said), 300),
        },
    }
}

/// The part of what git-lfs says that is about the failure; after it comes its environment.
fn complaint(stderr: &str) -> String {
    let lines = stderr
        .lines()
        .skip_while(|line| !line.starts_with("Error downloading"))
        .take_while(|line| !line.is_empty() && !line.starts_with("Unable to log"));
    let said: Vec<&str> = lines.collect();
    if said.is_empty() {
        return "git-lfs gave no reason".to_owned();
    }
    said.join("\n")
}
