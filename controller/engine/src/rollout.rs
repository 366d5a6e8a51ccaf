//! How a workload moves from its verified version to a new one.
//!
//! `decide` is the only entry point: it takes the plan (validated spec), the status of the last decision, one observation of
//! the cluster and the time, and gives the next status and the effects that lead there.
//!
//! Invariants (named predicates, checked by tests, simulator and model):
//! - effects follow from status and observation alone and are level-triggered: repeating them, losing them or crashing
//!   between any two of them leads to the same end;
//! - the status is written before the effects are carried out, so whatever is done has its reason on record.

pub mod copies;
pub mod decide;
pub mod effect;
pub mod nodes;
pub mod observed;
pub mod plan;
pub mod reason;
pub mod revisions;
pub mod status;

pub use decide::decide;
pub use effect::{Decision, Effect, Event, EventKind, Guard, Measure, Side};
pub use observed::Observed;
pub use plan::Plan;
pub use status::RolloutStatus;
