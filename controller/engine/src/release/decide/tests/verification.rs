//! What makes content good or bad: Rollouts, health, time and gates.

use std::time::Duration;

use super::{
    super::{PROMOTION_REASON, Standing, standing},
    world::{World, content},
};
use jiff::Timestamp;

use crate::{
    action::Verb,
    digest::Digest,
    gate::{GatePolicy, Mode, Reading, Result, Then, UnknownPolicy, Verdict},
    quarantine::Entry,
    release::{
        observed::RolloutView,
        plan::Promotion,
        status::{FailureReason, Phase, Workload},
    },
    rollout::{
        observed::Kind,
        status::{Candidate, Phase as RolloutPhase, RolloutStatus, Track, Version, Waiting},
    },
};

fn digest(name: &str) -> Digest {
    Digest::of(&serde_json::json!({ "template": name }))
}

fn version(name: &str) -> Version {
    Version {
        digest: digest(name),
        hash: name.into(),
        version: name.into(),
        bare: None,
    }
}

fn rollout(workload: &str, phase: RolloutPhase, stable: &str) -> RolloutView {
    RolloutView {
        namespace: "shop".into(),
        name: workload.into(),
        kind: Kind::Deployment,
        workload: workload.into(),
        status: RolloutStatus {
            phase,
            stable: Some(version(stable)),
            ..RolloutStatus::default()
        },
    }
}

fn with_candidate(mut view: RolloutView, world: &World, name: &str, reason: &str) -> RolloutView {
    view.status.candidate = Some(Candidate {
        version: version(name),
        started_at: world.now,
        first_ready_at: None,
        track: Track::Steps,
        replaces: None,
    });
    view.status.waiting_for = Some(Waiting {
        reason: reason.into(),
        message: "waits".into(),
        since: world.now,
    });
    view
}

fn rejected(mut view: RolloutView, world: &World, name: &str) -> RolloutView {
    view.status.phase = RolloutPhase::Rejected;
    view.status.quarantine = vec![Entry {
        digest: digest(name),
        version: name.into(),
        reason: "gate errors failed".into(),
        since: world.now,
        cause: crate::quarantine::Cause::default(),
        bare: None,
    }];
    view
}

fn workload(name: &str, template: &str) -> Workload {
    Workload {
        kind: Kind::Deployment,
        namespace: "shop".into(),
        name: name.into(),
        digest: digest(template),
    }
}

/// Two governed workloads at version 1, content `a` verified.
fn two_workloads() -> World {
    let mut world = World {
        workloads: vec![workload("web", "v1"), workload("api", "v1")],
        rollouts: vec![
            rollout("web", RolloutPhase::Healthy, "v1"),
            rollout("api", RolloutPhase::Healthy, "v1"),
        ],
        ..World::default()
    };
    world.ask("a");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    world.log.clear();
    world.workloads = vec![workload("web", "v2"), workload("api", "v2")];
    world
}

#[test]
fn a_verdict_on_an_older_template_is_none_on_this_one() {
    let world = World::default();
    let old = rejected(rollout("web", RolloutPhase::Healthy, "v1"), &world, "v2");
    assert!(matches!(
        standing(&old.status, &digest("v3")),
        Standing::Moving(_)
    ));
    assert!(matches!(
        standing(&old.status, &digest("v2")),
        Standing::Rejected(_)
    ));
    let healthy = rollout("web", RolloutPhase::Healthy, "v1");
    assert_eq!(standing(&healthy.status, &digest("v1")), Standing::Verified);
    assert!(matches!(
        standing(&healthy.status, &digest("v2")),
        Standing::Moving(_)
    ));
}

#[test]
fn a_rollout_speaks_for_the_workload_of_its_kind_only() {
    let mut world = two_workloads();
    world.rollouts[0].kind = Kind::StatefulSet;
    world.rollouts[0] = rejected(world.rollouts[0].clone(), &world, "v2");
    world.rollouts[1] = rollout("api", RolloutPhase::Healthy, "v2");
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
}

#[test]
fn a_rejected_rollout_takes_the_whole_release_back() {
    let mut world = two_workloads();
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    world.rollouts[0] = rejected(world.rollouts[0].clone(), &world, "v2");
    world.workloads = vec![workload("web", "v1"), workload("api", "v1")];
    world.step();
    assert_eq!(world.status.phase, Phase::RollingBack);
    world.rollouts[0].status.phase = RolloutPhase::Healthy;
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    let rollback = world.status.rollback.clone().unwrap();
    assert_eq!(rollback.reason, FailureReason::RolloutRejected);
    assert!(rollback.message.contains("web") && rollback.message.contains("gate errors failed"));
    assert_eq!(rollback.to.unwrap().digest, content("a").digest);
    assert!(world.has("own-a") && !world.has("own-b"));
}

#[test]
fn a_retried_release_names_the_rejected_content_to_its_rollout_and_not_while_that_takes_a_version_back()
 {
    // Given a Release that went back because of a Rollout, which looks at the old template now.
    let mut world = two_workloads();
    world.ask("b");
    world.settle();
    world.rollouts[0] = rejected(world.rollouts[0].clone(), &world, "v2");
    world.workloads = vec![workload("web", "v1"), workload("api", "v1")];
    world.step();
    world.rollouts[0].status.phase = RolloutPhase::Healthy;
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    // When it is retried while the Rollout takes a version back, then the Rollout is not asked yet.
    world.pass_time(10);
    world.workloads = vec![workload("web", "v2"), workload("api", "v2")];
    world.rollouts[0].status.phase = RolloutPhase::RollingBack;
    world.log.clear();
    world.act(Verb::Retry);
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    let asked = format!("retry rollout web of {}", digest("v2").short());
    assert!(!world.log.contains(&asked), "{:?}", world.log);
    // When that is over, then it is asked by the content's name, whatever it looks at.
    world.rollouts[0].status.phase = RolloutPhase::Healthy;
    world.step();
    assert!(world.log.contains(&asked), "{:?}", world.log);
}

#[test]
fn together_gives_the_word_only_when_every_rollout_has_passed_its_steps() {
    let mut world = two_workloads();
    world.plan.promotion = Promotion::Together;
    world.ask("b");
    world.rollouts[0] = with_candidate(world.rollouts[0].clone(), &world, "v2", PROMOTION_REASON);
    world.rollouts[1] = with_candidate(world.rollouts[1].clone(), &world, "v2", "Hold");
    world.settle();
    assert_eq!(world.status.promotable, None);
    world.rollouts[1] = with_candidate(world.rollouts[1].clone(), &world, "v2", PROMOTION_REASON);
    world.settle();
    assert_eq!(world.status.promotable, Some(content("b").digest));
    world.rollouts = vec![
        rollout("web", RolloutPhase::Healthy, "v2"),
        rollout("api", RolloutPhase::Healthy, "v2"),
    ];
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
}

#[test]
fn a_first_version_that_never_comes_up_ends_at_the_timeout() {
    let mut world = World {
        workloads: vec![workload("web", "v1")],
        rollouts: vec![rollout("web", RolloutPhase::Pending, "v1")],
        ..World::default()
    };
    world.ask("a");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    world.pass_time(16 * 60);
    world.settle();
    assert_eq!(world.status.phase, Phase::Failed);
    let rollback = world.status.rollback.clone().unwrap();
    assert_eq!(
        (rollback.reason, rollback.to),
        (FailureReason::DeadlineExceeded, None)
    );
}

#[test]
fn a_failed_object_takes_the_release_back_at_once_and_a_slow_one_at_the_timeout() {
    let mut world = World::verified("a");
    world.bad.insert("b".into());
    world.ask("b");
    world.settle();
    assert_eq!(
        world.status.rollback.as_ref().unwrap().reason,
        FailureReason::Unhealthy
    );

    let mut world = World::verified("a");
    world.healthy = false;
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    world.pass_time(15 * 60);
    world.healthy = false;
    world.step();
    assert_eq!(world.status.phase, Phase::RollingBack);
    assert_eq!(
        world.status.rollback.as_ref().unwrap().reason,
        FailureReason::DeadlineExceeded
    );
}

fn gate(then: Then) -> GatePolicy {
    let unknown = UnknownPolicy {
        then,
        consecutive_limit: 2,
        deadline: Duration::from_mins(1),
    };
    GatePolicy {
        name: "slo".into(),
        interval: Duration::from_secs(10),
        initial_delay: Duration::ZERO,
        success_count: 2,
        failure_limit: 0,
        on_no_data: unknown,
        on_error: unknown,
        mode: Mode::Enforce,
        method: crate::gate::Method::Readings,
    }
}

fn gated(then: Then) -> World {
    let mut world = World::verified("a");
    world.plan.gates = vec![gate(then)];
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    world
}

fn read(world: &mut World, result: Result) {
    world.pass_time(10);
    world.readings.push(Reading::new("slo", world.now, result));
}

#[test]
fn own_gates_must_pass_before_the_release_is_verified() {
    let mut world = gated(Then::Hold);
    read(&mut world, Result::Pass { value: "1".into() });
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    read(&mut world, Result::Pass { value: "1".into() });
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(world.status.verdict, Some(Verdict::Pass));
}

#[test]
fn a_failed_gate_takes_the_release_back() {
    let mut world = gated(Then::Hold);
    read(
        &mut world,
        Result::Fail {
            value: "9".into(),
            why: "9 is above 5".into(),
        },
    );
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    let rollback = world.status.rollback.clone().unwrap();
    assert_eq!(rollback.reason, FailureReason::GateFailed);
    assert!(rollback.message.contains("9 is above 5"));
}

#[test]
fn absent_data_holds_and_only_its_own_policy_takes_back() {
    for (then, end) in [
        (Then::Hold, Phase::Verifying),
        (Then::RollBack, Phase::Rejected),
    ] {
        let mut world = gated(then);
        for _ in 0..20 {
            read(
                &mut world,
                Result::NoData {
                    why: "empty".into(),
                },
            );
            world.settle();
        }
        assert_eq!(world.status.phase, end);
    }
}

#[test]
fn doubts_about_gates_are_shown_and_change_nothing() {
    let mut world = World::verified("a");
    world.plan.doubts = vec!["the range is short".into()];
    world.settle();
    let shown = |world: &World| {
        let mut conditions = world.status.conditions.iter();
        conditions.any(|condition| condition.kind == "GatesDoubtful")
    };
    assert!(shown(&world));
    assert_eq!(world.status.phase, Phase::Verified);
    world.plan.doubts.clear();
    world.settle();
    assert!(!shown(&world));
}

#[test]
fn a_template_with_other_configuration_is_told_from_what_was_rejected_before() {
    let bare = digest("v2");
    let with = |config: &str| Version {
        digest: Digest::of(&serde_json::json!([bare, config])),
        bare: Some(bare.clone()),
        ..version("v2")
    };
    let mut status = rollout("web", RolloutPhase::Rejected, "v1").status;
    status.quarantine = vec![Entry {
        digest: with("one").digest,
        version: "v2".into(),
        reason: "worse".into(),
        since: Timestamp::UNIX_EPOCH,
        cause: crate::quarantine::Cause::default(),
        bare: Some(bare.clone()),
    }];
    let standing = |status: &RolloutStatus| standing(status, &bare);
    assert!(matches!(standing(&status), Standing::Rejected(_)));
    // While its configuration changes, and while it is on trial with another one, nothing is decided.
    status.waiting_for = Some(Waiting {
        reason: crate::rollout::reason::CONFIG.into(),
        message: "gathered".into(),
        since: Timestamp::UNIX_EPOCH,
    });
    assert!(matches!(standing(&status), Standing::Moving(_)));
    // As the stable version it is verified, whatever it was rejected with before.
    status.waiting_for = None;
    status.phase = RolloutPhase::Healthy;
    status.stable = Some(with("two"));
    assert!(matches!(standing(&status), Standing::Verified));
}
