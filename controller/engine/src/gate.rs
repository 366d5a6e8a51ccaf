//! Gates: what must hold for a change to go on, and what the measurements so far say about it.
//!
//! Invariant: only `Pass` passes. Absent data and a failing provider are verdicts of their own with their own policies;
//! neither lets anything through, and neither rolls anything back before its policy's deadline.

mod compare;
pub mod fold;
pub mod policy;
pub mod reading;
pub mod state;

pub use fold::{Folded, Stable, Window, fold};
pub use policy::{GatePolicy, Method, Mode, Then, UnknownPolicy};
pub use reading::{Reading, Result};
pub use state::{GateState, Verdict};
