//! Belay's decisions, without I/O.
//!
//! Everything here is a pure, total function of its arguments: no Kubernetes client, no runtime, no clock, no randomness and
//! no logging. The shell (the `belay` crate) gathers one `Observed` value, calls `decide`, writes the status that comes back
//! and then carries out its effects. All state that the next decision needs is in that status or in the cluster.
//!
//! Status types live here, because they are what decisions read and write; specs live in `belay-api`, which turns them into
//! the validated plans of this crate.
#![forbid(unsafe_code)]

pub mod action;
pub mod analysis;
pub mod condition;
pub mod config;
pub mod digest;
pub mod gate;
pub mod health;
pub mod invariant;
pub mod quarantine;
pub mod release;
pub mod rollout;
pub mod shares;
pub mod traffic;
