//! What Belay remembers of a Rollout: `.status`, written once per change of state and before the effects that follow from it.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    action::Receipt, condition::Condition, config::Stamp, digest::Digest, gate::GateState,
    quarantine::Entry, traffic::Traffic,
};

/// Where a Rollout stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Phase {
    /// Nothing to judge yet: the workload is missing, its first version is not up, or it was scaled to zero in mid-canary.
    #[default]
    Pending,
    /// The workload runs its verified version, and nothing else is asked for.
    Healthy,
    /// A candidate runs beside the untouched stable version.
    Progressing,
    /// Every step is passed; the candidate's pods become the workload's and the rest follows natively, with gates on.
    Promoting,
    /// Everything runs the new version; gates stay on until the bake is over.
    Baking,
    /// The candidate is being taken away, or the stable template is being rolled back in.
    RollingBack,
    /// The content that is asked for is quarantined; the stable version runs.
    Rejected,
    /// The Rollout is being deleted.
    Terminating,
}

/// One version of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Digest of the pod template.
    pub digest: Digest,
    /// `pod-template-hash` of its ReplicaSet.
    pub hash: String,
    /// What people call it: the image tags.
    pub version: String,
    /// Digest of the template as its author wrote it, where that is another: without the stamp of its configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bare: Option<Digest>,
}

impl Version {
    /// Whether this is a version of the template with this digest, with whatever configuration.
    pub fn is_of_template(&self, bare: &Digest) -> bool {
        self.bare.as_ref().unwrap_or(&self.digest) == bare
    }
}

/// A version on trial.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Candidate {
    /// The version.
    #[serde(flatten)]
    pub version: Version,
    /// When its canary began.
    pub started_at: Timestamp,
    /// When its first pods were ready; gates measure from here on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_ready_at: Option<Timestamp>,
    /// How it goes forward.
    #[serde(default)]
    pub track: Track,
    /// For a version that a person's `Undo` brings back: digest of the template that Belay replaces by this version's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<Digest>,
}

/// How a candidate goes forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Track {
    /// Step by step.
    #[default]
    Steps,
    /// At once, for it was verified before.
    Fast,
    /// At once, because a person said `Promote`.
    Forced,
    /// Somebody let the Deployment go past the hold; Belay watches it and takes it back if a gate fails.
    Bypassed,
}

/// The present step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct StepState {
    /// Index into the plan's steps, from zero.
    pub index: u32,
    /// When the step was entered; the progress deadline counts from here.
    pub entered_at: Timestamp,
    /// When its pods were ready; the hold counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
    /// Since when pods that were ready, or are newly wanted, are missing; the progress deadline then counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unready_since: Option<Timestamp>,
    /// Who approved it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_by: Option<String>,
    /// Who skipped the rest of its hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped_by: Option<String>,
}

/// How far the native rolling update of a promotion had come when it was last looked at for the progress deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Watermark {
    /// Available pods of the new version minus pods of all others: rises while the update goes on.
    pub score: i32,
    /// When it had come that far; looked at again after one progress deadline.
    pub at: Timestamp,
}

/// The template that was last judged, to tell a change of content from a change of the API's defaults.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// Digest of the workload's template.
    pub digest: Digest,
    /// UID of the workload that had it: one that is made anew begins at its first generation again.
    pub uid: String,
    /// Generation of the workload that had it. The same generation with another digest is the same content.
    pub generation: i64,
}

/// What a Rollout waits for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Waiting {
    /// One word for programs.
    pub reason: String,
    /// One sentence: what is waited for, and what would end it.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// A hold set by a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Paused {
    /// Who set it.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Why and when the last rollback began.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// The version that was taken back.
    pub from: Version,
    /// One word for programs and metrics.
    pub reason: RollbackReason,
    /// One sentence with the evidence.
    pub message: String,
    /// When.
    pub at: Timestamp,
    /// Whether it was promoted already, so that the stable template must be written back.
    #[serde(default)]
    pub promoted: bool,
}

/// What made Belay roll back.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum RollbackReason {
    /// A gate failed.
    GateFailed,
    /// A gate had no data for longer than its policy allows.
    NoData,
    /// A gate's provider failed for longer than its policy allows.
    ProviderError,
    /// Pods did not become ready in time.
    DeadlineExceeded,
    /// A person said `Abort`.
    Aborted,
    /// The workload was set back to its stable template.
    Reverted,
    /// A newer template took the candidate's place.
    Superseded,
    /// The workload was scaled to zero, so that there is nothing to compare with.
    ScaledToZero,
    /// Quarantined content was running, past the hold.
    Quarantined,
}

/// `.status` of a Rollout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct RolloutStatus {
    /// Generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Where the Rollout stands.
    pub phase: Phase,
    /// The verified version that runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stable: Option<Version>,
    /// The version on trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<Candidate>,
    /// The present step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepState>,
    /// The native rolling update of a promotion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion: Option<Watermark>,
    /// Generation of the paused workload that Belay let go. Until it is seen paused at a later one, an un-paused workload may
    /// be Belay's own doing, and not somebody's break-glass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub released_generation: Option<i64>,
    /// Who ended the bake before its time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bake_skipped_by: Option<String>,
    /// The template that was last judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
    /// Configuration that was part of a version that was taken back after its promotion, and is not asked for again with the stable
    /// template until it changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_set_aside: Option<Stamp>,
    /// The step as people count it, for example `2/4`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_text: Option<String>,
    /// Share of the pods that run the candidate, in percent, as it really is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight_percent: Option<i32>,
    /// The routes, while they are led.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub traffic: Option<Traffic>,
    /// Pods that the candidate is to have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate_replicas: Option<i32>,
    /// What the gates say together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<crate::gate::Verdict>,
    /// The gates' standing for the present candidate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<GateState>,
    /// When the phase began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase_since: Option<Timestamp>,
    /// What the Rollout waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<Waiting>,
    /// The hold that a person set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// The last rollback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback: Option<Rollback>,
    /// Versions that failed and don't run again by themselves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub quarantine: Vec<Entry>,
    /// Versions that were verified before the stable one, newest last; going back to one of them is fast.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub verified: Vec<Version>,
    /// Receipts of the last acts, newest last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Receipt>,
    /// `Ready`, `Reconciling`, `Stalled`, `GatesDoubtful`, `ConfigurationLost`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
}

impl RolloutStatus {
    /// Whether every step is passed and the candidate only waits for the other Rollouts of its Release.
    pub fn ready_to_promote(&self) -> bool {
        self.phase == Phase::Progressing
            && self
                .waiting_for
                .as_ref()
                .is_some_and(|waiting| waiting.reason == super::reason::TOGETHER)
    }
}
