//! What must hold of every decision, as named predicates. Property tests, the simulator and the model checker share them.
//!
//! They look only at what went into a decision and what came out of it, and are written against the contract, not against
//! the way `decide` works: they read measurements and ReplicaSets themselves. What needs a whole world to be seen (that a
//! rollback ends, that everything settles, that stable pods stay) is checked by the simulator on its own world.

mod effects;
mod forward;
mod memory;
mod nodes;
mod places;
mod traffic;

use jiff::Timestamp;

use crate::rollout::{Decision, Observed, Plan, RolloutStatus, status::Candidate};

/// One decision with everything that went into it.
#[derive(Clone, Copy, Debug)]
pub struct Case<'a> {
    /// The plan, or why it is refused.
    pub plan: Result<&'a Plan, &'a str>,
    /// The status before.
    pub before: &'a RolloutStatus,
    /// What was observed.
    pub observed: &'a Observed,
    /// When it was decided.
    pub now: Timestamp,
    /// What was decided.
    pub decision: &'a Decision,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Name of the invariant.
    pub name: &'static str,
    /// What breaks it.
    pub detail: String,
}

/// Whether two candidates are one: the same content can be tried twice, and two can begin at the same moment.
fn same_trial(one: &Candidate, other: &Candidate) -> bool {
    one.started_at == other.started_at && one.version.hash == other.version.hash
}

type Predicate = fn(Case<'_>) -> Result<(), String>;

/// The invariants of a single decision.
pub const OF_A_DECISION: &[(&str, Predicate)] = &[
    (
        "only_own_sets_are_touched",
        effects::only_own_sets_are_touched,
    ),
    ("stable_at_strength", effects::stable_at_strength),
    ("no_unverified_promotion", effects::no_unverified_promotion),
    ("quarantine_holds", effects::quarantine_holds),
    ("rollback_only_goes_back", effects::rollback_only_goes_back),
    ("places_follow_the_step", effects::places_follow_the_step),
    ("nodes_follow_the_step", nodes::nodes_follow_the_step),
    ("stamps_are_no_releases", effects::stamps_are_no_releases),
    ("no_step_on_old_verdict", forward::no_step_on_old_verdict),
    (
        "no_step_without_ready_pods",
        forward::no_step_without_ready_pods,
    ),
    (
        "no_step_before_its_hold_and_approval",
        forward::no_step_before_its_hold_and_approval,
    ),
    ("one_receipt_an_act", memory::one_receipt_an_act),
    ("quarantine_is_kept", memory::quarantine_is_kept),
    ("failures_are_kept", memory::failures_are_kept),
    ("no_empty_destination", traffic::no_empty_destination),
    ("weights_sum_to_hundred", traffic::weights_sum_to_hundred),
    (
        "weight_never_exceeds_step",
        traffic::weight_never_exceeds_step,
    ),
    (
        "pods_go_after_the_routes",
        traffic::pods_go_after_the_routes,
    ),
    ("cookies_name_the_trial", traffic::cookies_name_the_trial),
    ("canary_begins_unreached", traffic::canary_begins_unreached),
    (
        "places_go_after_the_routes",
        places::places_go_after_the_routes,
    ),
    ("first_place_is_unreached", places::first_place_is_unreached),
];

/// The invariants that a decision breaks.
pub fn broken(case: Case<'_>) -> Vec<Broken> {
    OF_A_DECISION
        .iter()
        .filter_map(|(name, predicate)| predicate(case).err().map(|detail| Broken { name, detail }))
        .collect()
}
