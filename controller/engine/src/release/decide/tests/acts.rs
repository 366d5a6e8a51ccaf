//! What people ask for.

use super::world::{World, content};
use crate::{
    action::{Outcome, Verb},
    quarantine,
    release::status::{FailureReason, Phase},
};

fn outcome(world: &World) -> Outcome {
    world.status.actions.last().unwrap().outcome
}

fn rejected() -> World {
    let mut world = World::verified("a");
    world.bad.insert("b".into());
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    world.log.clear();
    world
}

#[test]
fn retry_lifts_the_quarantine_and_tries_again() {
    let mut world = rejected();
    world.bad.clear();
    world.act(Verb::Retry);
    world.settle();
    assert_eq!(outcome(&world), Outcome::Accepted);
    assert_eq!(world.status.phase, Phase::Verified);
    assert!(quarantine::find(&world.status.quarantine, &content("b").digest).is_none());
}

#[test]
fn a_quarantine_with_an_end_is_over_then_and_begins_anew_with_the_next_failure() {
    let hour = std::time::Duration::from_hours(1);
    let mut world = rejected();
    world.plan.quarantine_ends_after = Some(hour);
    // Not a moment before,
    world.pass_time(1);
    let wake_at = world.step().unwrap();
    assert!(wake_at > world.after(3_500) && wake_at <= world.after(3_600));
    assert!(world.log.is_empty(), "{:?}", world.log);
    // then it is tried again, and fails again, and rests for as long again.
    world.now = wake_at;
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    assert!(world.log.contains(&"apply b".to_owned()), "{:?}", world.log);
    let entry = quarantine::find(&world.status.quarantine, &content("b").digest).unwrap();
    assert!(entry.since >= wake_at);
    world.log.clear();
    // What is mended outside of the source is in after the next time.
    world.bad.clear();
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);
    world.pass_time(3_700);
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(
        world.status.target.as_ref().unwrap().content.digest,
        content("b").digest
    );
}

#[test]
fn an_end_of_quarantine_tries_nothing_that_is_no_longer_asked_for() {
    let mut world = rejected();
    world.plan.quarantine_ends_after = Some(std::time::Duration::from_mins(1));
    world.ask("c");
    world.settle();
    world.log.clear();
    world.pass_time(3_600);
    world.settle();
    assert!(
        !world.log.iter().any(|line| line.contains("apply")),
        "{:?}",
        world.log
    );
}

#[test]
fn what_a_person_took_back_is_not_tried_again_by_time() {
    let mut world = World::verified("a");
    world.plan.quarantine_ends_after = Some(std::time::Duration::from_mins(1));
    world.ask("b");
    world.settle();
    world.act(Verb::Undo);
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    world.log.clear();
    world.pass_time(3_600);
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    assert!(world.log.is_empty(), "{:?}", world.log);
    world.act(Verb::Retry);
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
}

#[test]
fn a_first_version_that_failed_is_tried_again_when_its_quarantine_ends() {
    let mut world = World::default();
    world.plan.quarantine_ends_after = Some(std::time::Duration::from_mins(5));
    world.bad.insert("a".into());
    world.ask("a");
    world.settle();
    assert_eq!(world.status.phase, Phase::Failed);
    world.bad.clear();
    world.pass_time(301);
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
}

#[test]
fn retry_of_refused_content_rehearses_it_again() {
    let mut world = World::verified("a");
    world.refuse("b", crate::release::observed::Fault::Content, "immutable");
    world.ask("b");
    world.settle();
    world.accept("b");
    world.act(Verb::Retry);
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
}

#[test]
fn retry_of_what_runs_is_refused() {
    let mut world = World::verified("a");
    world.act(Verb::Retry);
    world.settle();
    assert_eq!(outcome(&world), Outcome::Refused);
}

#[test]
fn abort_takes_back_what_is_being_brought_in() {
    let mut world = World::verified("a");
    world.healthy = false;
    world.ask("b");
    world.settle();
    world.act(Verb::Abort);
    world.healthy = true;
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    let rollback = world.status.rollback.clone().unwrap();
    assert_eq!(rollback.reason, FailureReason::Aborted);
    assert!(rollback.message.contains("jane"));
}

#[test]
fn undo_brings_the_verified_version_before_back_and_git_cannot_change_that() {
    let mut world = World::verified("a");
    world.ask("b");
    world.settle();
    world.act(Verb::Undo);
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    assert_eq!(world.status.target.as_ref().unwrap().content, content("a"));
    assert!(world.has("own-a") && !world.has("own-b"));
    world.act(Verb::Undo);
    world.settle();
    assert_eq!(outcome(&world), Outcome::Refused);
}

#[test]
fn pause_holds_everything_and_resume_goes_on() {
    let mut world = World::verified("a");
    world.act(Verb::Pause);
    world.ask("b");
    world.settle();
    assert!(world.log.is_empty());
    assert!(
        world
            .status
            .waiting_for
            .as_ref()
            .unwrap()
            .message
            .contains("jane")
    );
    world.act(Verb::Resume);
    world.settle();
    assert_eq!(world.status.target.as_ref().unwrap().content, content("b"));
}

#[test]
fn verbs_of_steps_are_refused_with_advice() {
    for verb in [Verb::Approve, Verb::Promote, Verb::Skip] {
        let mut world = World::verified("a");
        world.act(verb);
        world.settle();
        assert_eq!(outcome(&world), Outcome::Refused);
        assert!(world.status.actions[0].message.contains("Rollout"));
        assert!(
            world.actions.is_empty(),
            "the receipt was copied to the Action"
        );
    }
}

#[test]
fn an_act_for_another_version_is_refused() {
    let mut world = rejected();
    world.act(Verb::Retry);
    world.actions[0].version = Some("main@sha1:other".into());
    world.settle();
    assert_eq!(outcome(&world), Outcome::Refused);
    world.act(Verb::Retry);
    world.actions[0].version = Some(content("b").digest.short());
    world.settle();
    assert_eq!(outcome(&world), Outcome::Accepted);
}
