//! What can go wrong in a lab. Every message says which part failed and what to do or where to look.

use std::path::PathBuf;
use std::time::Duration;

use crate::Part;

/// Why the lab could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// There is no Go toolchain and a program has to be built.
    #[error(
        "building {program} needs Go 1.26 or newer, and no `go` is on PATH: install it from your package manager or go.dev/dl, then try again"
    )]
    GoMissing {
        /// The program that was to be built.
        program: &'static str,
    },
    /// A program could not be built.
    #[error("building {program} in {} failed:\n{output}", folder.display())]
    Build {
        /// The program that was to be built.
        program: &'static str,
        /// Its Go module.
        folder: PathBuf,
        /// The end of what `go build` printed.
        output: String,
    },
    /// A file or process operation failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The given folder is not free for a new lab.
    #[error("{} is not empty: name another folder with --dir, or end the lab in it with `cargo lab down --dir {}`", .0.display(), .0.display())]
    FolderInUse(PathBuf),
    /// There is no lab in the given folder.
    #[error("no lab is up in {}: start one with `cargo lab up --dir {}`", .0.display(), .0.display())]
    NoLab(PathBuf),
    /// No block of loopback ports was free.
    #[error(
        "no free block of loopback ports between {first} and {last}: end other labs, or free ports in this range"
    )]
    NoPorts {
        /// First port that was tried.
        first: u16,
        /// Last port that was tried.
        last: u16,
    },
    /// The keeper, which owns the lab's processes, ended or refused a request.
    #[error("the lab's keeper {0}")]
    Keeper(String),
    /// A part ended while it was wanted.
    #[error("{part} ended ({status}); the end of its log {}:\n{log}", path.display())]
    Exited {
        /// The part.
        part: Part,
        /// How it ended.
        status: String,
        /// Its log file.
        path: PathBuf,
        /// The last lines of the log.
        log: String,
    },
    /// Something was waited for and did not come about.
    #[error("waited {} s for {what}; last seen: {last}", .waited.as_secs())]
    Timeout {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// The state when the time was over.
        last: String,
    },
    /// The lab was started without this part.
    #[error(
        "this lab has no {0}: start it with `Lab::builder().with(…)` or `cargo lab up --with {0}`"
    )]
    PartAbsent(Part),
    /// This machine does not let the process have a network namespace.
    #[error(
        "this machine allows no network namespace ({0}): run as root, or allow unprivileged user namespaces (sysctl `kernel.unprivileged_userns_clone=1`, `kernel.apparmor_restrict_unprivileged_userns=0`)"
    )]
    PlaneForbidden(String),
    /// Pods can't have addresses in this process's network.
    #[error(
        "pods that answer need a network namespace: call `belay_lab::enter_plane` first in `main`"
    )]
    PlaneNotEntered,
    /// Two parts that exclude each other.
    #[error("{0} and {1} exclude each other: leave one of them out")]
    Exclusive(Part, Part),
    /// The lab writes no audit log.
    #[error(
        "this lab writes no audit log: start it with `Lab::builder().audit()` or `cargo lab up --audit`"
    )]
    AuditAbsent,
    /// A request to the API server failed.
    #[error("the API server: {0}")]
    Kube(#[source] Box<kube::Error>),
    /// `kubectl` could not apply objects.
    #[error("kubectl apply: {0}")]
    Refused(String),
    /// A certificate could not be made.
    #[error("cannot make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// A file of the lab could not be written as JSON or YAML, or read back.
    #[error("cannot encode or decode {what}: {message}")]
    Format {
        /// Which file.
        what: String,
        /// Why.
        message: String,
    },
    /// A `git` command failed.
    #[error("`git {command}` failed: {output}")]
    Git {
        /// The arguments.
        command: String,
        /// What it printed.
        output: String,
    },
    /// Git has no program to serve repositories over HTTP.
    #[error("{} does not exist: install Git with its HTTP server (`git-http-backend`; Debian's package `git` has it)", .0.display())]
    GitHttpBackendMissing(PathBuf),
}

impl LabError {
    /// For `map_err`: an input or output error with what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// For `map_err`: a file of this name that can't be encoded or decoded.
    pub(crate) fn format<E: std::fmt::Display>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        let what = what.into();
        move |error| Self::Format {
            what,
            message: error.to_string(),
        }
    }
}

impl From<kube::Error> for LabError {
    fn from(error: kube::Error) -> Self {
        Self::Kube(Box::new(error))
    }
}
