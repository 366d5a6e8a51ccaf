//! The small simulator for a StatefulSet: places in order, its controller, ordered or parallel, whose view of the spec lags,
//! and in every other history a route that leads the requests.
//!
//! Deliberately absent: lagging views of Belay's own, which the large one has.

mod cluster;
mod controller;
mod mistakes;
mod objects;
mod oracle;
mod roads;

use crate::small::{self, Outcome};
pub use mistakes::{MISTAKES, Mistake};

/// Plays the history of `seed`.
pub fn play(seed: u64, mistake: Mistake) -> Outcome {
    small::play::<cluster::Cluster>(seed, mistake)
}
