//! What may go on from one environment to the next.
//!
//! Environments render different objects from one commit, so their contents can't be compared. A commit counts as verified by another
//! Release when what *that* Release makes of it is verified there: a commit that changes nothing there keeps the time since
//! when its content has been verified.
//!
//! Invariant: nothing that was taken back, or that was replaced too early, is ever ripe; and what was begun is never left for
//! something older.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    composition::PeerKey,
    observed::Asked,
    status::{FailureReason, ReleaseStatus, Verified},
};
use crate::quarantine;

/// A Release that content must have been verified by before.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Upstream {
    /// Which one.
    pub release: PeerKey,
    /// For how long without a break.
    pub verified_for: Duration,
}

/// What the source asks for at one commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looked {
    /// The commit.
    pub commit: String,
    /// What it asks for.
    pub asked: Asked,
}

/// Where a Release stands that waits for others to verify content first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PromotionStatus {
    /// The newest revision of the source, which may not be asked for yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub newest: Option<String>,
    /// The commit that may go on here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chosen: Option<Chosen>,
}

/// A commit that may go on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Chosen {
    /// The commit.
    pub commit: String,
    /// When its content was verified by the Releases before, by the last of them; or when a person promoted it.
    pub at: Timestamp,
    /// Who promoted it without waiting, if somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Override>,
}

/// A person's word that content may go on although it was not verified before.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Override {
    /// Who, as the API server saw it.
    pub by: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// One commit as the Releases before see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The commit.
    pub commit: String,
    /// When its content was verified.
    pub verified_at: Timestamp,
    /// The Release that has the last word on it.
    pub release: PeerKey,
    /// How far it is.
    pub ripeness: Ripeness,
}

/// How far a commit is on its way to the next environment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ripeness {
    /// It has been verified for long enough from this time on.
    From(Timestamp),
    /// It was replaced by another version before that.
    Replaced,
    /// It was taken back.
    TakenBack,
}

/// The commits that `status`, of the Release that `upstream` names, has verified, newest first.
pub fn steps(upstream: &Upstream, status: &ReleaseStatus) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for (index, verified) in status.history.iter().enumerate().rev() {
        let ripeness = ripeness(upstream.verified_for, status, index, verified);
        for commit in verified.commits() {
            if steps.iter().all(|known| known.commit != commit) {
                steps.push(Step {
                    commit: commit.to_owned(),
                    verified_at: verified.at,
                    release: upstream.release.clone(),
                    ripeness,
                });
            }
        }
    }
    steps
}

fn ripeness(span: Duration, status: &ReleaseStatus, index: usize, verified: &Verified) -> Ripeness {
    let digest = &verified.content.digest;
    if quarantine::find(&status.quarantine, digest).is_some() {
        return Ripeness::TakenBack;
    }
    let over = |since: Timestamp| after(since, span);
    let replaced_at = status.history.get(index + 1).map(|next| next.at);
    let first = over(verified.at);
    if replaced_at.is_some_and(|replaced| first <= replaced) {
        return Ripeness::From(first);
    }
    let runs = status
        .verified
        .as_ref()
        .is_some_and(|runs| &runs.content.digest == digest);
    match (runs, replaced_at) {
        // It came back after another version had been verified: its time begins again.
        (true, Some(_)) => Ripeness::From(over(came_back(status, verified).unwrap_or(verified.at))),
        (true, None) => Ripeness::From(first),
        (false, _) => Ripeness::Replaced,
    }
}

/// From when on the version that is verified has been so for `span`, if one is.
pub(super) fn stands_from(status: &ReleaseStatus, span: Duration) -> Option<Timestamp> {
    let verified = status.verified.as_ref()?;
    let digest = &verified.content.digest;
    let index = status
        .history
        .iter()
        .position(|known| &known.content.digest == digest)?;
    match ripeness(span, status, index, verified) {
        Ripeness::From(at) => Some(at),
        Ripeness::Replaced | Ripeness::TakenBack => None,
    }
}

/// When a version came back because the one after it was undone.
fn came_back(status: &ReleaseStatus, verified: &Verified) -> Option<Timestamp> {
    let rollback = status.rollback.as_ref()?;
    let is_it = rollback
        .to
        .as_ref()
        .is_some_and(|to| to.digest == verified.content.digest);
    (is_it && rollback.reason == FailureReason::Undone).then_some(rollback.at)
}

/// The commits that all Releases before know, newest first: each is as ripe as where it is the least.
pub fn merged(lines: Vec<Vec<Step>>) -> Vec<Step> {
    let mut lines = lines.into_iter();
    let first = lines.next().unwrap_or_default();
    lines.fold(first, |known, line| {
        known
            .into_iter()
            .filter_map(|step| {
                let other = line.iter().find(|other| other.commit == step.commit)?;
                let verified_at = step.verified_at.max(other.verified_at);
                let last = if other.ripeness > step.ripeness {
                    other.clone()
                } else {
                    step
                };
                Some(Step {
                    verified_at,
                    ..last
                })
            })
            .collect()
    })
}

/// Of `steps`, those that are newer than the commit that was begun or chosen by a person.
pub fn newer<'s>(steps: &'s [Step], than: Option<(&str, Option<Timestamp>)>) -> Vec<&'s Step> {
    let Some((commit, at)) = than else {
        return steps.iter().collect();
    };
    if steps.iter().any(|step| step.commit == commit) {
        return steps
            .iter()
            .take_while(|step| step.commit != commit)
            .collect();
    }
    // It is not known any more, or never was: what was verified later is newer.
    steps
        .iter()
        .filter(|step| at.is_none_or(|at| step.verified_at > at))
        .collect()
}

/// `at` plus `span`, at the end of time if need be.
pub(super) fn after(at: Timestamp, span: Duration) -> Timestamp {
    SignedDuration::try_from(span)
        .ok()
        .and_then(|span| at.checked_add(span).ok())
        .unwrap_or(Timestamp::MAX)
}
