//! What the controller decides about sources as a whole.

use std::path::PathBuf;
use std::time::Duration;

/// Whether repositories of the controller's own machine may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocalRepositories {
    /// `file:///…` and paths are refused: users could otherwise read what only the controller may.
    Refused,
    /// For tests, and for machines with one user.
    Allowed,
}

/// Programs, places and limits for Git.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Where local copies live. Created when missing; may be emptied at any time.
    pub cache_directory: PathBuf,
    /// The git program: a path, or a name to look up in `PATH`.
    pub git_program: PathBuf,
    /// The git-lfs program, for repositories whose files lie in Git LFS.
    pub git_lfs_program: PathBuf,
    /// The program that checks PGP signatures.
    pub gpg_program: PathBuf,
    /// The program for repositories over SSH: OpenSSH 8.4 or newer.
    pub ssh_program: PathBuf,
    /// The program that checks SSH signatures.
    pub ssh_keygen_program: PathBuf,
    /// Whether repositories of this machine may be read.
    pub local_repositories: LocalRepositories,
    /// Time limit for asking a server for its references.
    pub list_timeout: Duration,
    /// Time limit for fetching one commit.
    pub fetch_timeout: Duration,
    /// Size limit of one local copy, in bytes.
    pub repository_limit_bytes: u64,
    /// Runs of git at the same time.
    pub processes: usize,
    /// Limits on the files read from one commit.
    pub files: FileLimits,
}

/// Limits on the files read from one commit for one render.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileLimits {
    /// Entries below the path, of whatever kind.
    pub entries: usize,
    /// Size of one file, in bytes.
    pub file_bytes: u64,
    /// Size of all files together, in bytes.
    pub total_bytes: u64,
}

impl SourceSettings {
    /// The usual limits, with local copies in `cache_directory`.
    pub fn new(cache_directory: impl Into<PathBuf>) -> Self {
        Self {
            cache_directory: cache_directory.into(),
            git_program: PathBuf::from("git"),
            git_lfs_program: PathBuf::from("git-lfs"),
            gpg_program: PathBuf::from("gpg"),
            ssh_program: PathBuf::from("ssh"),
            ssh_keygen_program: PathBuf::from("ssh-keygen"),
            local_repositories: LocalRepositories::Refused,
            list_timeout: Duration::from_secs(30),
            fetch_timeout: Duration::from_mins(5),
            repository_limit_bytes: 4 << 30,
            processes: 4,
            files: FileLimits::default(),
        }
    }
}

impl Default for FileLimits {
    fn default() -> Self {
        Self {
            entries: 20_000,
            file_bytes: 8 << 20,
            total_bytes: 64 << 20,
        }
    }
}
