//! The production `decide` in a hundred thousand simulated histories, and proof that the simulator would notice.
//!
//! `BELAY_SIM_SEED=N` plays one history and tells it; `BELAY_SIM_FIRST=N` and `BELAY_SIM_HISTORIES=N` choose another range.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests tell histories and fail with words"
)]

use std::{env, ops::Range, thread};

use belay_sim::{Outcome, Story, mutants::MUTANTS, play, production};

const HISTORIES: u64 = 100_000;

fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}

/// Plays the seeds on all processors; gives the decisions made, and the first history in which something broke.
fn play_all(seeds: &Range<u64>) -> (u64, Option<Outcome>) {
    let workers = thread::available_parallelism().map_or(1, usize::from);
    let results = thread::scope(|scope| {
        let tasks: Vec<_> = (0..workers)
            .map(|worker| {
                let seeds = seeds.clone().skip(worker).step_by(workers);
                scope.spawn(move || {
                    let mut decisions = 0;
                    for seed in seeds {
                        let outcome = play(seed, production, Story::Skipped);
                        decisions += u64::from(outcome.decisions);
                        if !outcome.broken.is_empty() {
                            return (decisions, Some(outcome));
                        }
                    }
                    (decisions, None)
                })
            })
            .collect();
        tasks
            .into_iter()
            .map(|task| task.join().unwrap())
            .collect::<Vec<_>>()
    });
    let decisions = results.iter().map(|(decisions, _)| decisions).sum();
    let broken = results
        .into_iter()
        .filter_map(|(_, outcome)| outcome)
        .min_by_key(|outcome| outcome.seed);
    (decisions, broken)
}

fn tell(seed: u64) -> Outcome {
    let outcome = play(seed, production, Story::Recorded);
    for line in &outcome.story {
        println!("{line}");
    }
    outcome
}

/// Histories in which a planted mistake must show.
const HISTORIES_OF_A_MUTANT: u64 = 4_000;

#[test]
fn every_planted_mistake_is_caught() {
    let mut unnoticed = Vec::new();
    for mutant in MUTANTS {
        let caught = (0..HISTORIES_OF_A_MUTANT)
            .map(|seed| play(seed, mutant.decide, Story::Skipped))
            .find(|outcome| !outcome.broken.is_empty());
        match caught {
            Some(outcome) => println!(
                "{:<42} caught by {} with seed {}",
                mutant.name, outcome.broken[0].name, outcome.seed
            ),
            None => unnoticed.push(mutant.name),
        }
    }
    assert!(
        unnoticed.is_empty(),
        "nothing broke though decide {unnoticed:?}"
    );
}

#[test]
fn no_invariant_breaks_in_a_hundred_thousand_histories() {
    if let Some(seed) = number("BELAY_SIM_SEED") {
        let outcome = tell(seed);
        assert!(outcome.broken.is_empty(), "{:#?}", outcome.broken);
        return;
    }
    let first = number("BELAY_SIM_FIRST").unwrap_or(0);
    let histories = number("BELAY_SIM_HISTORIES").unwrap_or(HISTORIES);
    let (decisions, broken) = play_all(&(first..first + histories));
    println!("{histories} histories from seed {first}: {decisions} decisions");
    if let Some(outcome) = broken {
        let seed = outcome.seed;
        let told = tell(seed);
        assert_eq!(
            told.broken, outcome.broken,
            "a history must be the same when told"
        );
        panic!("BELAY_SIM_SEED={seed} breaks {:#?}", outcome.broken);
    }
}
