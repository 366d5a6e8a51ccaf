//! Content that failed and must not run again by itself.
//!
//! Invariant: an entry is keyed by content, so re-applying the same content from anywhere changes nothing. Entries leave by
//! a person's `Retry`, by time where a Release says so, or when the list is full and a newer failure takes the oldest one's place.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Most entries kept per resource.
pub const LIMIT: usize = 10;

/// One piece of quarantined content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Digest of the rejected content.
    pub digest: Digest,
    /// What people call it: image tags or a Git revision.
    pub version: String,
    /// Why it was rejected, in one sentence.
    pub reason: String,
    /// When it was rejected.
    pub since: Timestamp,
    /// Whether it failed, or a person took it back.
    #[serde(default, skip_serializing_if = "Cause::is_failure")]
    pub cause: Cause,
    /// For a pod template, its digest as its author wrote it, where that is another: without the stamp of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare: Option<Digest>,
}

/// What put content into quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Cause {
    /// Its verification failed.
    #[default]
    Failure,
    /// A person took it back: only a person lets it in again.
    Person,
}

impl Cause {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde calls"
    )]
    fn is_failure(&self) -> bool {
        *self == Self::Failure
    }
}

/// Whether `digest` is quarantined.
pub fn find<'a>(entries: &'a [Entry], digest: &Digest) -> Option<&'a Entry> {
    entries.iter().find(|entry| &entry.digest == digest)
}

/// Adds an entry; the same digest again renews it, and the oldest leaves when the list is full.
pub fn add(entries: &mut Vec<Entry>, entry: Entry) {
    lift(entries, &entry.digest.clone());
    entries.push(entry);
    if entries.len() > LIMIT {
        entries.remove(0);
    }
}

/// Lifts the quarantine of `digest`; says whether there was one.
pub fn lift(entries: &mut Vec<Entry>, digest: &Digest) -> bool {
    let before = entries.len();
    entries.retain(|entry| &entry.digest != digest);
    entries.len() != before
}
