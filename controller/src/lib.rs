//! Belay's controller: the shell that watches a cluster, lets the engine decide and carries out what it decides.
//!
//! Invariant: nothing here decides what should happen to a workload; that is `belay-engine`'s. What happens here is gathering
//! one observation, writing one status and carrying out effects under a valid lease. Library and program are one crate so that
//! tests run the same code in their own process.
#![forbid(unsafe_code)]

pub mod apply;
pub mod args;
pub mod builtin;
pub mod client;
pub mod context;
pub mod error;
mod gates;
pub mod hooks;
pub mod http;
pub mod lease;
pub mod limits;
pub mod links;
pub mod prometheus;
pub mod release;
pub mod rollout;
pub mod runtime;
pub mod telemetry;
mod text;
pub mod traffic;
pub mod watch;

pub use args::Args;
pub use context::Context;
pub use error::{Error, Result};
pub use runtime::Settings;
