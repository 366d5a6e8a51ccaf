//! The small simulator for a DaemonSet: nodes that join and leave, the controller, whose view of the spec lags, and a watch of
//! Belay's that shows the DaemonSet late, while pods are listed as they are.
//!
//! Deliberately absent: routes, which a DaemonSet does not have, and nodes that are not ready, which are left out before
//! anything is decided.

mod cluster;
mod controller;
mod mistakes;
mod objects;
mod oracle;

use crate::small::{self, Outcome};
pub use mistakes::{MISTAKES, Mistake};

/// Plays the history of `seed`.
pub fn play(seed: u64, mistake: Mistake) -> Outcome {
    small::play::<cluster::Cluster>(seed, mistake)
}
