//! What git's complaints mean.
//!
//! Invariant: known failures get our own words. Only unknown ones quote git, on one line, with the repository's secrets
//! replaced and without what the server sent (`remote: …`).

mod signs;

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;

use crate::error::CredentialUse;
use crate::process::{Bounds, Finished, RunError};
use crate::ssh::SshKey;
use crate::text::one_line;
use crate::{Repository, SourceError};
use signs::{Meaning, TABLE};

/// Whom an unknown failure is blamed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The command talks to the server.
    Server,
    /// The command reads the local copy, so a failure means that the copy is damaged.
    Copy,
}

/// The signal of a process that wrote more than it may.
const SIGXFSZ: i32 = 25;

/// The error of a run that ended with a failure status.
pub(super) fn of(
    finished: &Finished,
    operation: &str,
    repository: &Repository,
    side: Side,
    file_bytes: u64,
) -> SourceError {
    let complaint = finished.stderr.to_lowercase();
    let meaning = if finished.status.signal() == Some(SIGXFSZ) {
        Some(Meaning::TooLarge)
    } else {
        TABLE
            .iter()
            .find(|(_, signs)| signs.iter().any(|sign| complaint.contains(sign)))
            .map(|(meaning, _)| *meaning)
    };
    match meaning {
        Some(meaning) => known(meaning, repository, file_bytes),
        None => unknown(finished, operation, repository, side),
    }
}

fn known(meaning: Meaning, repository: &Repository, file_bytes: u64) -> SourceError {
    let url = repository.url().to_string();
    let unreachable = |cause: &str| SourceError::Unreachable {
        url: url.clone(),
        cause: cause.to_owned(),
    };
    match meaning {
        Meaning::TooLarge => SourceError::TooLarge {
            what: url,
            limit: format!("{} MiB", file_bytes >> 20),
        },
        Meaning::OutOfMemory => SourceError::TooLarge {
            what: format!("the memory git needs for {url}"),
            limit: format!("{} MiB", super::MEMORY_BYTES >> 20),
        },
        Meaning::DiskFull => SourceError::cache("it is full or read-only"),
        Meaning::NotAllowed => {
            SourceError::refused(format!("the protocol of {url}"), "use its https address")
        }
        Meaning::HostKeyChanged => SourceError::refused(
            format!("the server of {url}"),
            "its host key is another one than known_hosts of the Secret says: somebody may pose as it; compare with what its owner \
             publishes, and only then put the new key there",
        ),
        Meaning::HostKeyUnknown => SourceError::refused(
            format!("the server of {url}"),
            "its host key is not in known_hosts of the Secret; put it there (from ssh-keyscan, compared with what its owner \
             publishes), with [host]:port where the port is not 22",
        ),
        Meaning::Key => SourceError::refused(
            format!("the SSH key for {url}"),
            "ssh can't read it; put the whole private key into the Secret, as ssh-keygen wrote it",
        ),
        Meaning::Redirect => SourceError::refused(
            format!("following {url} to another address"),
            "write the address the server redirects to (often the same with .git at its end)",
        ),
        Meaning::Authentication => {
            let is_encrypted = repository.ssh_key().is_some_and(SshKey::is_encrypted);
            let given = if is_encrypted {
                CredentialUse::EncryptedKey
            } else if repository.identifies() {
                CredentialUse::Configured
            } else {
                CredentialUse::None
            };
            SourceError::AuthenticationFailed { url, given }
        }
        Meaning::NoReference => SourceError::RefNotFound {
            url,
            wanted: "such reference or commit".to_owned(),
        },
        Meaning::NoRepository => SourceError::RepositoryNotFound { url },
        Meaning::Ownership => SourceError::refused(
            format!("reading {url}, which belongs to another user"),
            "give the directory to the controller's user",
        ),
        Meaning::DumbServer => SourceError::refused(
            format!("the server of {url}, which speaks no smart HTTP"),
            "serve it by git http-backend or a Git forge",
        ),
        Meaning::Certificate => unreachable(
            "its certificate is not trusted (that of an authority of your own goes into the Secret under ca.crt)",
        ),
        Meaning::ProxyLogin => SourceError::refused(
            format!("the way to {url}"),
            "the proxy wants another user name and password; correct them in the Secret of the proxy",
        ),
        Meaning::Proxy => unreachable("the proxy can't be reached or leads nowhere"),
        Meaning::Name => unreachable("its host name is not known"),
        Meaning::Refusing => unreachable("nothing answers there"),
        Meaning::Slow => unreachable("it answers too slowly"),
        Meaning::BreakingOff => unreachable("the server failed or broke off"),
    }
}

fn unknown(
    finished: &Finished,
    operation: &str,
    repository: &Repository,
    side: Side,
) -> SourceError {
    let words = finished
        .stderr
        .lines()
        .filter(|line| !line.starts_with("remote:") && !line.trim().is_empty());
    let said = one_line(
        &repository.scrub(&words.collect::<Vec<_>>().join("; ")),
        300,
    );
    let detail = if said.is_empty() {
        format!("git ended with {}", finished.status)
    } else {
        said
    };
    let url = repository.url().to_string();
    match side {
        Side::Server => SourceError::Unexpected {
            operation: format!("{operation} {url}"),
            detail,
        },
        Side::Copy => SourceError::Corrupt { url, detail },
    }
}

/// The error of a run that gave no result.
pub(super) fn of_run(
    error: RunError,
    operation: &str,
    repository: &Repository,
    bounds: &Bounds,
    program: &Path,
) -> SourceError {
    let url = repository.url();
    match error {
        RunError::Start(error) => SourceError::ProgramMissing {
            program: program.display().to_string(),
            detail: error.to_string(),
        },
        RunError::Talk(error) => SourceError::Unexpected {
            operation: format!("{operation} {url}"),
            detail: error.to_string(),
        },
        RunError::TimedOut => SourceError::TimedOut {
            operation: format!("{operation} {url}"),
            limit: bounds.timeout,
        },
        RunError::TooMuchOutput => SourceError::TooLarge {
            what: format!("the answer to {operation} {url}"),
            limit: format!("{} MiB", bounds.stdout_bytes >> 20),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;
    use crate::{Credential, RepositoryUrl};

    fn failed(stderr: &str) -> Finished {
        Finished {
            status: ExitStatus::from_raw(128 << 8),
            stdout: Vec::new(),
            stderr: stderr.to_owned(),
        }
    }

    fn repository() -> Repository {
        let url = RepositoryUrl::parse("https://git.example.com/a").unwrap();
        Repository::with_credential(url, Credential::basic("a/b", "bot", "hunter2").unwrap())
            .unwrap()
    }

    #[test]
    fn known_complaints_get_their_meaning() {
        for (stderr, reason) in [
            (
                "fatal: unable to access 'https://x/': Could not resolve host: x",
                "Unreachable",
            ),
            (
                "fatal: unable to access 'https://x/': The requested URL returned error: 503",
                "Unreachable",
            ),
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled",
                "AuthenticationFailed",
            ),
            (
                "remote: denied\nfatal: unable to access: The requested URL returned error: 403",
                "AuthenticationFailed",
            ),
            (
                "fatal: repository 'https://x/' not found",
                "RepositoryNotFound",
            ),
            (
                "fatal: remote error: upload-pack: not our ref aaaa",
                "RefNotFound",
            ),
            ("error: index-pack died of signal 25", "TooLarge"),
            ("fatal: transport 'ext' not allowed", "Refused"),
        ] {
            let error = of(
                &failed(stderr),
                "fetching",
                &repository(),
                Side::Server,
                1 << 30,
            );
            assert_eq!(error.reason(), reason, "{stderr}");
        }
    }

    #[test]
    fn unknown_complaints_are_quoted_without_secrets_and_server_text() {
        let stderr = "remote: \u{1b}[31mHello\nfatal: odd thing with hunter2\n";
        let error = of(&failed(stderr), "fetching", &repository(), Side::Server, 1).to_string();
        assert!(error.contains("odd thing with ***"), "{error}");
        assert!(
            !error.contains("hunter2") && !error.contains("Hello"),
            "{error}"
        );
        assert_eq!(
            of(&failed(""), "reading", &repository(), Side::Copy, 1).reason(),
            "CorruptCache"
        );
    }
}
