//! What version of a whole set of objects should run, and how it is brought in, judged and, if it fails, taken back.
//!
//! `decide` is the only entry point. A Release follows the newest content of its source that can be applied and is not
//! quarantined. Content is brought in as one piece: rehearsed (server-side dry run), recorded in the inventory, applied,
//! judged by the health of its objects, by the verdicts of its Rollouts and by gates of its own, and only then *verified*.
//!
//! Invariants (checked by tests over random histories):
//! - nothing is applied that was not rehearsed, save a verified version on its way back;
//! - an object is in the inventory before it is created, and leaves it only after it is gone;
//! - nothing is pruned while the content that needs it may still come back;
//! - quarantined content is never begun;
//! - effects follow from status and observation alone, and the status is written before them.

pub mod budget;
pub mod cluster;
pub mod composition;
pub mod decide;
pub mod effect;
pub mod observed;
pub mod plan;
pub mod promotion;
pub mod publish;
pub mod requested;
pub mod status;
pub mod words;

pub use decide::decide;
pub use effect::{Decision, Effect, OnFailure};
pub use observed::{Asked, Observed};
pub use plan::Plan;
pub use status::{Phase, ReleaseStatus};
