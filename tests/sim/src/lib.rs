//! A simulated cluster for the production `decide`: a model of the Deployment controller, pods, people and Prometheus, and a
//! shell whose process can die between any two effects, whose writes can fail or succeed unseen, and whose view of every
//! object lags on its own. Everything random comes from one seed, so that a history can be played again.
//!
//! A history has two parts: a chaotic one, in which everything may go wrong, and a fair one, in which nothing does and time
//! goes on. Invariants are checked after every step of both; at the end of the fair part everything must have settled.
//!
//! Deliberately absent: real I/O, real time, threads, and any copy of the engine's rules. What the simulator expects is
//! written against the promises, in `oracle`.

mod api;
mod config;
mod deployment;
pub mod history;
mod ledgers;
pub mod mutants;
pub mod nodes;
mod oracle;
mod people;
pub mod places;
mod plans;
mod pods;
mod services;
mod shell;
pub mod small;
mod traffic;
mod view;
mod world;

use belay_engine::rollout::{self, Decision, Observed, Plan, RolloutStatus};
use jiff::Timestamp;

pub use history::{Outcome, Story, play};

/// What a decision looks at.
#[derive(Clone, Copy, Debug)]
pub struct Look<'a> {
    /// The plan, or why it is refused.
    pub plan: Result<&'a Plan, &'a str>,
    /// The status before.
    pub status: &'a RolloutStatus,
    /// What is observed.
    pub observed: &'a Observed,
    /// The controller's time.
    pub now: Timestamp,
}

/// The function under test.
pub type Decide = fn(Look<'_>) -> Decision;

/// The production function.
pub fn production(look: Look<'_>) -> Decision {
    rollout::decide(look.plan, look.status, look.observed, look.now)
}
