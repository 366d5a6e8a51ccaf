//! A person's request to look at the source now, instead of at its next turn.
//!
//! Invariant: a request is handled once, in the status write that also says what the look showed. It asks for a look and for another
//! try of what failed; it decides nothing.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest request that is taken up, in bytes. It is echoed in the status.
pub const LONGEST_BYTES: usize = 64;

/// Whether somebody asked for a look at the source.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum LookRequest {
    /// Nobody did, or the request is handled.
    #[default]
    None,
    /// The look is not over yet.
    Pending {
        /// The request.
        request: String,
    },
    /// The source was looked at after the request was seen, and what is observed comes from that look.
    Answered {
        /// The request.
        request: String,
    },
}

/// The last request that was handled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    /// The value of the annotation `belay.dev/reconcile-requested-at`.
    pub request: String,
    /// When it was handled.
    pub at: Timestamp,
}
