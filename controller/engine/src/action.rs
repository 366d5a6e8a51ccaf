//! What a person asked for: one recorded act on a Release or Rollout, and Belay's receipt for it.
//!
//! Invariant: an act is carried out at most once. The receipt is part of the target's status, written before anything is
//! done, so that a crash between the two neither loses nor repeats it. Who acted is guaranteed by admission, not here.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The act that is asked for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum Verb {
    /// Give the approval that the present step waits for.
    Approve,
    /// Promote the candidate at once, without the remaining steps; gates stay on during and after the promotion.
    Promote,
    /// End the present step's hold and go on with the next one.
    Skip,
    /// Hold everything where it is until `Resume`.
    Pause,
    /// End a `Pause`.
    Resume,
    /// Roll the candidate back and quarantine it.
    Abort,
    /// Lift the quarantine of the content that is asked for, and try it again from the first step.
    Retry,
    /// Go back to the version that was verified before the present one.
    Undo,
}

impl Verb {
    /// Every act, in the order in which they are documented.
    pub const ALL: [Self; 8] = [
        Self::Approve,
        Self::Promote,
        Self::Skip,
        Self::Pause,
        Self::Resume,
        Self::Abort,
        Self::Retry,
        Self::Undo,
    ];

    /// The RBAC verb on the target that allows this act, and its word on the command line.
    pub const fn rbac_verb(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Promote => "promote",
            Self::Skip => "skip",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
            Self::Retry => "retry",
            Self::Undo => "undo",
        }
    }
}

/// An act that waits to be taken up.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// UID of the `Action` object: its identity.
    pub uid: String,
    /// Name of the `Action` object.
    pub name: String,
    /// What is asked for.
    pub verb: Verb,
    /// Who asked, as the API server saw it.
    pub actor: String,
    /// The version (digest or its short form) that the actor had in mind; an act for another version is refused.
    pub version: Option<String>,
    /// Why, in the actor's words.
    pub reason: Option<String>,
    /// When the `Action` was created.
    pub created_at: Timestamp,
}

/// Whether an act was taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Outcome {
    /// Taken up: what was asked for is being done.
    Accepted,
    /// Not possible in the state of that moment; the message says why.
    Refused,
}

/// What became of an act, kept in the target's status and copied to the `Action`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// UID of the `Action`.
    pub uid: String,
    /// Name of the `Action`.
    pub name: String,
    /// What was asked for.
    pub verb: Verb,
    /// Who asked, as the API server saw it.
    pub actor: String,
    /// Whether it was taken up.
    pub outcome: Outcome,
    /// What was done, or why not.
    pub message: String,
    /// When it was decided.
    pub at: Timestamp,
}
