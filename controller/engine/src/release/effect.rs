//! What a decision about a Release asks the shell to do. Every effect may be repeated without harm.

use jiff::Timestamp;

use super::{
    ReleaseStatus,
    observed::ObjectKey,
    plan::{DeletionPolicy, Prune},
    status::Content,
};
use crate::{
    action::Receipt,
    digest::Digest,
    rollout::effect::{Event, Measure},
};

/// The outcome of `decide`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The next status. Written first, with the observed resource version as precondition; not written when equal to the last.
    pub status: ReleaseStatus,
    /// What to do after the status is written, in order; the first failure ends the pass and the next one decides anew.
    pub effects: Vec<Effect>,
    /// Measurements to take, off the workers.
    pub measures: Vec<Measure>,
    /// What to tell people, once, after the status is written.
    pub events: Vec<Event>,
    /// When to decide again even if nothing changes.
    pub wake_at: Option<Timestamp>,
}

/// What happens when one object can't be applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnFailure {
    /// Nothing after it is applied.
    Stop,
    /// The others are applied all the same: on the way back, as much as possible.
    GoOn,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Find out what the source asks for at this commit. Observed afterwards as `looked`.
    LookAt {
        /// The commit.
        commit: String,
    },
    /// Try the content out by server-side dry run, changing nothing. Observed afterwards as `rehearsed`, or as a trouble.
    Rehearse {
        /// The content.
        content: Content,
    },
    /// Write the content's objects into the inventory, beside what it holds already.
    RecordInventory {
        /// The content.
        content: Content,
    },
    /// Apply the content, stage by stage. Observed afterwards as `applied`, or as a trouble.
    Apply {
        /// The content.
        content: Content,
        /// The attempt that this belongs to.
        attempt: Timestamp,
        /// What happens when one object can't be applied.
        on_failure: OnFailure,
    },
    /// Keep the content's render, for going back without its source.
    StoreRender {
        /// The content.
        content: Content,
    },
    /// Delete the kept renders of all other content.
    DropRenders {
        /// What stays.
        keep: Vec<Digest>,
    },
    /// Take what is not in the content out of the cluster and the inventory.
    Prune {
        /// The content whose objects stay.
        content: Content,
        /// Whether the others are deleted or only forgotten.
        prune: Prune,
    },
    /// Apply these objects again, for somebody changed them.
    Correct {
        /// The content they belong to.
        content: Content,
        /// The objects.
        objects: Vec<ObjectKey>,
    },
    /// Ask a Rollout, in the name of who retried the Release, to try its quarantined template again.
    RetryRollout {
        /// Namespace of the Rollout.
        namespace: String,
        /// Name of the Rollout.
        name: String,
        /// The quarantined content, as the Rollout names it. The Rollout may see the retry before it sees the template again.
        digest: Digest,
        /// The attempt that this belongs to.
        attempt: Timestamp,
        /// Who retried the Release.
        actor: String,
    },
    /// Put the commit under a reference of its repository. Observed afterwards as `publication`, or as a trouble.
    Publish {
        /// The reference, in full.
        reference: String,
        /// The commit.
        commit: String,
        /// What was put there last, and may be moved in any direction.
        ours: Option<String>,
    },
    /// Copy a receipt into its `Action`'s status.
    Acknowledge(Receipt),
    /// Forget what failed: somebody put it right, or wants it tried again.
    Forgive,
    /// Empty the inventory: delete its objects in reverse order, or take Belay's marks off them.
    Abandon {
        /// Which of the two.
        policy: DeletionPolicy,
    },
    /// Take Belay's finalizer off the Release.
    Finish,
}
