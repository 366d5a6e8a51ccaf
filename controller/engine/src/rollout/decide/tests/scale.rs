use super::*;
use crate::rollout::{reason, status::RollbackReason};

fn scale(bench: &mut Bench, replicas: i32) {
    bench.deployment().replicas = replicas;
    bench.roll();
}

#[test]
fn a_scale_change_is_never_a_release() {
    let mut bench = Bench::healthy();
    let before = bench.status.clone();
    scale(&mut bench, 30);
    let decision = bench.decide();
    assert_eq!((decision.effects, decision.status), (vec![], before));
}

#[test]
fn the_candidate_follows_the_workloads_replicas() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    scale(&mut bench, 20);
    bench.settle();
    assert_eq!((bench.pods("v1"), bench.pods("v2")), (20, 5));
}

#[test]
fn a_new_template_of_a_sleeping_workload_is_accepted() {
    let mut bench = Bench::healthy();
    scale(&mut bench, 0);
    bench.apply("v2");
    bench.settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v2"));
    assert!(
        bench
            .events
            .iter()
            .any(|event| event == reason::ACCEPTED_AT_ZERO)
    );
}

#[test]
fn scaling_to_zero_in_mid_canary_does_not_accept_the_candidate() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    scale(&mut bench, 0);
    bench.settle();
    assert_eq!(
        (bench.stable(), bench.waits_for()),
        ("v1", reason::SCALED_TO_ZERO)
    );
    assert_eq!(
        bench.status.rollback.as_ref().unwrap().reason,
        RollbackReason::ScaledToZero
    );
    assert!(bench.deployment().paused && !bench.has_set("v2"));
    let set = bench.set("v1");
    (set.desired, set.total, set.ready, set.available) = (10, 10, 10, 10);
    scale(&mut bench, 10);
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.pods("v2")),
        (Phase::Progressing, 3)
    );
}

#[test]
fn another_revision_that_the_deployment_controller_woke_up_becomes_the_baseline() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    bench.apply("v3");
    bench.settle();
    bench.after(10).fail().settle();
    for (version, pods) in [("v1", 10), ("v2", 0)] {
        let set = bench.set(version);
        (set.desired, set.total, set.ready, set.available) = (pods, pods, pods, pods);
    }
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.stable()),
        (Phase::Rejected, "v1")
    );
    assert_eq!(bench.events.last().unwrap(), reason::BASELINE_CHANGED);
}

#[test]
fn a_canary_whose_stable_version_went_to_sleep_and_did_not_wake_ends() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    bench.apply("v3");
    bench.settle();
    for (version, pods) in [("v1", 10), ("v2", 0)] {
        let set = bench.set(version);
        (set.desired, set.total, set.ready, set.available) = (pods, pods, pods, pods);
    }
    bench.settle();
    assert_eq!(
        bench.status.rollback.as_ref().unwrap().reason,
        RollbackReason::ScaledToZero
    );
    assert_eq!(
        (bench.stable(), bench.status.phase),
        ("v1", Phase::Progressing)
    );
}

#[test]
fn gates_are_measured_when_a_version_that_was_promoted_asleep_wakes() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    scale(&mut bench, 0);
    bench.act(Verb::Undo).settle();
    assert_eq!(
        (bench.status.phase, bench.decide().measures),
        (Phase::Baking, vec![])
    );
    let set = bench.set("v1");
    (set.desired, set.total, set.ready, set.available) = (10, 10, 10, 10);
    scale(&mut bench, 10);
    bench.settle();
    assert_eq!(bench.decide().measures.len(), 1);
}

#[test]
fn of_two_sets_with_the_stable_content_the_one_that_the_workload_uses_is_meant() {
    let mut bench = Bench::healthy();
    bench.seen.hold = Hold::AlwaysPaused;
    bench.settle();
    bench.add_set("v1", Owner::Deployment, "older", 10);
    bench.seen.sets[0].desired = 0;
    bench.seen.sets[0].total = 0;
    let decision = bench.decide();
    assert_eq!((decision.effects, bench.waits_for()), (vec![], ""));
    assert_eq!(bench.status.stable.as_ref().unwrap().hash, "older");
}
