use super::*;
use crate::rollout::{
    Guard, reason,
    status::{RollbackReason, Track},
};

/// A candidate that has passed its steps and is about to be handed over.
fn promoting() -> (Bench, Decision) {
    let mut bench = Bench::healthy();
    bench.apply("v2");
    bench.settle();
    bench.after(60).pass().settle();
    let decision = bench.after(60).pass().decide();
    assert_eq!(bench.status.phase, Phase::Promoting);
    (bench, decision)
}

#[test]
fn the_handover_comes_before_the_un_pausing_in_one_pass() {
    let (_, decision) = promoting();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [
                Effect::HandOver { .. },
                Effect::Resume {
                    guard: Guard::Template,
                    ..
                }
            ]
        ),
        "{:?}",
        decision.effects
    );
}

#[test]
fn a_handover_without_un_pausing_is_finished_by_the_next_decision() {
    let (mut bench, decision) = promoting();
    bench.carry_out(&decision.effects[0]);
    let decision = bench.decide();
    assert!(
        matches!(decision.effects.as_slice(), [Effect::Resume { .. }]),
        "{:?}",
        decision.effects
    );
}

#[test]
fn the_bake_ends_in_a_new_stable_version_after_a_pass_of_its_own() {
    let (mut bench, _) = promoting();
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.status.weight_percent),
        (Phase::Baking, Some(100))
    );
    bench.after(120).settle();
    assert_eq!(bench.waits_for(), reason::GATE);
    bench.after(1).pass().settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v2"));
    assert_eq!(bench.status.verified[0].version, "v1");
    assert!(bench.status.candidate.is_none() && bench.status.gates.is_empty());
    let hash = template("v2").digest.short();
    assert_eq!(
        bench.status.stable.as_ref().unwrap().hash,
        hash,
        "the canary's pods are kept"
    );
}

#[test]
fn a_failure_in_the_bake_restores_the_stable_template() {
    let (mut bench, _) = promoting();
    bench.settle();
    let decision = bench.after(10).fail().decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::RestoreTemplate { .. }]
        ),
        "{:?}",
        decision.effects
    );
    bench.settle();
    assert_eq!((bench.status.phase, bench.pods("v1")), (Phase::Healthy, 10));
    assert!(
        !bench.has_set("v2"),
        "nothing shall find the rejected revision"
    );
    bench.apply("v2");
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.has_set("v2")),
        (Phase::Rejected, false)
    );
}

#[test]
fn a_promotion_without_progress_is_rolled_back() {
    let (mut bench, decision) = promoting();
    for effect in &decision.effects {
        bench.carry_out(effect);
    }
    bench.after(600).decide();
    assert_eq!(
        bench.status.rollback.as_ref().unwrap().reason,
        RollbackReason::DeadlineExceeded
    );
}

#[test]
fn a_promotion_with_progress_gets_another_deadline() {
    let (mut bench, decision) = promoting();
    for effect in &decision.effects {
        bench.carry_out(effect);
    }
    let set = bench.set("v1");
    (set.desired, set.total) = (9, 9);
    bench.after(600).decide();
    assert_eq!(bench.status.phase, Phase::Promoting);
}

#[test]
fn a_newer_template_in_mid_promotion_undoes_the_handover_and_keeps_the_users_template() {
    let (mut bench, decision) = promoting();
    for effect in &decision.effects {
        bench.carry_out(effect);
    }
    for (version, pods) in [("v1", 6), ("v2", 6)] {
        let set = bench.set(version);
        (set.desired, set.total, set.available) = (pods, pods, pods);
    }
    bench.apply("v3");
    let decision = bench.decide();
    assert!(
        matches!(decision.effects.as_slice(), [Effect::TakeBack { .. }]),
        "{:?}",
        decision.effects
    );
    for effect in &decision.effects {
        bench.carry_out(effect);
    }
    let set = bench.set("v1");
    (set.desired, set.total, set.available) = (10, 10, 7);
    let decision = bench.decide();
    assert!(
        matches!(
            decision.effects.as_slice(),
            [Effect::ScaleCandidate { replicas: 3, .. }]
        ),
        "the old candidate shrinks as stable pods become available: {:?}",
        decision.effects
    );
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.asked()),
        (Phase::Progressing, "v3")
    );
    assert_eq!(
        (bench.pods("v1"), bench.pods("v3"), bench.has_set("v2")),
        (10, 3, false)
    );
    assert!(bench.status.quarantine.is_empty());
}

#[test]
fn a_newer_template_during_the_bake_waits_for_its_end() {
    let (mut bench, _) = promoting();
    bench.settle();
    bench.apply("v3");
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.has_set("v3")),
        (Phase::Baking, false)
    );
    bench.after(120).pass().settle();
    assert_eq!(
        (bench.stable(), bench.status.phase),
        ("v2", Phase::Progressing)
    );
    assert_eq!((bench.pods("v2"), bench.pods("v3")), (10, 3));
}

#[test]
fn an_earlier_verified_version_goes_the_fast_track() {
    let mut bench = Bench::healthy();
    bench.promote("v2");
    bench.apply("v1");
    let decision = bench.decide();
    assert_eq!(bench.status.candidate.as_ref().unwrap().track, Track::Fast);
    assert!(
        matches!(decision.effects.as_slice(), [Effect::Resume { .. }]),
        "{:?}",
        decision.effects
    );
    bench.settle();
    bench.after(121).pass().settle();
    assert_eq!((bench.status.phase, bench.stable()), (Phase::Healthy, "v1"));
}

#[test]
fn a_release_keeps_its_verified_rollouts_waiting_for_each_other() {
    let mut bench = Bench::healthy();
    bench.seen.group = Group::Waiting {
        message: "cart is not verified yet".to_owned(),
    };
    bench.apply("v2");
    bench.settle();
    bench.after(60).pass().settle();
    bench.after(60).pass().settle();
    assert_eq!(
        (bench.status.phase, bench.waits_for()),
        (Phase::Progressing, reason::TOGETHER)
    );
    assert!(bench.status.ready_to_promote());
    bench.seen.group = Group::Go;
    bench.settle();
    assert_eq!(bench.status.phase, Phase::Baking);
}

#[test]
fn a_superseded_version_leaves_no_revision_that_would_push_the_stable_one_out() {
    let (mut bench, decision) = promoting();
    bench.carry_out(&decision.effects[0]);
    let set = bench.set("v2");
    (set.desired, set.total, set.ready, set.available) = (0, 0, 0, 0);
    bench.apply("v3");
    bench.settle();
    assert_eq!(
        (bench.status.phase, bench.has_set("v2")),
        (Phase::Progressing, false)
    );
}

#[test]
fn a_promotion_makes_room_for_the_stable_version_among_the_revisions_that_are_kept() {
    let (mut bench, _) = promoting();
    bench.deployment().revision_history_limit = 1;
    bench.add_set("v0", Owner::Deployment, "left", 0);
    // The Deployment controller would clean stable up for it, so it goes first.
    let decision = bench.decide();
    assert!(
        matches!(decision.effects.as_slice(), [Effect::TakeBack { .. }]),
        "{:?}",
        decision.effects
    );
    bench.settle();
    assert!(!bench.has_set("v0") && bench.has_set("v1"));
    let Workload::Deployment(deployment) = &bench.seen.workload else {
        panic!("no Deployment");
    };
    assert!(!deployment.paused);
}
