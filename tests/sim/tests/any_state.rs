//! Any status may meet any observation: those of other moments, other histories, other plans and other clocks. `decide` must
//! not panic, must be a fixed point of itself, and must keep its invariants.

use std::cell::RefCell;

use belay_engine::{
    invariant::{self, Case},
    rollout::{Decision, Observed, Plan, RolloutStatus, decide, observed::Workload},
};
use belay_sim::{Look, Story, play, production};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

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
    let config = ProptestConfig {
        cases: 60_000,
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
