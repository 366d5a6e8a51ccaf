//! The main job, shown from the first commit to a rollback and its mending, with nothing faked in the operator.
//!
//! Invariant: every claim that is printed was checked by looking at the API server, and a claim that does not hold ends the demo
//! with an error. The same story runs as a test.

mod callers;
mod observer;
mod report;
mod stage;
mod story;

pub use callers::Requests;
pub use report::Report;
pub use story::run;
