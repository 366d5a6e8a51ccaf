//! Why a source can't be had or rendered, and where the fault lies.

use belay_engine::release::observed::Fault;
use belay_source::{Permanence, RenderError, SourceError};

use crate::apply::Failure;

/// Why a source can't be had or rendered.
#[derive(Clone, Debug)]
pub(in crate::release) struct Trouble {
    pub(in crate::release) place: Place,
    pub(in crate::release) message: String,
}

/// Where the fault lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::release) enum Place {
    /// A commit that can't be rendered.
    Content,
    /// A commit without the signature that is asked for.
    Signature,
    Environment,
    Passing,
}

impl Trouble {
    pub(in crate::release) fn into_failure(self) -> Failure {
        let fault = match self.place {
            Place::Content => Fault::Content,
            // Another key may accept the same commit.
            Place::Signature | Place::Environment => Fault::Environment,
            Place::Passing => Fault::Passing,
        };
        Failure {
            fault,
            message: self.message,
        }
    }

    /// May be gone at the next look.
    pub(in crate::release) fn passing(message: impl Into<String>) -> Self {
        Self {
            place: Place::Passing,
            message: message.into(),
        }
    }

    pub(in crate::release) fn unavailable(message: impl Into<String>) -> Self {
        Self {
            place: Place::Environment,
            message: message.into(),
        }
    }
}

impl From<SourceError> for Trouble {
    fn from(error: SourceError) -> Self {
        Self {
            place: place(&error),
            message: error.to_string(),
        }
    }
}

fn place(error: &SourceError) -> Place {
    match (error, error.permanence()) {
        (
            SourceError::PathNotFound { .. }
            | SourceError::TooLarge { .. }
            | SourceError::SubmoduleRefused { .. }
            | SourceError::Artifact { .. },
            _,
        ) => Place::Content,
        // A commit or file that is not there yet may still be pushed: it is looked for again.
        (SourceError::Submodule { error, .. } | SourceError::LargeFile { error, .. }, _) => {
            place(error)
        }
        (SourceError::Unverified { .. }, _) => Place::Signature,
        (_, Permanence::Permanent) => Place::Environment,
        (_, Permanence::Transient) => Place::Passing,
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        let place = match failure.fault {
            Fault::Content => Place::Content,
            Fault::Environment => Place::Environment,
            Fault::Passing | Fault::Waiting => Place::Passing,
        };
        Self {
            place,
            message: failure.message,
        }
    }
}

impl From<RenderError> for Trouble {
    fn from(error: RenderError) -> Self {
        let place = if error.lies_in_content() {
            Place::Content
        } else {
            match error {
                RenderError::Source(error) => return error.into(),
                _ => Place::Environment,
            }
        };
        Self {
            place,
            message: error.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_commit_itself_says_of_a_submodule_is_a_fault_of_the_commit() {
        let text = String::from("x");
        let of_submodule = |error| SourceError::Submodule {
            path: "lib".to_owned(),
            error: Box::new(error),
        };
        let refused = SourceError::SubmoduleRefused {
            what: text.clone(),
            why: text.clone(),
        };
        let missing = of_submodule(SourceError::RefNotFound {
            url: text.clone(),
            wanted: text.clone(),
        });
        let away = of_submodule(SourceError::Unreachable {
            url: text.clone(),
            cause: text,
        });
        for (error, expected) in [
            (refused, Place::Content),
            (missing, Place::Environment),
            (away, Place::Passing),
        ] {
            let trouble = Trouble::from(RenderError::Source(error));
            assert_eq!(trouble.place, expected, "{}", trouble.message);
        }
    }
}
