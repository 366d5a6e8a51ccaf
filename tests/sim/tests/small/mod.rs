//! What the tests of the small simulators have in common: no history of the production function breaks anything, and every
//! planted mistake shows in some history. Deliberately absent: how many histories that takes, which each test says itself.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests tell histories and fail with words"
)]

use std::{env, fmt::Debug};

use belay_sim::small::Outcome;

/// Plays the history of a seed.
pub(crate) type Play<Mistake> = fn(u64, Mistake) -> Outcome;

fn first_broken<Mistake: Copy>(
    play: Play<Mistake>,
    histories: u64,
    mistake: Mistake,
) -> Option<Outcome> {
    (0..histories)
        .map(|seed| play(seed, mistake))
        .find(|outcome| !outcome.broken.is_empty())
}

/// Nothing breaks in the first histories (`BELAY_SIM_HISTORIES` says how many, if not as many as usual), or in the one that
/// `BELAY_SIM_SEED` names, which is told.
pub(crate) fn nothing_breaks<Mistake: Copy>(play: Play<Mistake>, histories: u64, none: Mistake) {
    let named = env::var("BELAY_SIM_SEED");
    let more = env::var("BELAY_SIM_HISTORIES");
    let histories = more.map_or(histories, |histories| histories.parse().unwrap());
    let told = match named {
        Ok(seed) => Some(play(seed.parse().unwrap(), none)),
        Err(_) => first_broken(play, histories, none),
    };
    if let Some(outcome) = told {
        println!("{}", outcome.story.join("\n"));
        assert!(
            outcome.broken.is_empty(),
            "BELAY_SIM_SEED={} breaks {:#?}",
            outcome.seed,
            outcome.broken
        );
    }
}

/// Something breaks with each of the mistakes.
pub(crate) fn every_mistake_shows<Mistake: Copy + Debug>(
    play: Play<Mistake>,
    histories: u64,
    mistakes: &[Mistake],
) {
    for &mistake in mistakes {
        let caught = first_broken(play, histories, mistake);
        let found = caught.map(|outcome| (outcome.seed, outcome.broken.into_iter().next()));
        println!("{mistake:?}: {found:?}");
        assert!(found.is_some(), "nothing broke with {mistake:?}");
    }
}
