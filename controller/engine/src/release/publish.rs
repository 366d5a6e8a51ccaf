//! The verified commit under a name in Git, for Releases of other clusters to follow.

use std::time::Duration;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the verified commit is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publish {
    /// The reference, in full.
    pub reference: String,
    /// For how long the commit must have been verified before.
    pub verified_for: Duration,
}

/// What is published.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    /// The reference.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// When it was found to be there.
    pub at: Timestamp,
    /// A commit that comes after it, which somebody else put there and which was left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer: Option<String>,
}

/// What this process does to publish a commit.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Publication {
    /// The reference.
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// How far it is. What failed is a trouble.
    pub state: State,
}

/// How far a publication is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The server has not answered yet.
    Underway,
    /// The reference is at the commit.
    Done,
    /// Somebody else put a commit there that comes after it, and it was left.
    Newer(String),
}
