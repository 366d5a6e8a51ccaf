//! What can go wrong between a Git server and a commit's files.
//!
//! Invariant: every text says what to do next, and none carries a credential, a value from a repository's files, or the
//! target of a symbolic link.

use std::time::Duration;

/// Whether trying the same again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Permanence {
    /// It may pass by itself: a server that is away, a time limit on a busy machine.
    Transient,
    /// Somebody has to change the repository, the credential or the specification first.
    Permanent,
}

/// Which credential a server turned down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialUse {
    /// The request carried none.
    None,
    /// The request carried the configured one.
    Configured,
    /// It is a key that a passphrase opens, so that the passphrase may be at fault.
    EncryptedKey,
}

/// Failure to reach, read or cache a Git repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The server does not answer, or breaks off.
    #[error("cannot reach {url}: {cause}; it is tried again by itself")]
    Unreachable {
        /// The repository.
        url: String,
        /// What was seen, in a few words.
        cause: String,
    },
    /// The server wants another credential.
    #[error("{url} {}", match given {
        CredentialUse::None => "asks for a credential; name a Secret with one",
        CredentialUse::EncryptedKey => "refuses the key, or its passphrase is another one; put a key that may read this repository under identity, and its passphrase under password of the Secret",
        CredentialUse::Configured => "refuses the credential; put a valid one that may read this repository into the Secret",
    })]
    AuthenticationFailed {
        /// The repository.
        url: String,
        /// What had been sent.
        given: CredentialUse,
    },
    /// No repository at the address.
    #[error(
        "there is no Git repository at {url}; correct the URL, or let the credential see the repository"
    )]
    RepositoryNotFound {
        /// The repository.
        url: String,
    },
    /// The branch, tag or commit does not exist.
    #[error("{url} has no {wanted}; push it, or name another one")]
    RefNotFound {
        /// The repository.
        url: String,
        /// For example `branch "main"`.
        wanted: String,
    },
    /// The branch moved on while its commit was being fetched.
    #[error(
        "the {wanted} of {url} moved while it was fetched; the new commit is taken at the next look"
    )]
    Superseded {
        /// The repository.
        url: String,
        /// For example `branch "main"`.
        wanted: String,
    },
    /// The repository has no branch and no tag.
    #[error("{url} is empty; push a first commit")]
    EmptyRepository {
        /// The repository.
        url: String,
    },
    /// The path does not exist in the commit, or is not a directory.
    #[error("{commit} has no directory {path:?}; correct the path, or put the directory there")]
    PathNotFound {
        /// The path inside the repository.
        path: String,
        /// The commit or artifact, for example `commit 1f0c…`.
        commit: String,
    },
    /// A commit or tag does not carry the signature that is asked for.
    #[error("{what} is not accepted: {why}")]
    Unverified {
        /// The commit or tag.
        what: String,
        /// What is wrong with its signature, by which key, and what to do.
        why: String,
    },
    /// An artifact of a registry that holds nothing to render, or something that is refused.
    #[error("the artifact sha256:{digest} {why}")]
    Artifact {
        /// The digest of its manifest, in hexadecimal digits.
        digest: String,
        /// What is wrong with it, and what to do.
        why: String,
    },
    /// Something unsafe or unsupported was asked for.
    #[error("{what} is refused: {instead}")]
    Refused {
        /// What was refused.
        what: String,
        /// Why, and what to do instead.
        instead: String,
    },
    /// What a submodule stands for can't be had.
    #[error("the submodule {path}: {error}")]
    Submodule {
        /// Its path in the repository.
        path: String,
        /// What is wrong with its repository.
        error: Box<SourceError>,
    },
    /// What a pointer to Git LFS stands for can't be had.
    #[error("the file {file}: {error}")]
    LargeFile {
        /// Its path in the repository.
        file: String,
        /// What is wrong.
        error: Box<SourceError>,
    },
    /// What the commit says of its submodules is unsafe or unsupported.
    #[error("{what} is refused: {why}")]
    SubmoduleRefused {
        /// The submodule, or the file that tells of it.
        what: String,
        /// Why, and what to do instead.
        why: String,
    },
    /// A limit on time was met.
    #[error("{operation} took longer than {} s and was ended; it is tried again by itself", limit.as_secs())]
    TimedOut {
        /// For example `fetching https://…`.
        operation: String,
        /// The limit.
        limit: Duration,
    },
    /// A limit on size was met.
    #[error("{what} exceeds the limit of {limit}; make it smaller, or raise the limit")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit with its unit.
        limit: String,
    },
    /// The local copy was damaged and could not be restored.
    #[error("the local copy of {url} is damaged ({detail}); it is built anew at the next try")]
    Corrupt {
        /// The repository.
        url: String,
        /// What was seen.
        detail: String,
    },
    /// The cache directory can't be used.
    #[error("the cache directory can't be used: {detail}; check its permissions and free space")]
    Cache {
        /// What was seen.
        detail: String,
    },
    /// A program is missing or can't be started.
    #[error("the program {program} can't be started: {detail}; install it or correct its path")]
    ProgramMissing {
        /// The program.
        program: String,
        /// What was seen.
        detail: String,
    },
    /// Git failed for a reason that is not known here.
    #[error("{operation} failed: {detail}")]
    Unexpected {
        /// For example `fetching https://…`.
        operation: String,
        /// Git's last words, without credentials.
        detail: String,
    },
}

impl SourceError {
    /// Whether trying the same again can help.
    pub fn permanence(&self) -> Permanence {
        match self {
            Self::Submodule { error, .. } | Self::LargeFile { error, .. } => error.permanence(),
            Self::Unreachable { .. }
            | Self::Superseded { .. }
            | Self::TimedOut { .. }
            | Self::Corrupt { .. }
            | Self::Cache { .. }
            | Self::Unexpected { .. } => Permanence::Transient,
            Self::AuthenticationFailed { .. }
            | Self::RepositoryNotFound { .. }
            | Self::RefNotFound { .. }
            | Self::EmptyRepository { .. }
            | Self::PathNotFound { .. }
            | Self::Artifact { .. }
            | Self::Unverified { .. }
            | Self::Refused { .. }
            | Self::SubmoduleRefused { .. }
            | Self::TooLarge { .. }
            | Self::ProgramMissing { .. } => Permanence::Permanent,
        }
    }

    /// One word for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "Unreachable",
            Self::AuthenticationFailed { .. } => "AuthenticationFailed",
            Self::RepositoryNotFound { .. } => "RepositoryNotFound",
            Self::RefNotFound { .. } => "RefNotFound",
            Self::Superseded { .. } => "Superseded",
            Self::EmptyRepository { .. } => "EmptyRepository",
            Self::PathNotFound { .. } => "PathNotFound",
            Self::Artifact { .. } => "ArtifactRefused",
            Self::Unverified { .. } => "SignatureRefused",
            Self::Submodule { error, .. } | Self::LargeFile { error, .. } => error.reason(),
            Self::Refused { .. } | Self::SubmoduleRefused { .. } => "Refused",
            Self::TimedOut { .. } => "TimedOut",
            Self::TooLarge { .. } => "TooLarge",
            Self::Corrupt { .. } => "CorruptCache",
            Self::Cache { .. } => "CacheUnavailable",
            Self::ProgramMissing { .. } => "ProgramMissing",
            Self::Unexpected { .. } => "SourceFailed",
        }
    }

    pub(crate) fn refused(what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::Refused {
            what: what.into(),
            instead: instead.into(),
        }
    }

    pub(crate) fn cache(detail: impl std::fmt::Display) -> Self {
        Self::Cache {
            detail: crate::text::one_line(&detail.to_string(), 300),
        }
    }
}
