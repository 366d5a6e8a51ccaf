//! A look at the source that a person asked for.

use super::world::World;
use crate::release::{observed::Fault, plan::Suspension, requested::LookRequest, status::Phase};

fn pending(request: &str) -> LookRequest {
    LookRequest::Pending {
        request: request.to_owned(),
    }
}

fn answered(request: &str) -> LookRequest {
    LookRequest::Answered {
        request: request.to_owned(),
    }
}

fn handled(world: &World) -> Option<&str> {
    let reconciled = world.status.reconciled.as_ref();
    reconciled.map(|reconciled| reconciled.request.as_str())
}

#[test]
fn a_request_is_handled_once_the_source_was_looked_at_and_not_before() {
    // given a verified version, and a request
    let mut world = World::verified("a");
    world.look = pending("one");
    world.settle();
    assert_eq!(handled(&world), None);

    // when the look shows something new
    world.ask("b");
    world.look = answered("one");
    world.step();

    // then one status says both, and what is new is brought in
    assert_eq!(handled(&world), Some("one"));
    assert!(
        world
            .status
            .asked
            .as_ref()
            .is_some_and(|asked| asked.revision.ends_with('b'))
    );
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);

    // and the same request again, or none, changes nothing
    let before = world.status.clone();
    for look in [answered("one"), LookRequest::None] {
        world.look = look;
        world.pass_time(60);
        world.settle();
        assert_eq!(world.status, before);
    }
}

#[test]
fn a_request_has_what_failed_tried_again_at_once() {
    // given content that waits for its next try, minutes away
    let mut world = World::verified("a");
    world.refuse("b", Fault::Environment, "quota");
    world.ask("b");
    world.settle();
    world.accept("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Refused);

    // when somebody asks for a look, then it is tried without waiting
    world.look = answered("now");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
}

#[test]
fn nobody_waits_for_the_look_of_a_suspended_release() {
    let mut world = World::verified("a");
    world.plan.suspension = Suspension::Suspended;
    world.look = pending("one");
    world.settle();
    assert_eq!(handled(&world), Some("one"));
}
