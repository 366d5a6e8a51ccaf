use super::*;
use crate::rollout::{reason, status::RollbackReason};

#[test]
fn a_first_template_is_recorded_without_a_canary() {
    let mut bench = Bench::new();
    let decision = bench.decide();
    assert_eq!(decision.effects, [Effect::Adopt]);
    assert_eq!(bench.events, [reason::ADOPTED]);
    // Healthy is a promise that the next template is held, and so comes only once the label is seen.
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Pending, reason::HOLDING)
    );
    bench.settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v1"));
}

#[test]
fn a_first_version_that_does_not_get_up_stays_pending_and_says_so() {
    let mut bench = Bench::new();
    bench.set("v1").available = 3;
    bench.decide();
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Pending, reason::FIRST_VERSION)
    );
    bench.set("v1").available = 10;
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Healthy, "")
    );
}

#[test]
fn a_first_template_that_the_hold_caught_is_let_go() {
    let mut bench = Bench::new();
    bench.seen.sets.clear();
    bench.deployment().paused = true;
    bench.deployment().total_replicas = 0;
    bench.settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v1"));
}

#[test]
fn an_idle_rollout_decides_nothing() {
    let mut bench = Bench::healthy();
    let before = bench.status.clone();
    let decision = bench.after(3_600).decide();
    assert_eq!(decision.status, before);
    assert_eq!(
        (decision.effects, decision.measures, decision.wake_at),
        (vec![], vec![], None)
    );
}

#[test]
fn a_new_template_gets_a_canary_beside_the_untouched_stable_version() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    assert_eq!(bench.status.phase, Phase::Progressing);
    assert_eq!((bench.pods("v1"), bench.pods("v2")), (10, 3));
    assert_eq!(bench.set("v2").owner, Owner::Rollout);
    assert_eq!(bench.status.weight_percent, Some(23));
    assert_eq!(bench.status.step_text.as_deref(), Some("1/2"));
}

#[test]
fn a_step_ends_only_after_its_hold_with_a_pass_of_the_present_pods() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    assert_eq!(bench.waits_for(), reason::HOLD);
    bench.after(59).pass().settle();
    assert_eq!(
        (bench.waits_for(), bench.status.step_text.as_deref()),
        (reason::HOLD, Some("1/2"))
    );
    bench.after(1).settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
    assert_eq!(bench.pods("v2"), 10);
    bench.after(60).settle();
    assert_eq!(
        bench.waits_for(),
        reason::GATE,
        "the first step's pass must not count for the second"
    );
}

#[test]
fn a_step_with_approval_waits_for_a_person() {
    let mut bench = Bench::healthy();
    if let Ok(plan) = &mut bench.plan {
        plan.steps[0].approval = Approval::Required;
    }
    bench.apply("v2");
    bench.settle();
    bench.after(60).pass().settle();
    assert_eq!(bench.waits_for(), reason::APPROVAL);
    bench.act(Verb::Approve).settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
    assert_eq!(
        bench.status.step.as_ref().unwrap().approved_by,
        None,
        "an approval is for one step"
    );
}

#[test]
fn pods_that_never_get_ready_reject_the_candidate_at_the_deadline() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    let decision = bench.decide();
    for effect in &decision.effects {
        bench.carry_out(effect);
    }
    bench.set("v2").available = 0;
    let wake_at = bench.decide().wake_at.unwrap();
    assert_eq!(wake_at.duration_since(bench.now).as_secs(), 600);
    assert_eq!(bench.waits_for(), reason::PODS);
    bench.after(600).settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
    assert_eq!(
        bench.status.rollback.as_ref().unwrap().reason,
        RollbackReason::DeadlineExceeded
    );
}

#[test]
fn pods_lost_in_mid_step_keep_it_from_ending_but_not_its_hold_from_counting() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.after(50).pass();
    bench.set("v2").available = 2;
    bench.settle();
    bench.after(10).settle();
    assert_eq!(
        (bench.waits_for(), bench.status.step_text.as_deref()),
        (reason::PODS, Some("1/2"))
    );
    bench.set("v2").available = 3;
    bench.settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
}

#[test]
fn a_newer_template_takes_the_candidates_place_from_the_first_step() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.after(60).pass().settle();
    bench.apply("v3");
    bench.settle();
    assert!(!bench.has_set("v2"));
    assert_eq!((bench.pods("v1"), bench.pods("v3")), (10, 3));
    assert_eq!(bench.status.step_text.as_deref(), Some("1/2"));
    assert!(
        bench.status.quarantine.is_empty(),
        "superseded content is not to blame"
    );
}

#[test]
fn the_stable_template_applied_again_ends_the_canary_without_a_quarantine() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.apply("v1");
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.has_set("v2")),
        (Phase::Healthy, false)
    );
    assert!(bench.status.quarantine.is_empty());
    assert!(!bench.deployment().paused, "nothing is held any more");
    assert_eq!(
        bench.status.rollback.as_ref().unwrap().reason,
        RollbackReason::Reverted
    );
}

#[test]
fn an_earlier_revision_is_used_again_for_its_canary() {
    let mut bench = Bench::healthy();
    bench.add_set("v0", Owner::Deployment, "native0", 0);
    bench.apply("v0");
    bench.settle();
    let set = bench.set("v0");
    assert_eq!(
        (set.owner, set.desired, set.hash.as_str()),
        (Owner::Rollout, 3, "native0")
    );
    assert_eq!(
        bench.status.candidate.as_ref().unwrap().version.hash,
        "native0"
    );
}

#[test]
fn a_refused_spec_stalls_and_holds_what_is_new() {
    let mut bench = Bench::healthy();
    bench.plan = Err("Step 1 can't be reached: lower its weight.".to_owned());
    bench.apply("v2");
    bench.settle();
    assert!(!bench.has_set("v2"));
    let stalled = bench
        .status
        .conditions
        .iter()
        .find(|c| c.kind == "Stalled")
        .unwrap();
    assert_eq!(
        stalled.message,
        "Step 1 can't be reached: lower its weight."
    );
}
