//! What can go wrong in a demo, a benchmark or the preparation of a test.

use belay_lab::LabError;

/// Why something could not be done or shown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// A program could not be run or failed.
    #[error("{program} failed: {output}")]
    Program {
        /// Which one.
        program: String,
        /// What it said.
        output: String,
    },
    /// Input or output failed.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// An object could not be written as JSON or read back.
    #[error("an object is not what it should be: {0}")]
    Json(#[from] serde_json::Error),
    /// An HTTP request failed.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
    /// What was to be shown is not so.
    #[error("not as promised: {0}")]
    Broken(String),
}

impl Error {
    /// For `map_err`: an input or output error with what was tried.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Lab(LabError::from(error))
    }
}

/// `Ok` if `holds`, else the sentence as an error.
pub fn check(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), Error> {
    if holds {
        Ok(())
    } else {
        Err(Error::Broken(otherwise()))
    }
}
