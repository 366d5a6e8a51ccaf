use super::*;
use crate::rollout::{reason, status::Track};

#[test]
fn a_template_that_slipped_past_the_hold_is_paused_before_it_rolls() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.deployment().paused = false;
    let decision = bench.decide();
    assert!(matches!(
        decision.effects.as_slice(),
        [Effect::Pause { .. }]
    ));
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Healthy, reason::HOLDING)
    );
    bench.deployment().paused = true;
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.pods("v2")),
        (Phase::Progressing, 3)
    );
}

#[test]
fn a_template_that_rolls_already_is_watched_and_taken_back_when_a_gate_fails() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.deployment().paused = false;
    bench.add_set("v2", Owner::Deployment, "native2", 2);
    bench.decide();
    assert_eq!(
        bench.status.candidate.as_ref().unwrap().track,
        Track::Bypassed
    );
    assert_eq!(bench.events.last().unwrap(), reason::HOLD_BYPASSED);
    bench.settle();
    bench.after(10).fail().settle();
    assert_eq!((bench.asked(), bench.pods("v1")), ("v1", 10));
    assert_eq!(
        (bench.status.phase, bench.status.quarantine.len()),
        (Phase::Healthy, 1)
    );
}

#[test]
fn a_canary_that_is_un_paused_by_hand_is_handed_over_and_watched() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.deployment().paused = false;
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.set("v2").owner),
        (Phase::Baking, Owner::Deployment)
    );
}

#[test]
fn without_an_admission_policy_the_workload_is_paused_while_idle() {
    let mut bench = Bench::new();
    bench.seen.hold = Hold::AlwaysPaused;
    bench.settle();
    assert!(bench.deployment().paused);
    bench.promote("v2");
    assert!(bench.deployment().paused);
}

#[test]
fn a_pause_left_over_from_a_cluster_without_the_policy_is_ended() {
    let mut bench = Bench::healthy();
    bench.deployment().paused = true;
    bench.settle();
    assert!(!bench.deployment().paused);
}

#[test]
fn new_defaults_of_an_upgraded_api_server_are_no_new_content() {
    let mut bench = Bench::healthy();
    let defaulted = Template::new(
        Digest::of(&json!("v1 with defaults")),
        None,
        "v1".to_owned(),
    );
    bench.deployment().template = defaulted.clone();
    bench.set("v1").template = defaulted.clone();
    bench.settle();
    assert_eq!(bench.status.phase, Phase::Healthy);
    assert_eq!(
        bench.status.stable.as_ref().unwrap().digest,
        defaulted.digest
    );
}

#[test]
fn new_defaults_do_not_lift_a_quarantine() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.after(10).fail().settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
    bench.deployment().template.digest = Digest::of(&json!("v2 with defaults"));
    bench.set("v1").template.digest = Digest::of(&json!("v1 with defaults"));
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.has_set("v2")),
        (Phase::Rejected, false)
    );
}
