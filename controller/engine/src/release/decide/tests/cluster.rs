//! Objects in another cluster: while it is away, and when the spec means yet another one.

use super::{truth, world::World};
use crate::{
    condition::Truth,
    release::{
        cluster::{ClusterId, Reached},
        observed::Lifecycle,
        plan::DeletionPolicy,
        status::Phase,
    },
};

fn id(uid: &str) -> ClusterId {
    ClusterId {
        uid: Some(uid.to_owned()),
        address: format!("address-{uid}"),
    }
}

fn answers(world: &World, uid: &str) -> Reached {
    Reached::Remote {
        id: id(uid),
        since: world.now,
    }
}

fn away(world: &World) -> Reached {
    Reached::Away {
        since: world.now,
        message: "the connection is refused".to_owned(),
    }
}

/// A Release whose first version is verified in another cluster.
fn elsewhere() -> World {
    let mut world = World::default();
    world.reached = answers(&world, "east");
    world.ask("a");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(world.status.cluster, Some(id("east")));
    world
}

fn delete(world: &mut World, policy: DeletionPolicy) {
    world.lifecycle = Lifecycle::Deleting {
        since: world.now,
        policy,
    };
}

#[test]
fn while_the_cluster_is_away_nothing_is_done_and_nothing_is_taken_back() {
    // given a new version on its way in another cluster
    let mut world = elsewhere();
    world.healthy = false;
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    // when the cluster is away for longer than health may take
    world.reached = away(&world);
    world.log.clear();
    world.settle();
    world.pass_time(3600);
    world.settle();
    // then it is told, and nothing else happened
    assert_eq!(world.log, Vec::<String>::new());
    assert_eq!(world.status.phase, Phase::Verifying);
    assert_eq!(truth(&world, "Ready"), Some(Truth::Unknown));
    assert_eq!(truth(&world, "ClusterReachable"), Some(Truth::False));
    assert!(world.has("own-a") && world.has("own-b"));
    // and when it answers again, then it has as much time as ever
    world.reached = answers(&world, "east");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    assert!(world.status.unreachable.is_none());
    world.healthy = true;
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(truth(&world, "ClusterReachable"), Some(Truth::True));
}

#[test]
fn a_verified_version_stays_verified_while_its_cluster_is_away_but_is_not_ready() {
    let mut world = elsewhere();
    let verified = world.status.verified.clone();
    world.reached = away(&world);
    world.ask("b");
    world.settle();
    assert_eq!(truth(&world, "Ready"), Some(Truth::Unknown));
    assert_eq!(world.status.verified, verified);
    let waiting = world.status.waiting_for.clone().unwrap();
    assert_eq!(waiting.reason, "ClusterUnreachable");
    assert!(
        waiting.message.contains("the connection is refused"),
        "{}",
        waiting.message
    );
}

#[test]
fn objects_of_one_cluster_are_never_looked_for_in_another() {
    for means in ["west", "home"] {
        // given objects in one cluster, when the spec means another one
        let mut world = elsewhere();
        world.reached = match means {
            "home" => Reached::Home,
            other => answers(&world, other),
        };
        world.log.clear();
        world.ask("b");
        world.settle();
        // then that is refused, and nothing is written anywhere
        assert_eq!(world.log, Vec::<String>::new());
        assert_eq!(truth(&world, "Stalled"), Some(Truth::True));
        assert_eq!(world.status.cluster, Some(id("east")));
        let waiting = world.status.waiting_for.clone().unwrap();
        assert_eq!(waiting.reason, "ClusterChanged");
        // and with the former cluster it goes on
        world.reached = answers(&world, "east");
        world.settle();
        assert_eq!(world.status.phase, Phase::Verified);
        assert!(world.has("own-b") && !world.has("own-a"));
    }
    // The same when there was none.
    let mut world = World::verified("a");
    world.reached = answers(&world, "east");
    world.log.clear();
    world.settle();
    assert_eq!(truth(&world, "Stalled"), Some(Truth::True));
    assert!(world.log.is_empty() && world.status.cluster.is_none());
}

#[test]
fn a_cluster_with_a_new_address_is_the_same_and_one_without_objects_may_be_another() {
    let mut world = elsewhere();
    let moved = ClusterId {
        address: "elsewhere".to_owned(),
        ..id("east")
    };
    world.reached = Reached::Remote {
        id: moved.clone(),
        since: world.now,
    };
    world.settle();
    assert_eq!(world.status.cluster, Some(moved));
    assert_eq!(truth(&world, "Ready"), Some(Truth::True));

    let mut world = World::default();
    world.reached = answers(&world, "east");
    world.settle();
    world.reached = answers(&world, "west");
    world.settle();
    assert_eq!(world.status.cluster, Some(id("west")));
}

#[test]
fn deletion_waits_for_a_cluster_that_is_away_unless_its_objects_are_to_stay() {
    // given a cluster that is away
    let mut world = elsewhere();
    world.reached = away(&world);
    delete(&mut world, DeletionPolicy::Delete);
    world.settle();
    // when objects are to be deleted, then the Release waits, longer than for a finalizer
    world.pass_time(24 * 3600);
    world.settle();
    assert!(!world.finished && world.has("own-a"));
    let message = world.status.waiting_for.clone().unwrap().message;
    assert!(message.contains("deletionPolicy: Orphan"), "{message}");
    // and when the cluster is back after a day, then they are deleted
    world.reached = answers(&world, "east");
    world.settle();
    assert!(world.finished && !world.has("own-a"));
    // When they are to stay, then the Release goes without them.
    let mut world = elsewhere();
    world.reached = away(&world);
    delete(&mut world, DeletionPolicy::Orphan);
    world.settle();
    assert!(world.finished && world.has("own-a"));
}
