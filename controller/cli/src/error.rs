//! What can go wrong, and how the plugin ends then.

use thiserror::Error;

use crate::simulate::SimulateError;

/// Why the plugin could not do what was asked for.
#[derive(Debug, Error)]
pub enum Error {
    /// No usable kubeconfig.
    #[error("no cluster: {0}. Set KUBECONFIG, or give --kubeconfig and --context")]
    NoCluster(String),
    /// The API server refused or failed.
    #[error("{}", api_message(.0))]
    Api(#[from] kube::Error),
    /// A watch failed for good.
    #[error("watching failed: {0}")]
    Watch(#[source] Box<kube::runtime::watcher::Error>),
    /// Belay's definitions are not in the cluster.
    #[error("this cluster has no {0}: install Belay first (helm install belay charts/belay)")]
    NotInstalled(&'static str),
    /// There is no such object.
    #[error("{kind} {name} is not in namespace {namespace}; see `kubectl belay list -A`")]
    NotFound {
        /// Kind.
        kind: &'static str,
        /// Name.
        name: String,
        /// Namespace.
        namespace: String,
    },
    /// A kind that Belay doesn't have.
    #[error("{0:?} is no kind of Belay's: write NAME, rollout/NAME or release/NAME")]
    UnknownKind(String),
    /// The controller refused the act.
    #[error("refused: {0}")]
    Refused(String),
    /// The act has no outcome yet.
    #[error(
        "no outcome after {seconds} s: is the controller running? The act stays on record and counts once it is taken up: \
         kubectl -n {namespace} get action {name}"
    )]
    NoOutcome {
        /// Namespace.
        namespace: String,
        /// Name of the `Action`.
        name: String,
        /// How long was waited.
        seconds: u64,
    },
    /// The look at a source that was asked for, or what follows from it, takes longer than was waited for.
    #[error("release/{name}: not there after {seconds} s: {state}")]
    NotReconciled {
        /// Name of the Release.
        name: String,
        /// How long was waited.
        seconds: u64,
        /// How far it is.
        state: String,
    },
    /// A comparison with the cluster could not be made, or not wholly.
    #[error("{0}")]
    Diff(#[source] Box<Self>),
    /// A comparison with the cluster found differences, and has printed them.
    #[error("the cluster differs")]
    Differs,
    /// A source can't be had, or what is in it can't be brought in.
    #[error("{0}")]
    Source(String),
    /// A file can't be read, or what is in it.
    #[error("{file}: {message}")]
    File {
        /// The file.
        file: String,
        /// Why.
        message: String,
    },
    /// The lint found this many errors.
    #[error("the lint found {0} to correct")]
    Findings(usize),
    /// This many fields have no counterpart.
    #[error(
        "fields without a counterpart: {0}. Each is listed with what to write instead; -o table lists nothing else"
    )]
    LeftOver(usize),
    /// No object of a peer.
    #[error(
        "nothing to convert: the files have no object of Argo Rollouts (argoproj.io) or Flagger (flagger.app)"
    )]
    NothingToConvert,
    /// An object can't be written as JSON.
    #[error("an object can't be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A simulation came to no report.
    #[error("{0}")]
    Simulation(#[source] Box<SimulateError>),
    /// A simulation's report breaks a limit of the command line.
    #[error("exceeded: {0}")]
    LimitExceeded(String),
    /// Nobody reads the output, or it can't be written.
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
}

impl Error {
    /// For comparisons, which tell failures from differences by the exit code.
    pub(crate) fn diff(error: Self) -> Self {
        Self::Diff(Box::new(error))
    }

    /// Whether the exit code says it all.
    pub const fn is_told(&self) -> bool {
        matches!(self, Self::Differs)
    }

    /// The exit code that tells scripts what happened; see `--help`.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Simulation(_) | Self::Diff(_) => 2,
            Self::Refused(_) => 3,
            Self::NoOutcome { .. } | Self::NotReconciled { .. } => 4,
            Self::Findings(_) => 5,
            Self::LeftOver(_) => 6,
            _ => 1,
        }
    }
}

/// The API server's own sentence where there is one; kube adds its type names around it.
fn api_message(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}
