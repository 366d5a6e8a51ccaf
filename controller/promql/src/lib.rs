//! Reads the PromQL of gates and finds mistakes that would make a gate pass, fail or hold for the wrong reason.
//!
//! Invariant: a finding says what to write instead. [`Severity::Error`] is kept for queries that can't do what their place asks for, whatever the
//! data; what depends on the data is a [`Severity::Warning`]. Reads text only: nothing here asks a Prometheus, so a label or a metric that
//! does not exist is found by who asks.
#![forbid(unsafe_code)]

mod check;
mod expression;
mod finding;
mod holes;
mod pair;
mod position;
mod query;
pub mod selector;
pub mod template;

pub use finding::{Code, Finding, Severity};
pub use pair::lint_pair;
pub use position::Position;
pub use query::{Role, ScrapeInterval, Settings, lint};
