//! What keeps a simulation from its end, and what ends it with a bad mark.

use std::path::PathBuf;

use belay_api::analysis::arguments::ArgumentError;
use thiserror::Error;

/// Why there is no report.
#[derive(Debug, Error)]
pub enum SimulateError {
    /// Nothing says whose gates are meant.
    #[error(
        "nothing to replay: give the name of a Rollout (or template/NAME), or --file with its manifest"
    )]
    Nothing,
    /// The files have several that could be meant.
    #[error("the files have several Rollouts and templates; name one of: {0}")]
    Several(String),
    /// The files or the cluster have no such object.
    #[error("{0}")]
    Missing(String),
    /// A kind that has no gates to replay.
    #[error(
        "{0:?} has no gates to replay: write NAME, rollout/NAME, template/NAME or clustertemplate/NAME"
    )]
    UnknownKind(String),
    /// A file can't be read or written.
    #[error("{path}: {source}", path = .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What happened.
        source: std::io::Error,
    },
    /// A file has something else than what is meant.
    #[error("{path}: {why}", path = .path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong, and what to write.
        why: String,
    },
    /// A gate can't be asked.
    #[error("gate {gate}: {source}")]
    Argument {
        /// Name of the gate.
        gate: String,
        /// What is wrong with its arguments.
        source: ArgumentError,
    },
    /// An argument comes from where a simulation does not look.
    #[error(
        "gate {gate}: argument {argument:?} comes from {from}; give it with --arg {argument}=VALUE"
    )]
    LateArgument {
        /// Name of the gate.
        gate: String,
        /// Name of the argument.
        argument: String,
        /// Where its value comes from.
        from: &'static str,
    },
    /// No gate of the object can be replayed.
    #[error("no gate can be replayed: {0}")]
    NoGate(String),
    /// No source of history is given.
    #[error("no history: give --prometheus URL, set BELAY_PROMETHEUS_URL, or give --answers FILE")]
    NoSource,
    /// The history ends before it begins.
    #[error(
        "the history must end after it begins, and have at least four looks: check --from, --to and --step"
    )]
    NoTime,
    /// More looks than anybody can want.
    #[error("{0} looks are too many; take a shorter history or a longer --step")]
    TooLong(i64),
    /// Prometheus did not give the history.
    #[error("{0}")]
    History(String),
    /// Histograms that can't be replayed.
    #[error("its histogram is a native one, whose buckets can't be replayed yet")]
    Native,
    /// The answers have nothing about a query.
    #[error("the saved answers have none for this query: {0}")]
    NotSaved(String),
    /// Something in the cluster, or in the output.
    #[error("{0}")]
    Other(String),
}
