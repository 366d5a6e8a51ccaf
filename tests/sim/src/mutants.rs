//! Faulty variants of `decide`. A simulator that does not notice them proves nothing.
//!
//! Each is the production function with one mistake put before or after it, as it could be made in a change.

mod acting;
mod judging;
mod leading;
mod memory;

use crate::Decide;

/// A faulty variant.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// The mistake.
    pub name: &'static str,
    /// The production function with the mistake.
    pub decide: Decide,
}

const fn mutant(name: &'static str, decide: Decide) -> Mutant {
    Mutant { name, decide }
}

/// All planted mistakes.
pub const MUTANTS: &[Mutant] = &[
    mutant("forgets the quarantine", memory::forgets_the_quarantine),
    mutant(
        "lifts the quarantine with the rejection",
        memory::lifts_with_rejection,
    ),
    mutant(
        "counts no data as a pass",
        judging::counts_no_data_as_a_pass,
    ),
    mutant("counts errors as a pass", judging::counts_errors_as_a_pass),
    mutant("needs no verdict", judging::needs_no_verdict),
    mutant(
        "ignores when it began to act",
        judging::ignores_acting_since,
    ),
    mutant("scales the stable version", acting::scales_stable),
    mutant("deletes what was handed over", acting::deletes_handed_over),
    mutant("forgets to un-pause", acting::drops_resume),
    mutant("forgets to hand over", acting::drops_hand_over),
    mutant("forgets to remove the candidate", acting::drops_remove),
    mutant("forgets to restore the template", acting::drops_restore),
    mutant("forgets to take back", acting::drops_take_back),
    mutant("forgets to scale the candidate", acting::drops_scale),
    mutant("un-pauses rejected content", acting::resumes_rejected),
    mutant("un-pauses during the canary", acting::resumes_during_canary),
    mutant("un-pauses whatever is asked for", acting::resumes_new),
    mutant("hands over during the canary", acting::hands_over_early),
    mutant("skips every other step", judging::skips_steps),
    mutant("forgets approvals are needed", judging::approves_itself),
    mutant("forgets its receipts", memory::forgets_receipts),
    mutant("never wakes by itself", judging::never_wakes),
    mutant("never measures", judging::never_measures),
    mutant("forgets failures", judging::forgets_failures),
    mutant(
        "believes in pods that are not ready",
        judging::believes_in_pods,
    ),
    mutant("finishes before it is let go", acting::finishes_early),
    mutant("stays in promotion", memory::never_bakes),
    mutant("writes for nothing", memory::writes_for_nothing),
    mutant("takes the stable pods away", acting::takes_stable),
    mutant(
        "calls everything verified",
        memory::calls_everything_verified,
    ),
    mutant("goes on while paused by a person", judging::ignores_pause),
    mutant("forgets the configuration", acting::drops_stamps),
    mutant(
        "stamps a set under a running workload",
        acting::stamps_running,
    ),
    mutant(
        "raises a share before pods are ready",
        leading::raises_before_pods_are_ready,
    ),
    mutant(
        "removes pods before connections have ended",
        leading::does_not_wait_for_the_drain,
    ),
    mutant(
        "leads away and removes in one pass",
        leading::leads_away_and_removes_in_one_pass,
    ),
    mutant("asks no router", leading::asks_no_router),
    mutant(
        "takes a router's word for the deed",
        leading::takes_the_word_for_the_deed,
    ),
    mutant("leaves the route behind", leading::leaves_the_route_behind),
    mutant("leaves the Service pinned", leading::forgets_to_unpin),
    mutant("leaves the pair behind", leading::forgets_the_pair),
    mutant("forgets to lead", leading::forgets_to_lead),
    mutant("does not pin the Service", leading::does_not_pin),
    mutant(
        "hands over under the routes",
        leading::hands_over_under_the_routes,
    ),
    mutant(
        "keeps clients by another trial's cookie",
        leading::keeps_another_trials_cookie,
    ),
    mutant("keeps no client", leading::keeps_no_client),
    mutant(
        "gives more than the step",
        leading::gives_more_than_the_step,
    ),
];
