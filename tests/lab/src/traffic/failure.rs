//! In which way a request failed.

use std::fmt;

use serde::{Serialize, Serializer};

/// Why a request counts as failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No connection could be made.
    Connect,
    /// The connection ended before the whole answer had come.
    Closed,
    /// The answer took too long.
    Timeout,
    /// The gateway itself answered so: nobody took the request (404), or no pod answered (502, 503, 504).
    Gateway(u16),
    /// A pod answered so.
    Pod(u16),
    /// It was not sent, for too many were under way.
    Unsent,
}

impl Failure {
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() {
            Self::Timeout
        } else if error.is_connect() {
            Self::Connect
        } else {
            Self::Closed
        }
    }

    pub(super) const fn answer(status: u16, from_pod: bool) -> Self {
        if from_pod {
            Self::Pod(status)
        } else {
            Self::Gateway(status)
        }
    }

    /// Whether the application failed, and not the way to it.
    pub const fn is_the_pods(self) -> bool {
        matches!(self, Self::Pod(_))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => formatter.write_str("connect"),
            Self::Closed => formatter.write_str("closed"),
            Self::Timeout => formatter.write_str("timeout"),
            Self::Gateway(status) => write!(formatter, "gateway-{status}"),
            Self::Pod(status) => write!(formatter, "pod-{status}"),
            Self::Unsent => formatter.write_str("unsent"),
        }
    }
}

impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
