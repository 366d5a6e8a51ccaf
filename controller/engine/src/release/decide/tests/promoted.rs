//! What goes on by a person's word, what comes of it here, and what a new spec changes.

use super::{
    promotion::{MINUTE, Staging},
    world::World,
};
use crate::{
    action::{Outcome, Verb},
    release::{observed::Asked, plan::Suspension, status::Phase},
};

#[test]
fn a_person_may_promote_without_waiting_and_it_is_on_record() {
    let mut world = World::verified("a");
    world.ask("c");
    world.after_staging(60, Staging::verified(&[("b", world.now)]));
    world.settle();
    world.act(Verb::Promote);
    world.settle();
    assert_eq!(world.runs(), "c");
    let receipt = world.status.actions.last().unwrap();
    assert_eq!(
        (receipt.outcome, receipt.actor.as_str()),
        (Outcome::Accepted, "jane")
    );
    let chosen = world.status.promotion.clone().unwrap().chosen.unwrap();
    assert_eq!(chosen.overridden.unwrap().by, "jane");
    // What becomes ripe later but was verified before that is older, and changes nothing.
    world.pass_time(60 * MINUTE);
    world.settle();
    assert_eq!(world.runs(), "c");
    // Newer content goes its usual way.
    world.ask("d");
    world.after_staging(
        60,
        Staging::verified(&[("b", world.after(-6000)), ("d", world.now)]),
    );
    world.pass_time(60 * MINUTE);
    world.settle();
    assert_eq!(world.runs(), "d");
    assert_eq!(
        world
            .status
            .promotion
            .clone()
            .unwrap()
            .chosen
            .unwrap()
            .overridden,
        None
    );
}

#[test]
fn a_person_may_promote_a_commit_that_is_still_on_its_way() {
    let mut world = World::verified("a");
    world.ask("c");
    world.after_staging(60, Staging::verified(&[("b", world.now)]));
    world.act(Verb::Promote);
    world.actions[0].version = Some("b".into());
    world.settle();
    assert_eq!(world.runs(), "b");
    world.act(Verb::Promote);
    world.actions[0].version = Some("nonsense".into());
    world.settle();
    assert_eq!(
        world.status.actions.last().unwrap().outcome,
        Outcome::Refused
    );
}

#[test]
fn what_failed_here_stays_rejected_until_something_newer_has_been_verified() {
    let mut world = World::verified("a");
    let start = world.now;
    world.ask("b");
    world.bad.insert("b".into());
    world.pass_time(60 * MINUTE);
    world.after_staging(60, Staging::verified(&[("b", start)]));
    world.settle();
    assert_eq!(
        (world.runs().as_str(), world.status.phase),
        ("a", Phase::Rejected)
    );
    world.restart();
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    world.ask("c");
    world.after_staging(60, Staging::verified(&[("b", start), ("c", world.now)]));
    world.pass_time(60 * MINUTE);
    world.settle();
    assert_eq!(
        (world.runs().as_str(), world.status.phase),
        ("c", Phase::Verified)
    );
}

#[test]
fn a_broken_tip_is_nobodys_business_before_it_goes_on() {
    let mut world = World::verified("a");
    let start = world.now;
    world.pass_time(60 * MINUTE);
    world.after_staging(60, Staging::verified(&[("b", start)]));
    world.asked = Asked::Broken {
        revision: "main@sha1:broken".into(),
        message: "not YAML".into(),
    };
    world.settle();
    assert_eq!(
        (world.runs().as_str(), world.status.phase),
        ("b", Phase::Verified)
    );
    assert_eq!(world.status.refused, None);
}

#[test]
fn a_suspended_release_looks_at_nothing() {
    let mut world = World::verified("a");
    let start = world.now;
    world.ask("d");
    world.pass_time(60 * MINUTE);
    world.after_staging(60, Staging::verified(&[("b", start)]));
    world.plan.suspension = Suspension::Suspended;
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);
    assert_eq!(world.runs(), "a");
}

#[test]
fn a_new_spec_is_carried_out_at_the_commit_that_is_here() {
    let mut world = World::verified("a");
    let start = world.now;
    world.ask("d");
    world.pass_time(60 * MINUTE);
    world.after_staging(60, Staging::verified(&[("b", start)]));
    world.settle();
    assert_eq!(world.runs(), "b");
    world.log.clear();
    world.restart();
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);
    world.generation = 2;
    world.settle();
    assert_eq!(world.log, ["look at b"]);
    assert_eq!(world.status.asked_generation, Some(2));
}
