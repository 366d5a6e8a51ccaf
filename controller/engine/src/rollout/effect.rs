//! What a decision asks the shell to do. Every effect carries what it needs to be idempotent: repeating one that has been
//! carried out changes nothing, and one that meets a newer state fails on its precondition instead of doing harm.

use jiff::Timestamp;

use super::RolloutStatus;
use crate::{
    action::Receipt,
    config::{ConfigKind, Stamp},
    digest::Digest,
    traffic::{RouteId, Split},
};

/// The outcome of `decide`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The next status. Written first, with the observed resource version as precondition; not written when equal to the last.
    pub status: RolloutStatus,
    /// What to do after the status is written, in order; the first failure ends the pass and the next one decides anew.
    pub effects: Vec<Effect>,
    /// Measurements to take, off the workers.
    pub measures: Vec<Measure>,
    /// What to tell people, once, after the status is written.
    pub events: Vec<Event>,
    /// When to decide again even if nothing changes.
    pub wake_at: Option<Timestamp>,
}

/// One write to the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Put Belay's label (and nothing else) on the Deployment.
    Adopt,
    /// Pause the Deployment, provided it still has this resource version. A StatefulSet is paused by a partition above all places,
    /// also those that it may be scaled to.
    Pause {
        /// Precondition.
        resource_version: String,
    },
    /// Create the candidate's ReplicaSet from the Deployment's template, provided the template still has this digest.
    /// Already existing is success.
    CreateCandidate {
        /// Precondition on the template.
        digest: Digest,
        /// Value of `pod-template-hash`, and the end of the name.
        hash: String,
        /// Pods to start.
        replicas: i32,
    },
    /// Set the number of a candidate's pods, provided it is still controlled by the Rollout.
    ScaleCandidate {
        /// Name of the ReplicaSet.
        name: String,
        /// Precondition.
        resource_version: String,
        /// Pods to run.
        replicas: i32,
    },
    /// Delete a candidate's ReplicaSet with its pods, provided it is still the observed one (UID and resource version).
    RemoveCandidate {
        /// Name of the ReplicaSet.
        name: String,
        /// Precondition.
        uid: String,
        /// Precondition: a candidate that has been handed over in between is not deleted.
        resource_version: String,
    },
    /// Make the Deployment the controller of the candidate's ReplicaSet.
    HandOver {
        /// Name of the ReplicaSet.
        name: String,
        /// Precondition.
        resource_version: String,
    },
    /// Let a StatefulSet run its template at the places from `partition` on, provided the template still has this digest.
    MovePartition {
        /// Precondition on the template.
        digest: Digest,
        /// Precondition: the StatefulSet's version of the observation.
        resource_version: String,
        /// First place of the new version; above zero.
        partition: i32,
    },
    /// Delete a pod that has a place of its own, so that its controller makes it anew of the revision that belongs there. Being gone
    /// is success.
    RemovePod {
        /// Name of the pod.
        name: String,
        /// Precondition.
        uid: String,
    },
    /// Undo a handover: make the Rollout the controller of a ReplicaSet of the *paused* Deployment. The Deployment then
    /// controls one active ReplicaSet, the stable one, and brings it to full strength by itself while these pods still serve.
    TakeBack {
        /// Name of the ReplicaSet.
        name: String,
        /// Precondition.
        resource_version: String,
    },
    /// Let the Deployment roll to the template it has, provided the template still has this digest.
    Resume {
        /// Precondition on the template.
        digest: Digest,
        /// Precondition: the Deployment's version of the observation.
        resource_version: String,
        /// Whether a newer version of the Deployment is good enough.
        guard: Guard,
    },
    /// Write the template of a ReplicaSet (without `pod-template-hash`) back into the Deployment and un-pause it.
    RestoreTemplate {
        /// `pod-template-hash` of the ReplicaSet to read the template from.
        hash: String,
        /// Digest that this template must have.
        digest: Digest,
        /// Precondition on the Deployment.
        resource_version: String,
    },
    /// Copy a receipt into its `Action`'s status.
    Acknowledge(Receipt),
    /// Take Belay's label off the Deployment and un-pause it if `resume` says so, in one write.
    LetGo {
        /// Whether the Deployment may roll to its template: only if that is the stable one or one being promoted.
        resume: bool,
        /// Precondition: the template must be the observed one.
        resource_version: String,
    },
    /// Take Belay's finalizer off the Rollout.
    Finish,
    /// Make the copies that this stamp names, then put it on the Deployment's template (or take the one there off), and pause the Deployment
    /// in the same write, provided it still has this resource version.
    Stamp {
        /// The stamp; none takes it off.
        stamp: Option<Stamp>,
        /// Precondition.
        resource_version: String,
    },
    /// The same with the template of a ReplicaSet of the *paused* Deployment, for pods that it makes from now on. Running pods stay.
    StampSet {
        /// Name of the ReplicaSet.
        name: String,
        /// The stamp; none takes it off.
        stamp: Option<Stamp>,
        /// Precondition.
        resource_version: String,
    },
    /// Make a copy again that was deleted, from an object that holds its content; being there already is success, and so is an object whose
    /// content is another by now.
    RemakeCopy {
        /// Kind of object and copy.
        kind: ConfigKind,
        /// Name of the object that it was a copy of.
        name: String,
        /// Hash of its content.
        hash: String,
        /// Name of the object that holds it.
        from: String,
    },
    /// Delete copies of configuration that no template refers to any more.
    SweepConfig {
        /// Kinds and names.
        copies: Vec<(ConfigKind, String)>,
    },
    /// Make the Service of one side, `<service>-stable` or `<service>-canary`, or change what it selects: the user's Service's
    /// selector with this `pod-template-hash`. Being so already is success; another owner's Service is refused.
    EnsureService {
        /// Name of the user's Service.
        service: String,
        /// Which side.
        side: Side,
        /// `pod-template-hash` to select.
        hash: String,
    },
    /// Delete the Service of one side, provided it is the Rollout's. Being gone is success.
    RemoveService {
        /// Name of the user's Service.
        service: String,
        /// Which side.
        side: Side,
    },
    /// Make the user's Service select only this version, by its `pod-template-hash`, that one key and nothing else.
    PinService {
        /// Name of the user's Service.
        service: String,
        /// `pod-template-hash` to select.
        hash: String,
    },
    /// Take that key out of the user's Service's selector again, and own nothing of it.
    UnpinService {
        /// Name of the user's Service.
        service: String,
    },
    /// Make a route divide what it would send to the user's Service, provided it still has this resource version.
    SetRoute {
        /// Which route.
        id: RouteId,
        /// Name of the user's Service.
        service: String,
        /// How to divide.
        split: Split,
        /// Precondition.
        resource_version: String,
    },
    /// Make a route lead to the user's Service again, and own nothing of it, provided it still has this resource version.
    SendRouteHome {
        /// Which route.
        id: RouteId,
        /// Name of the user's Service.
        service: String,
        /// Precondition.
        resource_version: String,
    },
}

/// Which of Belay's two Services.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// `<service>-stable`.
    Stable,
    /// `<service>-canary`.
    Canary,
}

/// How strict the precondition of a `Resume` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guard {
    /// The template counts: when the resource version is stale, the shell may try again with the newest one after having
    /// checked the digest against it. Keeps a handover and its un-pausing close together while an autoscaler writes.
    Template,
    /// Everything counts: nothing runs by the observation, and that may have changed. A stale version ends the pass.
    Unchanged,
}

/// A measurement to take.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Measure {
    /// Name of the gate.
    pub gate: String,
    /// When it is due.
    pub due_at: Timestamp,
    /// For gates whose measurements cost something (a Job): which of those that count it is, from zero. It stays the same once no
    /// further one is needed in this step. `None` while a pass would not count.
    pub round: Option<u32>,
}

/// Whether an event tells of trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// It does not.
    Normal,
    /// It does.
    Warning,
}

/// A Kubernetes event.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// Whether it tells of trouble.
    pub kind: EventKind,
    /// One word for programs.
    pub reason: String,
    /// One or two sentences.
    pub message: String,
}
