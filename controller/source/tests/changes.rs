//! Repositories that change under their followers: filled, emptied, rewritten, with references that vanish and come back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod support;

use std::time::Duration;

use belay_source::{GitRef, Observation, Oid, RefListing, Repository, SourceHub, Subscription};
use support::{Origin, World, checkout_main, main_branch};

const LONG: Duration = Duration::from_hours(1);

/// Has the server looked at, and gives what is new.
async fn look(hub: &SourceHub, looks: &mut Subscription, repository: &Repository) -> Observation {
    hub.poke(repository);
    let news = tokio::time::timeout(Duration::from_mins(1), looks.changed());
    news.await.expect("the look shows a change")
}

fn main_of(listing: &RefListing) -> Result<Oid, String> {
    let found = listing.candidates(&main_branch());
    found
        .map(|mut found| found.remove(0).commit)
        .map_err(|error| error.reason().to_owned())
}

#[tokio::test]
async fn an_empty_repository_says_so_until_its_first_commit() {
    let world = World::new();
    let (hub, repository) = (world.hub(), world.repository());
    let mut looks = hub.subscribe(&repository, LONG).unwrap();
    let first = looks.changed().await.listing.unwrap();
    assert_eq!(main_of(&first).unwrap_err(), "EmptyRepository");
    let commit = world.origin.commit_config("a.yaml", "a");
    let filled = look(&hub, &mut looks, &repository).await.listing.unwrap();
    assert_eq!(main_of(&filled).unwrap(), commit);
    checkout_main(&hub, &repository).await;
}

#[tokio::test]
async fn a_branch_that_vanishes_is_missed_and_found_again_when_it_comes_back() {
    let world = World::new();
    let first = world.origin.commit_config("a.yaml", "a");
    world.origin.git(["tag", "v1"]);
    let (hub, repository) = (world.hub(), world.repository());
    let mut looks = hub.subscribe(&repository, LONG).unwrap();
    looks.changed().await;
    checkout_main(&hub, &repository).await;
    // Given the branch is gone, then it is missing, which is another thing than a repository that can't be reached.
    world.origin.git(["checkout", "--quiet", "--detach"]);
    world.origin.git(["branch", "--quiet", "-D", "main"]);
    let seen = look(&hub, &mut looks, &repository).await;
    assert_eq!(seen.error, None);
    assert_eq!(main_of(&seen.listing.unwrap()).unwrap_err(), "RefNotFound");
    // And its last commit is still at hand.
    assert!(
        hub.checkout(&repository, &main_branch(), &first)
            .await
            .is_ok()
    );
    world.origin.git(["checkout", "--quiet", "-b", "main"]);
    let again = world.origin.commit_config("a.yaml", "b");
    let seen = look(&hub, &mut looks, &repository).await;
    assert_eq!(main_of(&seen.listing.unwrap()).unwrap(), again);
}

#[tokio::test]
async fn a_repository_that_is_replaced_by_another_is_followed_without_its_history() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    checkout_main(&hub, &repository).await;
    // Given the directory holds a repository that has nothing in common with the first.
    std::fs::remove_dir_all(world.origin.path()).unwrap();
    let origin = Origin::create(world.path().join("origin"), &[]);
    let commit = origin.commit_config("b.yaml", "b");
    let checkout = checkout_main(&hub, &repository).await;
    assert_eq!(checkout.commit(), &commit);
    assert_eq!(checkout.describe().await.unwrap().subject, "Set b");
}

#[tokio::test]
async fn a_commit_that_is_gone_before_it_is_fetched_is_superseded_and_not_mixed_up() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    let seen = hub.list(&repository).await.unwrap();
    let old = main_of(&seen).unwrap();
    // When the branch is rewritten, and the server forgets the old commit.
    world.origin.write("a.yaml", support::config("b"));
    world.origin.git([
        "commit",
        "--quiet",
        "--all",
        "--amend",
        "--message",
        "Rewritten",
    ]);
    world
        .origin
        .git(["reflog", "expire", "--expire=now", "--all"]);
    world.origin.git(["gc", "--quiet", "--prune=now"]);
    let error = hub
        .checkout(&repository, &main_branch(), &old)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "Superseded", "{error}");
    let checkout = checkout_main(&hub, &repository).await;
    assert_eq!(checkout.describe().await.unwrap().subject, "Rewritten");
    // The same for a commit that is asked for by its id alone: it can't come back by itself.
    let pinned = GitRef::commit(old.as_str()).unwrap();
    let error = hub.checkout(&repository, &pinned, &old).await.unwrap_err();
    assert_eq!(error.reason(), "RefNotFound", "{error}");
}

#[tokio::test]
async fn when_the_highest_tag_of_a_range_is_taken_back_the_one_before_counts_again() {
    let world = World::new();
    let first = world.origin.commit_config("a.yaml", "a");
    world.origin.git(["tag", "v1.0.0"]);
    let second = world.origin.commit_config("a.yaml", "b");
    world
        .origin
        .git(["tag", "--annotate", "--message", "two", "v1.1.0"]);
    let (hub, repository) = (world.hub(), world.repository());
    let range = GitRef::versions("^1", "").unwrap();
    let highest = async || {
        let listing = hub.list(&repository).await.unwrap();
        listing.candidates(&range).unwrap().remove(0)
    };
    let found = highest().await;
    assert_eq!(found.commit, second);
    assert!(
        found.tag.is_some_and(|tag| tag != second),
        "the tag object is told"
    );
    world.origin.git(["tag", "--delete", "v1.1.0"]);
    let found = highest().await;
    assert_eq!((found.commit, found.tag), (first, None));
    world.origin.git(["tag", "--delete", "v1.0.0"]);
    let error = hub
        .list(&repository)
        .await
        .unwrap()
        .candidates(&range)
        .unwrap_err();
    assert_eq!(error.reason(), "RefNotFound");
}
