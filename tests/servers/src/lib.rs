//! Servers that stand on the way to a repository, for tests: SSH, TLS, a proxy, and the tokens of GitHub Apps.
//!
//! What is behind them is real: the repositories of a lab or of a test, served by Git itself. Left out: plain HTTP, which the lab has.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

pub mod github;
pub mod proxy;
pub mod ssh;
pub mod tls;
