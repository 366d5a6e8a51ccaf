//! Any status may meet any observation: those of other moments, other histories, other plans and other clocks. `decide` must
//! not panic, must be a fixed point of itself, and must keep its invariants.
//!
//! `BELAY_SIM_SEED=N` mixes other moments and `BELAY_SIM_CASES=N` more of them: look far with both after changing the engine.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail with what they could not read"
)]

use std::{cell::RefCell, env};

use belay_engine::{
    invariant::{self, Case},
    rollout::{Decision, Observed, Plan, RolloutStatus, decide, observed::Workload},
};
use belay_sim::{Look, Story, play, production};
use jiff::{SignedDuration, Timestamp};
use proptest::{prelude::*, test_runner::RngSeed};

/// Chosen by nothing; fixed, so that what passed once passes for everybody.
const SEED: u64 = 20_261_123;

/// What one decision looked at.
struct Moment {
    plan: Result<Plan, String>,
    status: RolloutStatus,
    observed: Observed,
    now: Timestamp,
}

thread_local! {
    static MOMENTS: RefCell<Vec<Moment>> = const { RefCell::new(Vec::new()) };
}

fn recording(look: Look<'_>) -> Decision {
    MOMENTS.with_borrow_mut(|moments| {
        moments.push(Moment {
            plan: look.plan.cloned().map_err(ToOwned::to_owned),
            status: look.status.clone(),
            observed: look.observed.clone(),
            now: look.now,
        });
    });
    production(look)
}

/// Moments of many histories: the same few versions, so that they may be mixed.
fn moments() -> Vec<Moment> {
    for seed in 0..150 {
        play(seed, recording, Story::Skipped);
    }
    MOMENTS.take()
}

/// The number that an environment variable holds.
fn number(variable: &str) -> Option<u64> {
    let text = env::var(variable).ok()?;
    Some(text.parse().unwrap())
}

#[test]
fn any_status_may_meet_any_observation() {
    let moments = moments();
    let index = 0..moments.len();
    let strategy = (
        index.clone(),
        index.clone(),
        index.clone(),
        index,
        -2_000..2_000_i64,
    );
    let chosen = number("BELAY_SIM_SEED").unwrap_or(SEED);
    println!("BELAY_SIM_SEED={chosen}");
    let config = ProptestConfig {
        cases: number("BELAY_SIM_CASES").map_or(60_000, |cases| u32::try_from(cases).unwrap()),
        rng_seed: RngSeed::Fixed(chosen),
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |((status, observed, plan, readings, late) in strategy)| {
        let before = &moments[status].status;
        let plan = moments[plan].plan.as_ref().map_err(String::as_str);
        let now = moments[observed].now + SignedDuration::from_secs(late);
        let mut seen = moments[observed].observed.clone();
        // The contract: readings are about the present candidate, and not from the future.
        seen.readings = moments[readings].observed.readings.clone();
        seen.readings.retain(|reading| reading.at <= now);
        // The same generation of the same workload would mean the same content.
        if let Workload::Deployment(deployment) = &mut seen.workload {
            deployment.uid = "of another history".to_owned();
        }
        let decision = decide(plan, before, &seen, now);
        let broken = invariant::broken(Case { plan, before, observed: &seen, now, decision: &decision });
        prop_assert!(broken.is_empty(), "{broken:#?}\n{before:#?}\n{decision:#?}");
        let again = decide(plan, &decision.status, &seen, now);
        prop_assert_eq!(again.status, decision.status);
    });
}
