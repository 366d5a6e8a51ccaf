//! Content that failed and must not run again by itself.
//!
//! Invariant: an entry is keyed by content, so re-applying the same content from anywhere changes nothing. Entries leave by
//! a person's `Retry`, or when the list is full and a newer failure takes the oldest one's place.

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
    /// For a pod template, its digest as its author wrote it, where that is another: without the stamp of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare: Option<Digest>,
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
