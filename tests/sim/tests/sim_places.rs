//! The production `decide` on workloads whose new version takes the places of stable pods, and proof that the simulator would
//! notice.
//!
//! `BELAY_SIM_SEED=N` plays one history and tells it.

use std::env;

use belay_sim::places::{MISTAKES, Mistake, Outcome, play};

const HISTORIES: u64 = 4_000;
const HISTORIES_OF_A_MISTAKE: u64 = 20_000;

fn first_broken(histories: u64, mistake: Mistake) -> Option<Outcome> {
    (0..histories)
        .map(|seed| play(seed, mistake))
        .find(|outcome| !outcome.broken.is_empty())
}

#[test]
fn no_invariant_breaks_on_stateful_sets() {
    if let Ok(seed) = env::var("BELAY_SIM_SEED") {
        let outcome = play(seed.parse().unwrap(), Mistake::None);
        println!("{}", outcome.story.join("\n"));
        assert!(outcome.broken.is_empty(), "{:#?}", outcome.broken);
        return;
    }
    if let Some(outcome) = first_broken(HISTORIES, Mistake::None) {
        println!("{}", outcome.story.join("\n"));
        assert!(
            outcome.broken.is_empty(),
            "BELAY_SIM_SEED={} breaks {:#?}",
            outcome.seed,
            outcome.broken
        );
    }
}

#[test]
fn every_planted_mistake_on_stateful_sets_is_caught() {
    for mistake in MISTAKES {
        let caught = first_broken(HISTORIES_OF_A_MISTAKE, mistake);
        let found = caught.map(|outcome| (outcome.seed, outcome.broken.into_iter().next()));
        println!("{mistake:?}: {found:?}");
        assert!(found.is_some(), "nothing broke with {mistake:?}");
    }
}
