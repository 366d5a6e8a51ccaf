//! What the controller tells about itself: logs, metrics and Kubernetes events.
//!
//! Invariant: no value of a Secret, no token and no credential of a URL is ever written.

pub mod events;
pub mod log;
pub mod meter;
pub mod metrics;

pub use metrics::Metrics;
