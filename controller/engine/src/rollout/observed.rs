//! One observation of the cluster, as the shell gathered it. Cheap to copy: templates are digests, not bodies.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    copies::LostCopy,
    plan::{Share, Step},
    revisions::HELD,
};
use crate::{
    action::Request,
    config::{ConfigKind, Stamp, digest_with},
    digest::{CONTROLLER_REVISION_HASH, Digest, POD_TEMPLATE_HASH},
    gate::Reading,
    shares,
    traffic::{Seen, Split},
};

/// Everything that a decision about a Rollout looks at, beside its plan and status.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observed {
    /// Generation of the Rollout's spec.
    pub generation: i64,
    /// Whether the Rollout is being deleted.
    pub lifecycle: Lifecycle,
    /// The workload that the Rollout governs.
    pub workload: Workload,
    /// ReplicaSets that the workload or the Rollout controls.
    pub sets: Vec<ReplicaSet>,
    /// Measurements of the present candidate since the persisted `measured_at` of their gates, in order of time. One that
    /// was begun for another candidate, or that is later than the time of the decision because the clock was set back, must
    /// not be here.
    pub readings: Vec<Reading>,
    /// Acts that ask for this Rollout and have no outcome yet, oldest first.
    pub actions: Vec<Request>,
    /// Whether the Rollout promotes together with others.
    pub group: Group,
    /// How the hold is kept.
    pub hold: Hold,
    /// Routes and Services that the plan or the status names.
    pub traffic: Seen,
    /// ConfigMaps and Secrets that the workload's template refers to.
    pub config: Config,
    /// Since when this process acts under its present lease. Verdicts from before do not count for a step forward.
    pub acting_since: Timestamp,
}

/// Whether the Rollout stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lifecycle {
    /// It stays.
    Live,
    /// It has a deletion timestamp and waits for Belay's finalizer.
    Deleting,
}

/// How a governed Deployment is kept from rolling by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// An admission policy pauses it together with every change of its template.
    Admission,
    /// There is no such policy in this cluster: it stays paused while idle too.
    AlwaysPaused,
}

/// Whether a Release ties this Rollout to others.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Group {
    /// It promotes by itself.
    Alone,
    /// It is verified and must wait for the others of this Release.
    Waiting {
        /// What it waits for, for people.
        message: String,
    },
    /// All are verified: go.
    Go,
}

/// The workload named by `workloadRef`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Workload {
    /// It does not exist (yet).
    Missing,
    /// It exists and can't be governed; the message says why and what to do.
    Refused(String),
    /// A Deployment, or a workload that is looked at like one.
    Deployment(Deployment),
}

/// Kinds of workloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Kind {
    /// A Deployment.
    #[default]
    Deployment,
    /// A StatefulSet. A new version takes the places of its pods, the highest first; Belay owns its partition.
    StatefulSet,
    /// A DaemonSet. A new version takes the places of its pods node by node, those of `canary.firstNodes` first; Belay owns the type of
    /// its update strategy.
    DaemonSet,
}

impl Kind {
    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// The label by which its pods' versions are told apart.
    pub const fn hash_label(self) -> &'static str {
        match self {
            Self::Deployment => POD_TEMPLATE_HASH,
            Self::StatefulSet | Self::DaemonSet => CONTROLLER_REVISION_HASH,
        }
    }

    /// Whether a candidate's pods take the places of stable ones.
    pub const fn in_place(self) -> bool {
        match self {
            Self::Deployment => false,
            Self::StatefulSet | Self::DaemonSet => true,
        }
    }

    /// Pods of a candidate beside or among `replicas` that this part of the requests takes at least. In place a copy of requests takes
    /// nothing from the stable pods, so it is no reason to give it their places: a step says how many it wants for that.
    pub fn routed_pods(self, split: &Split, replicas: i32) -> i32 {
        if self.in_place() {
            shares::in_place_pods(Share::WeightPercent(split.canary_percent), replicas)
        } else {
            shares::routed_pods(split.load_percent(), replicas)
        }
    }
}

/// A governed Deployment; or a StatefulSet, whose revisions are looked at as ReplicaSets ([`crate::rollout::revisions`]) and whose
/// partition says whether it is paused: at zero it rolls by itself; or a DaemonSet ([`crate::rollout::nodes`]), whose update strategy
/// says so.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Deployment {
    /// What it is.
    pub kind: Kind,
    /// UID.
    pub uid: String,
    /// Resource version of this observation, the precondition of writes that must not meet a newer template.
    pub resource_version: String,
    /// Generation of its spec.
    pub generation: i64,
    /// Generation that the Deployment controller has seen.
    pub observed_generation: i64,
    /// Whether it carries Belay's label, by which admission policies and watches find it.
    pub labelled: bool,
    /// `spec.paused`; of a StatefulSet, whether its partition is above zero; of a DaemonSet, whether its strategy is `OnDelete`.
    pub paused: bool,
    /// Of a StatefulSet: the pods at places below it keep the revision that it runs by itself. Zero for a Deployment.
    pub partition: i32,
    /// Of a StatefulSet or DaemonSet: pods that may be unavailable while it moves. Zero for a Deployment, whose controller knows, and for
    /// a DaemonSet that would rather run two pods on a node for a while (`maxSurge`).
    pub max_unavailable: i32,
    /// `spec.replicas`; of a DaemonSet, the nodes that are to run it and are ready.
    pub replicas: i32,
    /// Its pod template.
    pub template: Template,
    /// Whether its strategy is one that Belay can't lead: `Recreate`, or `OnDelete` of a StatefulSet.
    pub recreate: bool,
    /// `spec.revisionHistoryLimit`.
    pub revision_history_limit: i32,
    /// `status.replicas`.
    pub total_replicas: i32,
    /// `status.updatedReplicas`.
    pub updated_replicas: i32,
    /// `status.readyReplicas`.
    pub ready_replicas: i32,
    /// `status.availableReplicas`.
    pub available_replicas: i32,
    /// Why its pods can't be made or started (quota, scheduling), if the cluster says so.
    pub problem: Option<String>,
}

/// A pod template, reduced to its identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Template {
    /// Digest of the content without `pod-template-hash`; with a stamp, of the next two.
    pub digest: Digest,
    /// The same without the stamp of its configuration, too: what its author wrote.
    pub bare: Digest,
    /// With which configuration its pods run; without a stamp, with what they find.
    pub stamp: Option<Stamp>,
    /// What people call it: the image tags.
    pub version: String,
}

impl Deployment {
    /// Whether a new template would start nothing: a partition in the middle of a StatefulSet holds only a part of it.
    pub const fn is_held(&self) -> bool {
        match self.kind {
            Kind::Deployment | Kind::DaemonSet => self.paused,
            Kind::StatefulSet => self.partition == HELD,
        }
    }

    /// Pods of a candidate in this step. In place one pod at least stays stable, for it is the stable revision's pods that keep it
    /// the one that the workload goes back to by itself.
    /// A single node is the exception, for going back does not depend on it there.
    pub fn step_pods(&self, step: &Step) -> i32 {
        if !self.kind.in_place() {
            return step.pods(self.replicas);
        }
        if self.kind == Kind::DaemonSet && self.replicas == 1 {
            return 1;
        }
        let said = shares::in_place_pods(step.share, self.replicas);
        let needed = |split| self.kind.routed_pods(split, self.replicas);
        step.split
            .as_ref()
            .map_or(said, |split| said.max(needed(split)))
    }
}

impl Template {
    /// The template whose author's part has the digest `bare`.
    pub fn new(bare: Digest, stamp: Option<Stamp>, version: String) -> Self {
        Self {
            digest: digest_with(&bare, stamp.as_ref()),
            bare,
            stamp,
            version,
        }
    }
}

/// The configuration that the workload's template refers to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Config {
    /// Configuration does not go with versions in this cluster: stamps stay as they are.
    AsIs,
    /// It can't be had, for this reason, told to people.
    Unavailable(String),
    /// It is as follows.
    Live(LiveConfig),
}

/// The configuration as it is now.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LiveConfig {
    /// The stamp that stands for it; none when nothing is to go with the version.
    pub stamp: Option<Stamp>,
    /// When it was last seen to change.
    pub changed_at: Timestamp,
    /// Copies that no template refers to any more.
    pub unused: Vec<(ConfigKind, String)>,
    /// Copies that pods of a living version read and that are gone.
    pub lost: Vec<LostCopy>,
}

/// Who controls a ReplicaSet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The Deployment.
    Deployment,
    /// The Rollout: it is a candidate.
    Rollout,
}

/// A ReplicaSet of the workload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReplicaSet {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Resource version of this observation.
    pub resource_version: String,
    /// Who controls it.
    pub owner: Owner,
    /// Its pod template without `pod-template-hash`.
    pub template: Template,
    /// Value of its `pod-template-hash` label.
    pub hash: String,
    /// `spec.replicas`.
    pub desired: i32,
    /// `status.replicas`.
    pub total: i32,
    /// `status.readyReplicas`.
    pub ready: i32,
    /// `status.availableReplicas`.
    pub available: i32,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Why its pods can't be made or started, if the cluster says so.
    pub problem: Option<String>,
    /// Its pods one by one, where a candidate takes the places of stable pods; else empty.
    pub pods: Vec<Pod>,
}

/// A pod that has a place of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pod {
    /// Name.
    pub name: String,
    /// UID.
    pub uid: String,
    /// Its place, counted from zero: the highest are the first to change. Of a DaemonSet's pod, that of its node among the nodes.
    pub place: i32,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is available, and not being deleted.
    pub available: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
}
