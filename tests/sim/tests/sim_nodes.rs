//! The production `decide` on a DaemonSet, and proof that the simulator would notice.
//!
//! `BELAY_SIM_SEED=N` plays one history and tells it.

mod small;

use belay_sim::nodes::{MISTAKES, Mistake, play};

const HISTORIES: u64 = 8_000;
const HISTORIES_OF_A_MISTAKE: u64 = 2_000;

#[test]
fn no_invariant_breaks_on_daemon_sets() {
    small::nothing_breaks(play, HISTORIES, Mistake::None);
}

#[test]
fn every_planted_mistake_on_daemon_sets_is_caught() {
    small::every_mistake_shows(play, HISTORIES_OF_A_MISTAKE, &MISTAKES);
}
