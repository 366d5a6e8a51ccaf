//! What tests, the demo and benchmarks share: Belay installed from its chart on the lab, and ways to look at it from outside.
#![forbid(unsafe_code)]

pub mod abroad;
pub mod autoscaled;
pub mod bench;
pub mod daemon;
pub mod demo;
pub mod elsewhere;
pub mod error;
pub mod in_place;
pub mod installed;
pub mod measure;
pub mod moments;
pub mod past;
pub mod plane;
pub mod plugin;
pub mod registry;
pub mod routers;
pub mod scene;
pub mod sealed;
pub mod shown;
pub mod stage;
pub mod stateful;
pub mod tenant;
pub mod told;
pub mod turns;
pub mod watching;
pub mod workload;

pub use error::{Error, check};
