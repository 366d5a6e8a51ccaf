//! Behaviour of decisions in a small world that carries out their effects.

mod acts;
mod cluster;
mod dependencies;
mod histories;
mod promoted;
mod promotion;
mod publish;
mod requested;
mod verification;
mod world;

use world::{World, content, object};

use super::*;
use crate::{
    action::{Outcome, Verb},
    condition::Truth,
    release::{
        budget::Budget,
        observed::{Altered, Asked, Contest, Fault},
        plan::{DeletionPolicy, DriftMode},
        status::{FailureReason, Signature, SignedObject},
    },
};

fn truth(world: &World, kind: &str) -> Option<Truth> {
    let conditions = &world.status.conditions;
    conditions.iter().find(|c| c.kind == kind).map(|c| c.status)
}

#[test]
fn first_content_is_rehearsed_recorded_applied_and_then_verified() {
    let mut world = World::default();
    world.ask("a");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(world.log, ["rehearse a", "record a", "apply a", "store a"]);
    assert_eq!(truth(&world, "Ready"), Some(Truth::True));
    assert_eq!(truth(&world, "Stalled"), None);
    assert!(world.status.waiting_for.is_none());
}

#[test]
fn nothing_is_pruned_before_the_content_without_it_is_verified() {
    let mut world = World::verified("a");
    world.ask("b");
    world.healthy = false;
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    assert!(world.has("own-a") && world.has("own-b"));
    world.healthy = true;
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert!(!world.has("own-a") && world.has("own-b"));
}

#[test]
fn content_that_cannot_be_applied_changes_nothing_and_is_reported() {
    let mut world = World::verified("a");
    world.refuse(
        "b",
        Fault::Content,
        "deploy.yaml: Deployment shop/web: spec.selector is immutable",
    );
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Refused);
    assert_eq!(world.log, ["rehearse b"]);
    assert_eq!(truth(&world, "Stalled"), Some(Truth::True));
    let refused = world.status.refused.clone().unwrap();
    assert!(refused.message.contains("deploy.yaml") && refused.permanent);
    let verified = world.status.verified.clone().unwrap();
    assert_eq!(verified.content.digest, content("a").digest);
    world.restart();
    world.settle();
    assert_eq!(
        world.log,
        ["rehearse b"],
        "a permanent refusal is not tried again"
    );
}

#[test]
fn a_refusal_by_the_environment_is_tried_again_and_ends_by_itself() {
    let mut world = World::verified("a");
    world.refuse("b", Fault::Environment, "forbidden");
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Refused);
    world.accept("b");
    world.pass_time(60);
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(world.status.refused, None);
}

#[test]
fn broken_content_is_refused_and_going_back_in_the_source_ends_it() {
    let mut world = World::verified("a");
    world.asked = Asked::Broken {
        revision: "main@sha1:bad".into(),
        message: "web.yaml: not YAML".into(),
    };
    world.settle();
    assert_eq!(world.status.phase, Phase::Refused);
    assert_eq!(world.status.target.as_ref().unwrap().content, content("a"));
    world.ask("a");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn an_unsigned_revision_is_refused_and_a_signature_or_a_key_for_it_ends_that() {
    let mut world = World::verified("a");
    world.asked = Asked::Unverified {
        revision: "main@sha1:bad".into(),
        message: "commit bad is not accepted: it is not signed".into(),
    };
    world.settle();
    assert_eq!(world.status.phase, Phase::Refused);
    assert_eq!(world.status.target.as_ref().unwrap().content, content("a"));
    assert_eq!(truth(&world, "SourceVerified"), Some(Truth::False));
    assert!(world.log.is_empty(), "{:?}", world.log);
    // What is not known to a new process changes nothing about it.
    world.asked = Asked::Unknown;
    world.settle();
    assert_eq!(truth(&world, "SourceVerified"), Some(Truth::False));
    let mut signed = content("b");
    signed.signatures = vec![Signature {
        object: SignedObject::Commit,
        key: "SSH SHA256:abc".into(),
        signer: "ada".into(),
    }];
    world.asked = Asked::Content(signed);
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(truth(&world, "SourceVerified"), Some(Truth::True));
    // Without verification there is nothing to say.
    world.ask("b");
    world.settle();
    assert_eq!(truth(&world, "SourceVerified"), None);
}

#[test]
fn a_new_commit_with_quarantined_content_changes_nothing() {
    let mut world = World::verified("a");
    world.bad.insert("b".into());
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    world.log.clear();
    let mut again = content("b");
    again.revision = "main@sha1:later".into();
    world.asked = Asked::Content(again);
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    assert_eq!(
        world.status.asked.as_ref().unwrap().revision,
        "main@sha1:later"
    );
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_fixing_commit_goes_through() {
    let mut world = World::verified("a");
    world.bad.insert("b".into());
    world.ask("b");
    world.settle();
    world.ask("c");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert!(world.has("own-c") && !world.has("own-a") && !world.has("own-b"));
}

#[test]
fn without_a_source_the_last_state_runs_on_and_a_rollback_still_works() {
    let mut world = World::verified("a");
    world.bad.insert("b".into());
    world.healthy = false;
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    world.asked = Asked::Unavailable {
        since: world.now,
        message: "connection refused".into(),
    };
    world.healthy = true;
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    assert!(world.has("own-a") && !world.has("own-b"));
    assert_eq!(truth(&world, "SourceAvailable"), Some(Truth::False));
}

#[test]
fn drift_is_corrected_reported_or_left_when_somebody_fights_back() {
    let mut world = World::verified("a");
    world.drift("own-a", Contest::Quiet);
    world.settle();
    assert_eq!(world.log, ["correct own-a"]);
    world.log.clear();

    world.plan.drift = DriftMode::Report;
    world.drift("own-a", Contest::Quiet);
    world.step();
    assert_eq!(truth(&world, "Drifted"), Some(Truth::True));
    assert!(world.log.is_empty());

    world.plan.drift = DriftMode::Off;
    world.step();
    assert_eq!(truth(&world, "Drifted"), None);
    assert!(world.log.is_empty());

    world.plan.drift = DriftMode::Correct;
    let until = world.after(60);
    world.drift("own-a", Contest::Fought { until });
    let wake_at = world.step();
    assert_eq!(wake_at, Some(until));
    assert_eq!(truth(&world, "Drifted"), Some(Truth::True));
    assert!(world.log.is_empty());
}

#[test]
fn what_the_cluster_changes_on_the_way_in_is_told_and_not_applied_again() {
    let mut world = World::verified("a");
    world.altered = vec![Altered {
        object: object("own-a"),
        pointers: vec!["/spec/replicas".into()],
    }];
    world.settle();
    assert_eq!(truth(&world, "Drifted"), Some(Truth::True));
    assert!(world.log.is_empty(), "{:?}", world.log);
    // What can be put right comes first.
    world.drift("own-b", Contest::Quiet);
    world.settle();
    assert_eq!(world.log, ["correct own-b"]);
    world.altered.clear();
    world.settle();
    assert_eq!(truth(&world, "Drifted"), None);
}

#[test]
fn changes_that_would_not_be_seen_are_told() {
    let mut world = World::verified("a");
    world.unwatched = Some("ConfigMaps can't be watched".into());
    world.settle();
    assert_eq!(truth(&world, "Drifted"), Some(Truth::Unknown));
    world.unwatched = None;
    world.settle();
    assert_eq!(truth(&world, "Drifted"), None);
}

#[test]
fn a_suspended_release_writes_nothing() {
    let mut world = World::verified("a");
    world.plan.suspension = Suspension::Suspended;
    world.drift("own-a", Contest::Quiet);
    world.ask("b");
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);
    assert_eq!(
        world.status.waiting_for.as_ref().unwrap().reason,
        "Suspended"
    );
}

#[test]
fn a_refused_spec_stalls_and_what_runs_stays() {
    let mut world = World::verified("a");
    world.plan_error = Some("template shop-slo does not exist".into());
    world.ask("b");
    world.settle();
    assert!(world.log.is_empty());
    assert_eq!(truth(&world, "Stalled"), Some(Truth::True));
    world.plan_error = None;
    world.settle();
    assert_eq!(world.status.target.as_ref().unwrap().content, content("b"));
}

#[test]
fn deletion_gives_the_objects_up_first_and_is_bounded() {
    let mut world = World::verified("a");
    world.lifecycle = Lifecycle::Deleting {
        since: world.now,
        policy: DeletionPolicy::Delete,
    };
    world.settle();
    assert_eq!(world.log, ["abandon Delete", "finish"]);

    let mut world = World::verified("a");
    world.stuck = true;
    world.lifecycle = Lifecycle::Deleting {
        since: world.now,
        policy: DeletionPolicy::Delete,
    };
    world.settle();
    assert!(
        world
            .status
            .waiting_for
            .as_ref()
            .unwrap()
            .message
            .contains("finalizer")
    );
    world.pass_time(3600);
    world.settle();
    assert_eq!(world.log.last().unwrap(), "finish");
}

#[test]
fn more_than_the_budget_is_pruned_only_on_a_persons_word() {
    let mut world = World::verified("a");
    world.plan.prune_budget = Budget {
        objects: 0,
        percent: 0,
    };
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert!(world.has("own-a"));
    let waiting = world.status.waiting_for.clone().unwrap();
    assert_eq!(waiting.reason, "PruneApproval");
    assert!(
        waiting.message.contains("1 of 3 objects") && waiting.message.contains("shop/own-a"),
        "{}",
        waiting.message
    );
    // A restart does not forget what was asked, and nothing goes by itself.
    world.restart();
    world.pass_time(3600);
    world.settle();
    assert!(world.has("own-a"));

    world.act(Verb::Approve);
    world.settle();
    assert!(!world.has("own-a"));
    assert!(world.status.large_prune.is_none() && world.status.waiting_for.is_none());
}

#[test]
fn an_approval_is_for_one_version() {
    let mut world = World::verified("a");
    world.plan.prune_budget = Budget {
        objects: 0,
        percent: 0,
    };
    world.act(Verb::Approve);
    world.settle();
    assert_eq!(
        world.status.actions.last().unwrap().outcome,
        Outcome::Refused
    );
    world.ask("b");
    world.settle();
    // Back to the version with the object: the question is no longer asked.
    world.ask("a");
    world.settle();
    assert!(world.has("own-a") && world.has("own-b"));
    let large = world.status.large_prune.clone().unwrap();
    assert_eq!(large.first, ["ConfigMap shop/own-b"]);
    assert_eq!(large.approved_by, None);
}

#[test]
fn a_wave_that_is_not_healthy_in_time_fails_the_version() {
    let mut world = World::verified("a");
    world
        .waves
        .insert("b".into(), "waits for Deployment shop/web: no pods".into());
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Applying);
    let waiting = world.status.waiting_for.clone().unwrap();
    assert_eq!(waiting.reason, "Wave");
    assert!(waiting.message.contains("shop/web"), "{}", waiting.message);
    world.pass_time(16 * 60);
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    let rollback = world.status.rollback.clone().unwrap();
    assert_eq!(rollback.reason, FailureReason::DeadlineExceeded);

    let mut world = World::verified("a");
    world.waves.insert("b".into(), "waits".into());
    world.ask("b");
    world.settle();
    world.waves.clear();
    world.pass_time(20);
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
}
