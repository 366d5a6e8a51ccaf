//! Belay's custom resources as Rust types, and their translation into the engine's validated plans.
//!
//! Invariant: the types are the schema. `crds/*.yaml` is written from them, and a test fails when the two differ. A field that
//! is not implemented does not exist. Nothing here talks to a cluster.
#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "kube's derive wraps what it makes in private modules"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "kube's attributes repeat keys such as `name` for each printer column"
)]

pub mod action;
pub mod analysis;
mod definitions;
pub mod duration;
pub mod names;
pub mod release;
pub mod rollout;
mod schema;

pub use action::{Action, ActionSpec, ActionStatus};
pub use analysis::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, ClusterAnalysisTemplateSpec,
};
pub use definitions::definitions;
pub use duration::Duration;
pub use release::{Release, ReleaseSpec};
pub use rollout::{Rollout, RolloutSpec};
