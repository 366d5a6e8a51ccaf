//! The production `decide` on workloads whose new version takes the places of stable pods, and proof that the simulator would
//! notice.
//!
//! `BELAY_SIM_SEED=N` plays one history and tells it.

mod small;

use belay_sim::places::{MISTAKES, Mistake, play};

const HISTORIES: u64 = 8_000;
const HISTORIES_OF_A_MISTAKE: u64 = 20_000;

#[test]
fn no_invariant_breaks_on_stateful_sets() {
    small::nothing_breaks(play, HISTORIES, Mistake::None);
}

#[test]
fn every_planted_mistake_on_stateful_sets_is_caught() {
    small::every_mistake_shows(play, HISTORIES_OF_A_MISTAKE, &MISTAKES);
}
