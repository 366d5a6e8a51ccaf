use super::*;
use crate::rollout::reason;

#[test]
fn a_deleted_rollout_lets_its_settled_workload_go() {
    let mut bench = Bench::healthy();
    bench.seen.lifecycle = Lifecycle::Deleting;
    let decision = bench.decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::LetGo { resume: false, .. }, Effect::Finish]
        ),
        "{:?}",
        decision.effects
    );
}

#[test]
fn a_deleted_rollout_takes_its_candidate_away_first_and_leaves_the_hold_on() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.seen.lifecycle = Lifecycle::Deleting;
    let decision = bench.decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::RemoveCandidate { .. }]
        ),
        "{:?}",
        decision.effects
    );
    bench.carry_out(&decision.effects[0]);
    let decision = bench.decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::LetGo { resume: false, .. }, Effect::Finish]
        ),
        "an unverified template stays paused: {:?}",
        decision.effects
    );
}

#[test]
fn a_rollout_deleted_in_mid_promotion_lets_it_go_on() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.after(60).pass().settle();
    let decision = bench.after(60).pass().decide();
    bench.carry_out(&decision.effects[0]);
    bench.seen.lifecycle = Lifecycle::Deleting;
    let decision = bench.decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::LetGo { resume: true, .. }, Effect::Finish]
        ),
        "{:?}",
        decision.effects
    );
}

#[test]
fn a_missing_workload_takes_the_candidate_with_it() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.seen.workload = Workload::Missing;
    bench.seen.sets.retain(|set| set.owner == Owner::Rollout);
    let decision = bench.decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::RemoveCandidate { .. }]
        ),
        "{:?}",
        decision.effects
    );
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Pending, reason::WORKLOAD_MISSING)
    );
}

#[test]
fn a_workload_made_anew_with_the_stable_template_is_recognised() {
    let mut bench = Bench::healthy();
    bench.seen.sets.clear();
    bench.add_set("v1", Owner::Deployment, "other-hash", 10);
    bench.settle();
    assert_eq!(bench.status.stable.as_ref().unwrap().hash, "other-hash");
    assert_eq!(bench.status.phase, Phase::Healthy);
}

#[test]
fn a_label_that_may_not_be_seen_yet_is_not_left_behind() {
    // Given a view of the workload from before the label was written,
    let mut bench = Bench::healthy();
    bench.deployment().labelled = false;
    // when the Rollout is deleted, then letting go depends on the version seen, so that a late view is refused.
    bench.seen.lifecycle = Lifecycle::Deleting;
    let decision = bench.decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::LetGo { .. }, Effect::Finish]
        ),
        "{:?}",
        decision.effects
    );
}
