//! New content waits for the Releases that it depends on; nothing else does.

use super::{
    truth,
    world::{World, content},
};
use crate::{
    action::Verb,
    condition::Truth,
    release::{
        composition::{Kinship, Peer, PeerKey, Shown, Stay, View},
        observed::{Contest, Lifecycle},
        plan::DeletionPolicy,
        status::{Phase, ReleaseStatus, Verified},
    },
};

fn key(name: &str) -> PeerKey {
    PeerKey {
        namespace: "infra".into(),
        name: name.into(),
    }
}

/// A Release that has verified `name`.
fn verified(name: &str, kinship: Kinship) -> Shown {
    let verified = Verified {
        content: content(name),
        at: jiff::Timestamp::UNIX_EPOCH,
        earlier_revisions: Vec::new(),
        started_at: None,
    };
    Shown {
        generation: 3,
        stay: Stay::Active,
        kinship,
        status: ReleaseStatus {
            observed_generation: Some(3),
            asked_generation: Some(3),
            phase: Phase::Verified,
            verified: Some(verified.clone()),
            history: vec![verified],
            ..ReleaseStatus::default()
        },
    }
}

impl World {
    fn depend(&mut self, on: &str, view: View) {
        self.plan.composition.depends_on = vec![key(on)];
        self.peers.peers = vec![Peer { key: key(on), view }];
    }

    fn waits_for(&self) -> (String, String) {
        let waiting = self.status.waiting_for.clone().unwrap();
        (waiting.reason, waiting.message)
    }
}

fn shown(shown: Shown) -> View {
    View::Shown(Box::new(shown))
}

#[test]
fn new_content_is_neither_tried_out_nor_applied_before_its_dependency_is_verified() {
    let mut world = World::verified("a");
    let mut database = verified("f", Kinship::Foreign);
    database.status.phase = Phase::Verifying;
    world.depend("database", shown(database.clone()));
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Waiting);
    assert!(world.log.is_empty(), "{:?}", world.log);
    assert_eq!(truth(&world, "Reconciling"), Some(Truth::True));
    let (reason, message) = world.waits_for();
    assert_eq!(reason, "Dependency");
    assert_eq!(
        message,
        "main@b waits for Release infra/database, which is Verifying; goes on when it is verified"
    );
    database.status.phase = Phase::Verified;
    world.depend("database", shown(database));
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert!(world.has("own-b"));
}

#[test]
fn the_first_content_waits_too() {
    let mut world = World::default();
    let mut database = verified("f", Kinship::Foreign);
    database.status.phase = Phase::Applying;
    world.depend("database", shown(database));
    world.ask("a");
    world.settle();
    assert_eq!(world.status.phase, Phase::Waiting);
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_dependency_counts_with_its_newest_spec_only() {
    let mut world = World::verified("a");
    world.ask("b");
    for stale in [
        |status: &mut ReleaseStatus| status.observed_generation = Some(2),
        |status: &mut ReleaseStatus| status.asked_generation = Some(2),
    ] {
        let mut database = verified("f", Kinship::Foreign);
        stale(&mut database.status);
        world.depend("database", shown(database));
        world.settle();
        assert!(world.waits_for().1.contains("newest spec"));
        assert!(world.log.is_empty(), "{:?}", world.log);
    }
}

#[test]
fn one_commit_that_changes_both_reaches_the_dependency_first() {
    let mut world = World::verified("a");
    world.ask("b");
    // Given a dependency that follows the same branch and has verified the commit before.
    world.depend("database", shown(verified("a", Kinship::SameReference)));
    world.settle();
    assert!(world.log.is_empty(), "{:?}", world.log);
    assert!(world.waits_for().1.contains("main@a of the same source"));
    // When it has verified the same commit, or the same content under a newer one, then it goes on.
    let mut database = verified("c", Kinship::SameReference);
    for known in &mut database.status.history {
        known.earlier_revisions = vec![content("b").revision];
    }
    world.depend("database", shown(database));
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
    assert!(world.has("own-b"));
}

#[test]
fn a_dependency_that_has_gone_past_the_commit_is_no_obstacle() {
    let mut world = World::verified("a");
    world.ask("b");
    let mut database = verified("c", Kinship::SameReference);
    let older = verified("b", Kinship::SameReference);
    database.status.history.splice(0..0, older.status.history);
    world.depend("database", shown(database));
    world.settle();
    assert_eq!(world.status.phase, Phase::Verified);
}

#[test]
fn what_is_missing_or_hidden_stalls_with_a_sentence_that_says_what_to_write() {
    let mut world = World::verified("a");
    world.ask("b");
    world.depend("database", View::Missing);
    world.settle();
    assert_eq!(world.status.phase, Phase::Waiting);
    assert_eq!(truth(&world, "Stalled"), Some(Truth::True));
    assert_eq!(
        world.waits_for(),
        (
            "DependencyMissing".into(),
            "main@b waits for Release infra/database, which does not exist; create it, or take it out of dependsOn"
                .into()
        )
    );
    world.depend(
        "database",
        View::Hidden {
            reader: "shop".into(),
        },
    );
    world.settle();
    assert!(
        world
            .waits_for()
            .1
            .contains("shop in its spec.readableFrom")
    );
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_ring_is_named_whole() {
    let mut world = World::verified("a");
    world.ask("b");
    world.depend("database", shown(verified("a", Kinship::Foreign)));
    world.peers.ring = vec![key("shop"), key("database"), key("shop")];
    world.settle();
    let (reason, message) = world.waits_for();
    assert_eq!(reason, "DependencyRing");
    assert!(
        message.contains("infra/shop → infra/database → infra/shop"),
        "{message}"
    );
    assert_eq!(truth(&world, "Stalled"), Some(Truth::True));
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn a_rollback_a_correction_and_a_deletion_never_wait() {
    let mut world = World::verified("a");
    world.bad.insert("b".into());
    world.healthy = false;
    world.ask("b");
    world.settle();
    assert_eq!(world.status.phase, Phase::Verifying);
    world.depend("database", View::Missing);
    world.healthy = true;
    world.settle();
    assert_eq!(world.status.phase, Phase::Rejected);
    assert!(world.has("own-a") && !world.has("own-b"));

    world.log.clear();
    world.drift("own-a", Contest::Quiet);
    world.settle();
    assert_eq!(world.log, ["correct own-a"]);

    let mut world = World::verified("a");
    world.depend("database", View::Missing);
    world.ask("b");
    world.settle();
    world.lifecycle = Lifecycle::Deleting {
        since: world.now,
        policy: DeletionPolicy::Delete,
    };
    world.settle();
    assert_eq!(world.log, ["abandon Delete", "finish"]);
}

#[test]
fn an_undo_works_while_newer_content_waits() {
    let mut world = World::verified("a");
    world.ask("b");
    world.settle();
    world.depend("database", View::Missing);
    world.ask("c");
    world.settle();
    assert_eq!(world.status.phase, Phase::Waiting);
    world.act(Verb::Undo);
    world.settle();
    assert!(world.has("own-a") && !world.has("own-b"));
    assert_eq!(world.status.phase, Phase::Waiting);
}
