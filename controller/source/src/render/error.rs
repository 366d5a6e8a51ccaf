//! Why a directory can't be rendered.
//!
//! Invariant: every text names the file and says what to do, and none quotes a value from a file.

use std::time::Duration;

use super::object::{ObjectSource, Secrecy};
use crate::yaml::Problem;
use crate::{Permanence, SourceError};

/// Failure to render a directory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The files could not be read from the commit.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file is not valid YAML or JSON.
    #[error("{file}, document {document}, line {line}: {problem}")]
    Syntax {
        /// The file's path in the repository.
        file: String,
        /// The document's position in the file, from 1.
        document: usize,
        /// The line in the file, from 1.
        line: usize,
        /// What is wrong.
        problem: String,
    },
    /// A document is not an object Kubernetes could take.
    #[error("{origin}: {problem}")]
    Object {
        /// Where it is.
        origin: ObjectSource,
        /// What is wrong.
        problem: String,
    },
    /// Two documents define one object.
    #[error("{second}: {object} is already defined in {first}; remove one of them")]
    Duplicate {
        /// The object.
        object: String,
        /// Where it is first.
        first: ObjectSource,
        /// Where it is again.
        second: ObjectSource,
    },
    /// A variable has no value, or a text is not what a variable is written like.
    #[error("{origin}: {problem}")]
    Variable {
        /// Where it is.
        origin: ObjectSource,
        /// What is wrong, without any value.
        problem: String,
    },
    /// No object was found.
    #[error(
        "{path} gives no object at all; nothing is changed. To remove everything, delete the Release instead"
    )]
    EmptyRender {
        /// The directory.
        path: String,
    },
    /// A kustomization asks for something that is not allowed.
    #[error("{file}: {what} is refused: {instead}")]
    Refused {
        /// The file's path in the repository.
        file: String,
        /// What was refused.
        what: String,
        /// Why, and what to do instead.
        instead: String,
    },
    /// The build ran and failed.
    #[error("{tool} can't build {path}: {detail}")]
    BuildFailed {
        /// The program.
        tool: &'static str,
        /// One word for conditions, events and metrics.
        reason: &'static str,
        /// The directory.
        path: String,
        /// The program's words, or why they are not shown.
        detail: String,
    },
    /// The program is missing.
    #[error(
        "the program {program} can't be started: {detail}; install {wanted} or correct the path"
    )]
    ProgramMissing {
        /// The program.
        program: String,
        /// What was seen.
        detail: String,
        /// What to install.
        wanted: &'static str,
    },
    /// A limit on size was met.
    #[error("{what} exceeds the limit of {limit}; make it smaller, or split the Release")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit with its unit.
        limit: String,
    },
    /// The build took too long.
    #[error("building {path} took longer than {} s and was ended; it is tried again by itself", limit.as_secs())]
    TimedOut {
        /// The directory.
        path: String,
        /// The limit.
        limit: Duration,
    },
    /// The build was ended by somebody else.
    #[error(
        "building {path} was ended from outside (signal {signal}), as happens when a machine is short of memory; it is tried again by itself"
    )]
    Killed {
        /// The directory.
        path: String,
        /// The signal's number.
        signal: i32,
    },
    /// The temporary directory can't be used.
    #[error("the work directory can't be used: {detail}; check its permissions and free space")]
    WorkDirectory {
        /// What was seen.
        detail: String,
    },
}

impl RenderError {
    /// Whether trying the same again can help.
    pub fn permanence(&self) -> Permanence {
        match self {
            Self::Source(error) => error.permanence(),
            Self::TimedOut { .. } | Self::Killed { .. } | Self::WorkDirectory { .. } => {
                Permanence::Transient
            }
            Self::Syntax { .. }
            | Self::Object { .. }
            | Self::Duplicate { .. }
            | Self::Variable { .. }
            | Self::EmptyRender { .. }
            | Self::Refused { .. }
            | Self::BuildFailed { .. }
            | Self::ProgramMissing { .. }
            | Self::TooLarge { .. } => Permanence::Permanent,
        }
    }

    /// Whether only another commit can help. False for what the machine or the server causes.
    pub fn lies_in_content(&self) -> bool {
        match self {
            Self::Source(_)
            | Self::TimedOut { .. }
            | Self::Killed { .. }
            | Self::WorkDirectory { .. }
            | Self::ProgramMissing { .. } => false,
            Self::Syntax { .. }
            | Self::Object { .. }
            | Self::Duplicate { .. }
            | Self::Variable { .. }
            | Self::EmptyRender { .. }
            | Self::Refused { .. }
            | Self::BuildFailed { .. }
            | Self::TooLarge { .. } => true,
        }
    }

    /// One word for conditions, events and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Source(error) => error.reason(),
            Self::Syntax { .. } => "InvalidSyntax",
            Self::Object { .. } => "InvalidObject",
            Self::Duplicate { .. } => "DuplicateObject",
            Self::Variable { .. } => "InvalidVariable",
            Self::EmptyRender { .. } => "EmptyRender",
            Self::Refused { .. } => "Refused",
            Self::BuildFailed { reason, .. } => reason,
            Self::ProgramMissing { .. } => "ProgramMissing",
            Self::TooLarge { .. } => "TooLarge",
            Self::TimedOut { .. } => "TimedOut",
            Self::Killed { .. } => "Killed",
            Self::WorkDirectory { .. } => "WorkDirectoryUnavailable",
        }
    }

    pub(super) fn syntax(file: &str, problem: Problem) -> Self {
        let Problem {
            document,
            line,
            text,
        } = problem;
        Self::Syntax {
            file: file.to_owned(),
            document,
            line,
            problem: text,
        }
    }

    /// The same without what may be a key that is, or is made of, the value of a Secret.
    pub(super) fn discreet(self, secrecy: Secrecy) -> Self {
        match self {
            Self::Syntax {
                file,
                document,
                line,
                ..
            } if secrecy == Secrecy::Secret => Self::Syntax {
                file,
                document,
                line,
                problem: "not valid YAML; what is wrong is withheld because it may quote the value of a Secret".to_owned(),
            },
            other => other,
        }
    }

    pub(super) fn refused(file: &str, what: impl Into<String>, instead: impl Into<String>) -> Self {
        Self::Refused {
            file: file.to_owned(),
            what: what.into(),
            instead: instead.into(),
        }
    }

    pub(super) fn work_directory(error: impl std::fmt::Display) -> Self {
        Self::WorkDirectory {
            detail: crate::text::one_line(&error.to_string(), 300),
        }
    }
}
