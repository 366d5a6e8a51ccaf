//! What Belay remembers of a Release: `.status`, written once per change of state and before the effects that follow from it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    budget::LargePrune,
    cluster::{ClusterId, Outage},
    promotion::PromotionStatus,
    publish::Published,
    requested::Reconciled,
};
use crate::{
    action::Receipt,
    condition::Condition,
    digest::Digest,
    gate::{GateState, Verdict},
    quarantine::Entry,
    rollout::{
        observed::Kind,
        status::{Paused, Waiting},
    },
};

/// Where a Release stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// There is no content yet.
    #[default]
    Pending,
    /// New content waits for other Releases; what runs is untouched.
    Waiting,
    /// New content is being tried out by dry run; what runs is untouched.
    Rehearsing,
    /// New content passed its rehearsal and is being applied.
    Applying,
    /// New content is applied; health, Rollouts and gates are awaited.
    Verifying,
    /// The content that is asked for runs and is verified.
    Verified,
    /// The last verified version is being brought back.
    RollingBack,
    /// The content that is asked for is quarantined; the last verified version runs.
    Rejected,
    /// The content that is asked for can't be applied; nothing was changed and the last state runs on.
    Refused,
    /// The content failed and there is no verified version to go back to; its objects are left as they are.
    Failed,
    /// The Release is being deleted.
    Terminating,
}

/// A set of objects, by identity and by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Digest of all objects: the identity. Two commits with the same objects have the same digest.
    pub digest: Digest,
    /// Revision it was read from, for example `main@sha1:1f0c…`.
    pub revision: String,
    /// The revision as people write it, for example `main@1f0c9ab`.
    #[serde(default)]
    pub short: String,
    /// First line of the commit's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// Signatures that were asked for and checked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

/// A signature that was checked and accepted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Signature {
    /// What carries it.
    pub object: SignedObject,
    /// Kind and fingerprint of the key, for example `SSH SHA256:…`.
    pub key: String,
    /// Whose key it is.
    pub signer: String,
}

/// What carries a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SignedObject {
    /// The commit.
    Commit,
    /// The tag that led to it.
    Tag,
}

impl Content {
    /// Content with this identity, read from `revision`.
    pub fn new(digest: Digest, revision: String, subject: Option<String>) -> Self {
        Self {
            digest,
            short: short_revision(&revision),
            revision,
            subject,
            signatures: Vec::new(),
        }
    }
}

/// A revision as people write it: `main@1f0c9ab` for `main@sha1:1f0c…`, `1f0c9ab` for `sha1:1f0c…`.
pub fn short_revision(revision: &str) -> String {
    let Some((before, commit)) = revision.rsplit_once(':') else {
        return revision.to_owned();
    };
    let commit = commit.get(..7).unwrap_or(commit);
    match before.rsplit_once('@') {
        Some((name, _)) => format!("{name}@{commit}"),
        None => commit.to_owned(),
    }
}

/// Why content is being brought in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Purpose {
    /// The source asks for it.
    #[default]
    Release,
    /// It was verified before, and what came after it failed.
    Rollback,
}

/// The content that runs or is being brought in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// The content.
    #[serde(flatten)]
    pub content: Content,
    /// Why.
    #[serde(default)]
    pub purpose: Purpose,
    /// When this attempt began: its identity.
    pub started_at: Timestamp,
    /// When all objects had been accepted by the API server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Timestamp>,
    /// When all objects were healthy and all Rollouts had passed; gates measure from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_at: Option<Timestamp>,
    /// Who lifted the quarantine for this attempt; its Rollouts are asked to try again, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retried_by: Option<String>,
}

/// A version that was verified.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// The content.
    #[serde(flatten)]
    pub content: Content,
    /// When it was last verified.
    pub at: Timestamp,
    /// Earlier revisions with the same content, newest last; the last few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_revisions: Vec<String>,
    /// When the attempt began that ended with that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

/// Content that can't be applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refusal {
    /// Digest of the content; absent when it could not even be rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Revision it was read from.
    pub revision: String,
    /// Why, with file and reason.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
    /// Generation of the spec under which it was refused.
    pub generation: i64,
    /// Whether only new content, a new spec or a `Retry` can help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub permanent: bool,
}

/// Why and when the last rollback began.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// What was taken back.
    pub from: Content,
    /// What was brought back; absent when nothing had been verified before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Content>,
    /// One word for programs and metrics.
    pub reason: FailureReason,
    /// One sentence with the evidence.
    pub message: String,
    /// When.
    pub at: Timestamp,
}

/// What made a Release fail.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum FailureReason {
    /// The API server took the rehearsal and then refused the real thing, or part of it.
    ApplyFailed,
    /// A Rollout of the Release rejected its new version.
    RolloutRejected,
    /// An object failed.
    Unhealthy,
    /// Objects did not become healthy in time.
    DeadlineExceeded,
    /// A gate of the Release failed.
    GateFailed,
    /// A gate had no data for longer than its policy allows.
    NoData,
    /// A gate's provider failed for longer than its policy allows.
    ProviderError,
    /// A person said `Abort`.
    Aborted,
    /// A person said `Undo`.
    Undone,
}

/// A governed workload of the Release, as it was applied.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Workload {
    /// Its kind.
    #[serde(default)]
    pub kind: Kind,
    /// Namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Digest of the pod template that was applied.
    pub digest: Digest,
}

/// Since when the source can't be had.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceTrouble {
    /// Since when.
    pub since: Timestamp,
    /// Why, without secrets.
    pub message: String,
}

/// `.status` of a Release.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ReleaseStatus {
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the Release stands.
    pub phase: Phase,
    /// When the phase began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Timestamp>,
    /// What the source asks for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Content>,
    /// Generation of the spec under which that was learned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_generation: Option<i64>,
    /// What goes on from other Releases; set with `promotion.after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionStatus>,
    /// What runs or is being brought in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// The last verified version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// The commit that is published for others to follow; set with `promotion.publish`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<Published>,
    /// Verified versions whose renders are kept, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Verified>,
    /// Newer content that can't be applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refusal>,
    /// Set while the source can't be had.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceTrouble>,
    /// The other cluster that the objects are in; set with `spec.kubeConfig`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster: Option<ClusterId>,
    /// Set while that cluster can't be reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Outage>,
    /// The last request for a look at the source that was handled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reconciled: Option<Reconciled>,
    /// Deployments of the target with the pod templates that were applied.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Workload>,
    /// Digest of the content whose Rollouts may promote, when they promote together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotable: Option<Digest>,
    /// More objects left the source than are pruned without a person's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large_prune: Option<LargePrune>,
    /// What the gates say together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// The gates' standing for the target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateState>,
    /// The last rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// Content that failed and is not applied again by itself.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<Entry>,
    /// The hold that a person set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// What the Release waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Waiting>,
    /// Receipts of the last acts, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Receipt>,
    /// `Ready`, `Reconciling`, `Stalled`, `SourceAvailable`, `SourceVerified`, `ClusterReachable`, `Drifted`, `GatesDoubtful`, `Published`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}
