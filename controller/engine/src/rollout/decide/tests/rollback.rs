use super::*;
use crate::rollout::reason;

fn rejected() -> Bench {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.after(10).fail().settle();
    assert_eq!(bench.status.phase, Phase::Rejected);
    bench
}

#[test]
fn a_rejected_template_is_held_however_often_it_is_applied() {
    let mut bench = rejected();
    let before = bench.status.clone();
    for _ in 0..10 {
        bench.apply("v2");
        let decision = bench.after(60).decide();
        assert_eq!((decision.effects, &decision.status), (vec![], &before));
    }
    assert!(bench.deployment().paused);
    assert_eq!(bench.waits_for(), reason::QUARANTINED);
}

#[test]
fn new_content_after_a_rejection_gets_its_canary() {
    let mut bench = rejected();
    bench.promote("v3");
    bench.apply("v2");
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.stable()),
        (Phase::Rejected, "v3")
    );
}

#[test]
fn a_rejection_is_stalled_in_the_sense_of_kstatus() {
    let bench = rejected();
    let condition = |kind: &str| {
        bench
            .status
            .conditions
            .iter()
            .find(|c| c.kind == kind)
            .map(|c| c.status)
    };
    assert_eq!(condition("Stalled"), Some(crate::condition::Truth::True));
    assert_eq!(condition("Ready"), Some(crate::condition::Truth::False));
    assert_eq!(condition("Reconciling"), None);
}

#[test]
fn a_retry_lifts_the_quarantine_and_begins_anew() {
    let mut bench = rejected();
    bench.act(Verb::Retry).settle();
    assert_eq!(
        (bench.status.phase, bench.pods("v2")),
        (Phase::Progressing, 3)
    );
    assert!(bench.status.quarantine.is_empty());
}

#[test]
fn a_rollback_goes_on_under_a_refused_spec_and_a_refused_workload() {
    for refused_workload in [false, true] {
        let mut bench = Bench::healthy();
        bench.apply("v2");
        bench.settle();
        bench.after(10).fail().decide();
        bench.plan = Err("unknown template".to_owned());
        if refused_workload {
            bench.seen.workload = Workload::Refused("it has another owner".to_owned());
        }
        let decision = bench.decide();
        assert!(
            matches!(
                decision.effects.as_slice(),
                [Effect::RemoveCandidate { .. }]
            ),
            "{:?}",
            decision.effects
        );
    }
}

#[test]
fn a_candidate_seen_late_is_removed() {
    let mut bench = rejected();
    bench.add_set("v2", Owner::Rollout, "late", 3);
    bench.settle();
    assert!(!bench.has_set("v2"));
}

#[test]
fn rejected_content_found_running_past_the_hold_is_rolled_back() {
    let mut bench = rejected();
    bench.apply("v1");
    bench.settle();
    bench.apply("v2");
    bench.deployment().paused = false;
    bench.add_set("v2", Owner::Deployment, "native2", 2);
    bench.settle();
    assert_eq!((bench.pods("v1"), bench.asked()), (10, "v1"));
}

#[test]
fn rejected_content_let_go_by_break_glass_is_respected_and_watched() {
    let mut bench = rejected();
    bench.deployment().paused = false;
    bench.add_set("v2", Owner::Deployment, "native2", 2);
    bench.settle();
    assert_eq!(bench.status.phase, Phase::Baking);
    bench.after(121).pass().settle();
    assert_eq!((bench.stable(), bench.status.quarantine.len()), ("v2", 0));
}

#[test]
fn a_retry_is_the_way_out_when_only_rejected_content_is_left() {
    let mut bench = rejected();
    bench.seen.sets.clear();
    bench.deployment().total_replicas = 0;
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Rejected, reason::STABLE_LOST)
    );
    bench.act(Verb::Retry).settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v2"));
}

#[test]
fn a_candidate_whose_workload_was_made_anew_is_removed() {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.seen.sets.retain(|set| set.owner == Owner::Rollout);
    bench.add_set("v3", Owner::Deployment, "native3", 10);
    bench.apply("v3");
    bench.deployment().paused = false;
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.stable(), bench.has_set("v2")),
        (Phase::Healthy, "v3", false)
    );
}

#[test]
fn an_aborted_promotion_whose_un_pausing_is_seen_late_is_not_taken_for_break_glass() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    bench.apply("v1");
    bench.decide();
    assert_eq!(bench.status.phase, Phase::Promoting);
    bench.act(Verb::Abort).decide();
    assert_eq!(bench.status.phase, Phase::RollingBack);
    bench.seen.actions.clear();
    bench.touch();
    bench.deployment().paused = false;
    let set = bench.set("v1");
    (set.desired, set.total) = (2, 2);
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.stable(), bench.pods("v2")),
        (Phase::Healthy, "v2", 10)
    );
    assert_eq!(bench.status.quarantine.len(), 1);
}

#[test]
fn an_un_pausing_that_may_be_belays_own_does_not_let_rejected_content_through() {
    let mut bench = rejected();
    bench.status.released_generation = Some(bench.deployment().generation);
    bench.touch();
    bench.deployment().paused = false;
    bench.add_set("v2", Owner::Deployment, "native2", 2);
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.asked(), bench.pods("v1")),
        (Phase::Healthy, "v1", 10)
    );
}
