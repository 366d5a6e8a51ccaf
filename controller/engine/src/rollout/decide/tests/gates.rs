use super::*;
use crate::{
    gate::Verdict,
    rollout::{reason, status::RollbackReason},
};

fn canary(change: impl FnOnce(&mut Plan)) -> Bench {
    let mut bench = Bench::healthy();
    if let Ok(plan) = &mut bench.plan {
        change(plan);
    }
    bench.apply("v2");
    bench.settle();
    bench
}

fn no_data() -> Result {
    Result::NoData {
        why: "the series is empty".to_owned(),
    }
}

#[test]
fn gates_are_measured_from_the_readiness_of_the_first_pods_at_their_interval() {
    let mut bench = canary(|plan| plan.gates[0].initial_delay = Duration::from_secs(5));
    let ready_at = bench.now;
    let due_at = |bench: &mut Bench| bench.decide().measures[0].due_at;
    assert_eq!(due_at(&mut bench), ready_at + SignedDuration::from_secs(5));
    bench.after(6).pass();
    assert_eq!(due_at(&mut bench), ready_at + SignedDuration::from_secs(16));
}

#[test]
fn a_passing_measurement_that_changes_nothing_costs_no_write() {
    let mut bench = canary(|_| {});
    bench.after(10).pass().decide();
    let before = bench.status.clone();
    for _ in 0..3 {
        bench.after(10).pass().decide();
        assert_eq!(bench.status, before);
    }
}

#[test]
fn a_first_pass_shortly_before_the_end_of_the_hold_is_written_with_the_next_step() {
    let mut bench = canary(|plan| plan.steps[0].hold = Duration::from_secs(15));
    let before = bench.status.clone();
    bench.after(10).pass().decide();
    assert_eq!(bench.status, before);
    bench.after(5).decide();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
}

#[test]
fn a_first_pass_in_a_long_hold_is_written_at_once() {
    let mut bench = canary(|plan| plan.steps[0].hold = Duration::from_mins(1));
    bench.after(10).pass().decide();
    assert_eq!(bench.status.verdict, Some(Verdict::Pass));
}

#[test]
fn one_failure_too_many_removes_the_candidate_in_the_same_pass() {
    let mut bench = canary(|_| {});
    let decision = bench.after(10).fail().decide();
    assert_eq!(bench.status.phase, Phase::RollingBack);
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::RemoveCandidate { .. }]
        ),
        "{:?}",
        decision.effects
    );
    bench.settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
    let rollback = bench.status.rollback.as_ref().unwrap();
    assert_eq!(rollback.reason, RollbackReason::GateFailed);
    assert!(
        rollback.message.contains("9 is above 5"),
        "{}",
        rollback.message
    );
}

#[test]
fn a_dry_run_gate_is_shown_and_never_acted_on() {
    let mut bench = canary(|plan| plan.gates[0].mode = Mode::DryRun);
    bench.after(60).fail().settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
    assert_eq!(
        (bench.status.gates[0].verdict, bench.status.gates[0].dry_run),
        (Verdict::Fail, true)
    );
    assert_eq!(bench.status.verdict, None);
}

#[test]
fn absent_data_holds_and_goes_on_when_it_is_back() {
    let mut bench = canary(|_| {});
    for _ in 0..100 {
        bench.after(10).measure("errors", no_data()).settle();
    }
    assert_eq!(
        (bench.waits_for(), bench.status.step_text.as_deref()),
        (reason::GATE, Some("1/2"))
    );
    bench.after(10).pass().settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
}

#[test]
fn absent_data_rolls_back_only_after_the_policys_count_and_deadline() {
    let mut bench = canary(|plan| {
        plan.gates[0].on_no_data.then = Then::RollBack;
        plan.steps[0].hold = Duration::from_hours(1);
    });
    bench.after(10).measure("errors", no_data()).decide();
    bench.after(10).measure("errors", no_data());
    let wake_at = bench.decide().wake_at.unwrap();
    assert_eq!(bench.status.phase, Phase::Progressing);
    bench.after(50).settle();
    assert_eq!(wake_at, bench.now);
    assert_eq!(
        bench.status.rollback.as_ref().unwrap().reason,
        RollbackReason::NoData
    );
}

#[test]
fn time_in_which_nobody_looked_does_not_count_against_a_candidate() {
    let mut bench = canary(|plan| plan.gates[0].on_no_data.then = Then::RollBack);
    bench.after(10).measure("errors", no_data()).decide();
    bench.after(10).measure("errors", no_data()).decide();
    bench.after(3_600);
    bench.seen.acting_since = bench.now;
    bench.measure("errors", no_data()).settle();
    assert_eq!(bench.status.phase, Phase::Progressing);
    bench.after(60).settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
}

#[test]
fn no_step_forward_on_a_verdict_from_before_a_gap() {
    let mut bench = canary(|_| {});
    bench.after(30).pass().decide();
    bench.seen.readings.clear();
    bench.after(30);
    bench.seen.acting_since = bench.now;
    bench.settle();
    assert_eq!(
        (bench.waits_for(), bench.status.step_text.as_deref()),
        (reason::GATE, Some("1/2"))
    );
    bench.after(1).pass().settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
}

#[test]
fn no_step_forward_on_a_verdict_that_nobody_renewed() {
    let mut bench = canary(|_| {});
    bench.after(5).pass().settle();
    bench.after(56).settle();
    assert_eq!(
        bench.waits_for(),
        reason::GATE,
        "51 s is more than two intervals and 30 s"
    );
}

#[test]
fn a_steps_own_gate_holds_that_step_alone() {
    let mut bench = canary(|plan| plan.steps[0].gates.push(gate("smoke")));
    bench.after(60).pass().settle();
    assert_eq!(bench.waits_for(), reason::GATE);
    bench
        .measure(
            "smoke",
            Result::Pass {
                value: "1".to_owned(),
            },
        )
        .settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
    assert_eq!(bench.status.gates.len(), 1);
}

#[test]
fn failures_add_up_over_the_steps() {
    let mut bench = canary(|plan| plan.gates[0].failure_limit = 1);
    bench.after(30).fail().settle();
    bench.after(30).pass().settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
    bench.after(30).fail().settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
}

#[test]
fn doubts_about_gates_are_told_once_and_shown_as_long_as_they_last() {
    let mut bench = Bench::healthy();
    let with = |bench: &mut Bench, doubts: &[&str]| {
        if let Ok(plan) = &mut bench.plan {
            plan.doubts = doubts.iter().map(|&doubt| doubt.to_owned()).collect();
        }
    };
    let shown = |bench: &Bench| {
        let mut conditions = bench.status.conditions.iter();
        let found = conditions.find(|condition| condition.kind == reason::GATES_DOUBTFUL);
        found.map(|condition| condition.message.clone())
    };
    with(&mut bench, &["a", "b", "c", "d", "e"]);
    let told = bench.decide().events;
    assert_eq!(shown(&bench).as_deref(), Some("a; b; c; and 2 more"));
    assert_eq!(told.len(), 1);
    assert_eq!(bench.status.phase, Phase::Healthy);
    assert!(bench.decide().events.is_empty());
    with(&mut bench, &["b"]);
    assert_eq!(bench.decide().events.len(), 1);
    with(&mut bench, &[]);
    assert!(bench.decide().events.is_empty());
    assert_eq!(shown(&bench), None);
}
