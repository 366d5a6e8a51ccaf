//! What goes on from one environment to the next, and when.

use jiff::{SignedDuration, Timestamp};

use super::{
    truth,
    world::{World, content},
};
use crate::{
    condition::Truth,
    quarantine::Entry,
    release::{
        composition::{Kinship, Peer, PeerKey, Shown, Stay, View},
        observed::Fault,
        promotion::Upstream,
        status::{FailureReason, Phase, ReleaseStatus, Rollback, Verified},
    },
};

pub(super) const MINUTE: i64 = 60;

pub(super) fn key(name: &str) -> PeerKey {
    PeerKey {
        namespace: "shop".into(),
        name: name.into(),
    }
}

/// What another environment has verified: commits with their times, oldest first.
pub(super) struct Staging(Shown);

impl Staging {
    pub(super) fn verified(versions: &[(&str, Timestamp)]) -> Self {
        let history: Vec<Verified> = versions
            .iter()
            .map(|(name, at)| Verified {
                content: content(name),
                at: *at,
                earlier_revisions: Vec::new(),
                started_at: None,
            })
            .collect();
        Self(Shown {
            generation: 1,
            stay: Stay::Active,
            kinship: Kinship::SameReference,
            status: ReleaseStatus {
                phase: Phase::Verified,
                verified: history.last().cloned(),
                history,
                ..ReleaseStatus::default()
            },
        })
    }

    /// The newest version is taken back for the one before.
    pub(super) fn taken_back(mut self, at: Timestamp) -> Self {
        let status = &mut self.0.status;
        let [.., before, last] = &status.history[..] else {
            panic!("two versions are needed");
        };
        status.quarantine = vec![Entry {
            digest: last.content.digest.clone(),
            version: last.content.revision.clone(),
            reason: "undone by jane".into(),
            since: at,
            cause: crate::quarantine::Cause::default(),
            bare: None,
        }];
        status.rollback = Some(Rollback {
            from: last.content.clone(),
            to: Some(before.content.clone()),
            reason: FailureReason::Undone,
            message: "undone by jane".into(),
            at,
        });
        status.verified = Some(before.clone());
        self
    }

    pub(super) fn with(mut self, change: impl FnOnce(&mut Shown)) -> Self {
        change(&mut self.0);
        self
    }
}

impl World {
    pub(super) fn after_staging(&mut self, minutes: i64, staging: Staging) {
        self.follow(&[("staging", minutes, staging)]);
    }

    pub(super) fn follow(&mut self, others: &[(&str, i64, Staging)]) {
        self.plan.composition.after = others
            .iter()
            .map(|(name, minutes, _)| Upstream {
                release: key(name),
                verified_for: SignedDuration::from_mins(*minutes).unsigned_abs(),
            })
            .collect();
        self.peers.peers = others
            .iter()
            .map(|(name, _, staging)| Peer {
                key: key(name),
                view: View::Shown(Box::new(staging.0.clone())),
            })
            .collect();
    }

    pub(super) fn runs(&self) -> String {
        let target = self.status.target.as_ref();
        target.map_or_else(|| "nothing".into(), |target| Self::name(&target.content))
    }

    pub(super) fn says(&self) -> String {
        let waiting = self.status.waiting_for.as_ref();
        waiting.map_or_else(String::new, |waiting| waiting.message.clone())
    }
}

#[test]
fn content_goes_on_when_it_has_been_verified_for_the_whole_time_and_not_a_minute_before() {
    let mut world = World::verified("a");
    world.ask("b");
    let verified_at = world.now;
    let staging = || {
        Staging::verified(&[
            ("a", verified_at - SignedDuration::from_hours(9)),
            ("b", verified_at),
        ])
    };
    world.pass_time(59 * MINUTE);
    world.after_staging(60, staging());
    let wake_at = world.step();
    world.settle();
    assert_eq!(world.runs(), "a");
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(truth(&world, "Ready"), Some(Truth::True));
    assert_eq!(wake_at, Some(verified_at + SignedDuration::from_mins(60)));
    assert!(
        world.says().starts_with("main@b goes on at ")
            && world.says().contains("Release shop/staging stands by it")
            && world.says().ends_with(" for 1h)"),
        "{}",
        world.says()
    );
    world.pass_time(MINUTE);
    world.settle();
    assert_eq!(world.runs(), "b");
    assert_eq!(world.status.phase, Phase::Verified);
    assert_eq!(world.says(), "");
}

#[test]
fn what_nobody_has_verified_is_not_even_tried_out() {
    let mut world = World::default();
    world.ask("b");
    world.after_staging(60, Staging::verified(&[]));
    world.settle();
    assert_eq!(world.status.phase, Phase::Pending);
    assert_eq!(
        world.says(),
        "main@b waits until Release shop/staging has verified it for 1h"
    );
    assert!(world.log.is_empty(), "{:?}", world.log);
}

#[test]
fn the_newest_verified_commit_is_asked_for_although_git_has_moved_on() {
    let mut world = World::verified("a");
    let now = world.now;
    world.ask("d");
    world.after_staging(
        30,
        Staging::verified(&[("b", now), ("c", world.after(40 * MINUTE))]),
    );
    world.pass_time(45 * MINUTE);
    world.settle();
    // b had its time before c came; c is not there yet, and d is not even verified.
    assert_eq!(world.runs(), "b");
    assert!(world.log.contains(&"look at b".to_owned()));
    world.pass_time(25 * MINUTE);
    world.settle();
    assert_eq!(world.runs(), "c");
    assert!(
        world.says().starts_with("main@d waits until"),
        "{}",
        world.says()
    );
}

#[test]
fn a_version_that_was_replaced_too_early_never_goes_on() {
    let mut world = World::verified("a");
    let now = world.now;
    world.ask("c");
    world.after_staging(
        30,
        Staging::verified(&[("b", now), ("c", world.after(20 * MINUTE))]),
    );
    world.pass_time(45 * MINUTE);
    world.settle();
    assert_eq!(world.runs(), "a");
}

#[test]
fn what_is_taken_back_before_it_began_here_does_not_go_on() {
    let mut world = World::verified("a");
    let start = world.now;
    world.ask("b");
    let versions = [("a", start - SignedDuration::from_hours(9)), ("b", start)];
    world.pass_time(60 * MINUTE);
    // Given content that may go on, and is tried out but refused for the moment.
    world.refuse("b", Fault::Environment, "quota");
    world.after_staging(60, Staging::verified(&versions));
    world.settle();
    assert_eq!(world.status.phase, Phase::Refused);
    // When it is taken back elsewhere, then it is not asked for any more.
    world.after_staging(60, Staging::verified(&versions).taken_back(world.now));
    world.accept("b");
    world.pass_time(60 * MINUTE);
    world.settle();
    assert_eq!(
        (world.runs().as_str(), world.status.phase),
        ("a", Phase::Verified)
    );
    assert!(world.says().contains("took it back"), "{}", world.says());
}

#[test]
fn what_has_begun_is_not_left_for_something_older() {
    let mut world = World::verified("a");
    let start = world.now;
    let versions = [("a", start - SignedDuration::from_hours(9)), ("b", start)];
    world.ask("b");
    world.pass_time(60 * MINUTE);
    world.after_staging(60, Staging::verified(&versions));
    world.settle();
    assert_eq!(world.runs(), "b");
    world.after_staging(60, Staging::verified(&versions).taken_back(world.now));
    world.pass_time(600 * MINUTE);
    world.settle();
    assert_eq!(
        (world.runs().as_str(), world.status.phase),
        ("b", Phase::Verified)
    );
}

#[test]
fn a_version_that_came_back_begins_its_time_anew() {
    let mut world = World::verified("f");
    let start = world.now;
    world.ask("a");
    let versions = [("a", start), ("b", world.after(30 * MINUTE))];
    let undone = world.after(40 * MINUTE);
    world.pass_time(99 * MINUTE);
    world.after_staging(60, Staging::verified(&versions).taken_back(undone));
    world.settle();
    assert_eq!(world.runs(), "f");
    world.pass_time(MINUTE);
    world.settle();
    assert_eq!(world.runs(), "a");
}

#[test]
fn a_commit_that_changes_nothing_there_keeps_the_time_of_its_content() {
    let mut world = World::verified("a");
    world.ask("c");
    let mut staging = Staging::verified(&[("b", world.now)]);
    for verified in &mut staging.0.status.history {
        verified.earlier_revisions = vec![verified.content.revision.clone()];
        verified.content.revision = content("c").revision;
    }
    world.pass_time(60 * MINUTE);
    world.after_staging(60, staging);
    world.settle();
    assert_eq!(world.runs(), "c");
}

#[test]
fn all_releases_before_must_have_verified_the_same_commit() {
    let mut world = World::verified("a");
    let start = world.now;
    world.ask("c");
    world.pass_time(60 * MINUTE);
    let europe =
        || Staging::verified(&[("b", start), ("c", start + SignedDuration::from_mins(40))]);
    world.follow(&[
        ("europe", 30, europe()),
        ("asia", 0, Staging::verified(&[("a", start)])),
    ]);
    world.settle();
    assert_eq!(world.runs(), "a");
    assert!(world.says().contains("shop/asia"), "{}", world.says());
    world.follow(&[
        ("europe", 30, europe()),
        ("asia", 0, Staging::verified(&[("b", start)])),
    ]);
    world.settle();
    assert_eq!(world.runs(), "b");
}

#[test]
fn of_another_branch_only_the_tip_goes_on() {
    let mut world = World::verified("a");
    let start = world.now;
    world.ask("c");
    let staging = |name| {
        Staging::verified(&[(name, start)]).with(|shown| shown.kinship = Kinship::SameRepository)
    };
    world.pass_time(60 * MINUTE);
    world.after_staging(60, staging("b"));
    world.settle();
    assert_eq!(world.runs(), "a");
    world.after_staging(60, staging("c"));
    world.settle();
    assert_eq!(world.runs(), "c");
}

#[test]
fn another_repository_a_missing_release_and_a_ring_are_said() {
    let mut world = World::verified("a");
    world.ask("b");
    let foreign = Staging::verified(&[("b", world.now)]);
    world.after_staging(0, foreign.with(|shown| shown.kinship = Kinship::Foreign));
    world.settle();
    assert!(
        world.says().contains("follows another repository"),
        "{}",
        world.says()
    );
    world.peers.peers[0].view = View::Missing;
    world.settle();
    assert!(
        world.says().contains("does not exist; create it"),
        "{}",
        world.says()
    );
    world.peers.ring = vec![key("prod"), key("staging"), key("prod")];
    world.settle();
    assert!(
        world
            .says()
            .contains("shop/prod → shop/staging → shop/prod"),
        "{}",
        world.says()
    );
    assert_eq!(
        (world.runs().as_str(), world.status.phase),
        ("a", Phase::Verified)
    );
}
