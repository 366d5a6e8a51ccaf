//! One observation of everything a decision about a Release looks at. Objects are keys and verdicts here, never bodies.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    cluster::Reached,
    composition::Peers,
    plan::DeletionPolicy,
    promotion::Looked,
    publish::Publication,
    requested::LookRequest,
    status::{Content, Workload},
};
use crate::{
    action::Request,
    digest::Digest,
    gate::Reading,
    health::Health,
    rollout::{RolloutStatus, observed::Kind},
};

/// Everything that a decision about a Release looks at, beside its plan and status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// Generation of the Release's spec.
    pub generation: i64,
    /// Whether the Release stays.
    pub lifecycle: Lifecycle,
    /// In which cluster the objects are to be.
    pub cluster: Reached,
    /// What the source asks for.
    pub asked: Asked,
    /// Whether somebody asked for a look at the source.
    pub look: LookRequest,
    /// The content that passed its rehearsal in this process, under the present generation.
    pub rehearsed: Option<Digest>,
    /// The attempt that was applied by this process, and the Deployments in it.
    pub applied: Option<Applied>,
    /// What the inventory holds.
    pub inventory: Inventory,
    /// Content whose renders are kept.
    pub renders: Vec<Digest>,
    /// How the objects of the target are; `None` until they have been looked at.
    pub health: Option<ObjectsHealth>,
    /// Rollouts whose workloads are among the target's Deployments.
    pub rollouts: Vec<RolloutView>,
    /// Objects of the target that somebody changed.
    pub drift: Vec<Drift>,
    /// Objects of the target of which the cluster's admission changes values on the way in.
    pub altered: Vec<Altered>,
    /// Why changes of some objects would not be seen, if so.
    pub unwatched: Option<String>,
    /// Effects that failed and what becomes of them.
    pub troubles: Vec<Trouble>,
    /// Measurements since the persisted `measured_at` of their gates, in order of time.
    pub readings: Vec<Reading>,
    /// Acts that ask for this Release and have no outcome yet, oldest first.
    pub actions: Vec<Request>,
    /// What the source asks for at the commit that was chosen to go on, when that is not its newest.
    pub looked: Option<Looked>,
    /// What this process does or did last to publish a commit.
    pub publication: Option<Publication>,
    /// Other Releases that the plan names.
    pub peers: Peers,
    /// Since when this process acts under its present lease, in a cluster that answers. Verdicts and deadlines from before do not
    /// count.
    pub acting_since: Timestamp,
}

/// Whether the Release stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// It stays.
    Live,
    /// It has a deletion timestamp and waits for Belay's finalizer.
    Deleting {
        /// Since when.
        since: Timestamp,
        /// What happens to its objects.
        policy: DeletionPolicy,
    },
}

/// What the source asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asked {
    /// Not known yet to this process; what the status says still holds.
    Unknown,
    /// This content.
    Content(Content),
    /// A revision that can't be rendered.
    Broken {
        /// The revision.
        revision: String,
        /// Why, with file and reason.
        message: String,
    },
    /// A revision without the signature that is asked for. It was not rendered.
    Unverified {
        /// The revision.
        revision: String,
        /// Why, with the key's fingerprint.
        message: String,
    },
    /// The source can't be had; what was asked for last still holds.
    Unavailable {
        /// Since when.
        since: Timestamp,
        /// Why, without secrets.
        message: String,
    },
}

/// A finished application.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Applied {
    /// The attempt.
    pub attempt: Timestamp,
    /// Digest of the content.
    pub digest: Digest,
    /// Deployments in it, with the pod templates that the API server made of them.
    pub workloads: Vec<Workload>,
}

/// What the inventory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Inventory {
    /// Content whose objects are all in it.
    pub contents: Vec<Digest>,
    /// Objects that belong to none of that content and are still there, with the reason.
    pub leftovers: Vec<Pending>,
    /// Objects that pruning to the target's content would delete, in order of their keys.
    pub doomed: Vec<ObjectKey>,
    /// Objects in all.
    pub objects: usize,
}

/// Identity of an object in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; absent for cluster-scoped objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl fmt::Display for ObjectKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// An object that keeps the Release waiting.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pending {
    /// The object.
    pub object: ObjectKey,
    /// Why, in words that do not change while the state does not.
    pub message: String,
}

/// How the objects of some content are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectsHealth {
    /// Digest of the content.
    pub digest: Digest,
    /// Objects that are not healthy (yet), in order of their keys; all others are.
    pub unhealthy: Vec<ObjectHealth>,
}

/// An object that is not healthy (yet).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHealth {
    /// The object.
    pub object: ObjectKey,
    /// How it is.
    pub health: Health,
}

/// A Rollout and the Deployment that it governs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutView {
    /// Namespace of both.
    pub namespace: String,
    /// Name of the Rollout.
    pub name: String,
    /// Kind of the workload.
    pub kind: Kind,
    /// Name of the workload.
    pub workload: String,
    /// What Belay remembers of it.
    pub status: RolloutStatus,
}

/// An object that somebody changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Drift {
    /// The object.
    pub object: ObjectKey,
    /// What changed and who did it, as far as it is known.
    pub message: String,
    /// Whether it has been corrected so often in a short time that correcting it again makes no sense.
    pub contest: Contest,
}

/// An object of which the cluster's admission changed values when it was applied: sending them again would change nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Altered {
    /// The object.
    pub object: ObjectKey,
    /// JSON pointers to the first of these values.
    pub pointers: Vec<String>,
}

/// Whether somebody keeps changing an object back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Contest {
    /// Not so far.
    Quiet,
    /// Yes; corrections rest until then.
    Fought {
        /// When the next correction is tried.
        until: Timestamp,
    },
}

/// What failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Task {
    /// A rehearsal.
    Rehearse,
    /// An application, or the inventory before it.
    Apply,
    /// Keeping or dropping renders.
    Render,
    /// Pruning.
    Prune,
    /// Correcting drift.
    Correct,
    /// Publishing the verified commit.
    Publish,
    /// Giving up the objects of a deleted Release.
    Abandon,
}

/// Where the fault of a failure lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// In the content: trying again is useless.
    Content,
    /// In the cluster as it is (permissions, quota, another owner): it may be put right without new content.
    Environment,
    /// In the moment (network, API server).
    Passing,
    /// Nowhere so far: what was applied before is awaited.
    Waiting,
}

/// An effect that failed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// What failed.
    pub task: Task,
    /// The content it was about, if any.
    pub digest: Option<Digest>,
    /// Where the fault lies.
    pub fault: Fault,
    /// What happened, with object, file and reason, without secrets; the same for the same cause.
    pub message: String,
    /// When it is tried again.
    pub retry_at: Timestamp,
}
