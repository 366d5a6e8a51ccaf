//! Everything that can go wrong in the shell, with what to do about it where the user can do something.

use std::net::SocketAddr;

use thiserror::Error;

use crate::apply::Failure;

/// Result of the shell's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong.
#[derive(Debug, Error)]
pub enum Error {
    /// The API server refused a request, or could not be reached.
    #[error("Kubernetes API: {}", brief(.0))]
    Kube(#[from] kube::Error),
    /// A request to the API server took too long.
    #[error("the Kubernetes API did not answer within {seconds} s ({what})")]
    Timeout {
        /// What was asked for.
        what: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// No way to the cluster was found.
    #[error(
        "no cluster to connect to: run inside a cluster, or set KUBECONFIG or --kubeconfig ({0})"
    )]
    NoCluster(String),
    /// This process may not write, because it does not hold the lease (any more).
    #[error("another controller holds the lease; nothing was written")]
    NotLeading,
    /// The cluster is newer than the observation that the decision was based on.
    #[error("the cluster changed in the meantime ({0}); decided anew")]
    Stale(&'static str),
    /// Something about a Release's objects could not be found out.
    #[error("{0}")]
    Release(String),
    /// A route or Service can't be made what it is to be.
    #[error("{0}")]
    Traffic(String),
    /// A copy of configuration can't be made.
    #[error("{0}")]
    Config(String),
    /// A template that comes with Belay can't be read.
    #[error("built-in templates: {0}; this is a bug, please report it")]
    BuiltIn(String),
    /// A stored object lacks what every such object has.
    #[error("{kind} {name} is malformed: {what}")]
    Malformed {
        /// Kind of the object.
        kind: &'static str,
        /// Its name.
        name: String,
        /// What is wrong.
        what: String,
    },
    /// The address to listen on can't be had.
    #[error("can't listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The operating system refused something.
    #[error("operating system: {0}")]
    Io(#[from] std::io::Error),
    /// JSON that can't be written or read.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// An HTTP client that can't be made.
    #[error("HTTP client: {0}")]
    Http(#[from] reqwest::Error),
    /// A task of the controller ended although nobody told it to.
    #[error("the task {0} ended by itself; this is a bug, please report it with the log")]
    TaskEnded(&'static str),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Release(failure.message)
    }
}

impl Error {
    /// Whether deciding anew on a fresh observation is the normal answer, not worth an error in log or metrics.
    pub fn is_stale(&self) -> bool {
        match self {
            Self::Stale(_) => true,
            Self::Kube(kube::Error::Api(status)) => status.is_conflict(),
            _ => false,
        }
    }

    /// Whether the API server says that there is no such object.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Kube(kube::Error::Api(status)) if status.is_not_found())
    }

    /// Label for metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Kube(kube::Error::Api(status)) if status.is_conflict() => "conflict",
            Self::Kube(kube::Error::Api(status)) if status.is_forbidden() => "forbidden",
            Self::Kube(kube::Error::Api(status)) if status.is_not_found() => "not_found",
            Self::Kube(kube::Error::Api(status)) if status.is_invalid() => "invalid",
            Self::Kube(kube::Error::Api(_)) => "api",
            Self::Kube(_) | Self::NoCluster(_) => "connection",
            Self::Timeout { .. } => "timeout",
            Self::NotLeading => "not_leading",
            Self::Stale(_) => "stale",
            Self::Release(_) => "release",
            Self::Traffic(_) => "traffic",
            Self::Config(_) => "config",
            Self::Malformed { .. } | Self::BuiltIn(_) | Self::Json(_) => "malformed",
            Self::Listen { .. } | Self::Io(_) | Self::Http(_) | Self::TaskEnded(_) => "internal",
        }
    }
}

/// What the API server said, without the rest of its answer.
fn brief(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}
