//! `Action`: one recorded human act on a Release or Rollout.
//!
//! Invariant: the spec never changes, and `actor` is who the API server saw, set and checked by the chart's admission policies.

use belay_engine::action::{Outcome, Verb};
use jiff::Timestamp;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One recorded human act on a Release or Rollout. Made by `kubectl belay`, or by hand; allowed by the RBAC verb of the same
/// name (approve, promote, skip, pause, resume, abort, retry, undo) on the target.
#[derive(CustomResource, Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[kube(
    group = "belay.dev",
    version = "v1alpha1",
    kind = "Action",
    plural = "actions",
    namespaced,
    status = "ActionStatus",
    category = "belay",
    printcolumn(name = "Verb", type_ = "string", json_path = ".spec.verb"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.target.kind"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target.name"),
    printcolumn(name = "Actor", type_ = "string", json_path = ".spec.actor"),
    printcolumn(name = "Outcome", type_ = "string", json_path = ".status.outcome"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.message",
        priority = 1
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[x_kube(validation = Rule::new("self == oldSelf").message("an Action is a record and can't be changed; make a new one"))]
#[serde(rename_all = "camelCase")]
pub struct ActionSpec {
    /// What the act is on.
    pub target: Target,
    /// What is asked for.
    pub verb: Verb,
    /// Who asks. Set by admission to the user that the API server saw.
    #[schemars(length(max = 512))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The version that the actor has in mind (`.status.candidate.hash` of a Rollout, a revision of a Release). An act for a
    /// version that is no longer there is refused. A retry takes any quarantined version of a Rollout, by its name or digest, also one
    /// that nobody asks for at the moment.
    #[schemars(length(max = 128))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_version: Option<String>,
    /// Why, in the actor's words; part of the record.
    #[schemars(length(max = 1024))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an act is on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Kind of the target.
    pub kind: TargetKind,
    /// Name of the target, in the namespace of the Action.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Kinds that can be acted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum TargetKind {
    /// A Rollout.
    Rollout,
    /// A Release.
    Release,
}

/// What became of the act.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ActionStatus {
    /// Whether it was taken up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// What was done, or why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
}
