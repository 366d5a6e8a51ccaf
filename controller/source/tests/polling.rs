//! One look at the server per URL and interval, however many subscribers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use belay_source::{GitRef, Observation, SourceHub, Subscription};
use support::{World, checkout_main, main_branch};

/// Far longer than any test takes: looks happen only when they are caused.
const NEVER: Duration = Duration::from_secs(100_000);
const PATIENCE: Duration = Duration::from_mins(2);

async fn next(subscription: &mut Subscription) -> Observation {
    tokio::time::timeout(PATIENCE, subscription.changed())
        .await
        .expect("no news")
}

fn listings(calls: &Path) -> usize {
    let calls = std::fs::read_to_string(calls).unwrap_or_default();
    calls
        .lines()
        .filter(|line| line.starts_with("ls-remote"))
        .count()
}

#[tokio::test]
async fn a_hundred_subscribers_cost_one_look_and_one_fetch_per_change() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (program, calls) = world.counting_git();
    let mut settings = world.settings();
    settings.git_program = program;
    let hub = SourceHub::new(settings).unwrap();
    let repository = world.repository();

    let mut subscriptions: Vec<_> = (0..100)
        .map(|_| hub.subscribe(&repository, NEVER).unwrap())
        .collect();
    for subscription in &mut subscriptions {
        let listing = next(subscription).await.listing.unwrap();
        assert_eq!(
            listing.resolve(&main_branch()).unwrap(),
            world.origin.head()
        );
    }
    assert_eq!((listings(&calls), hub.counts().listings), (1, 1));

    // Somebody who comes later hears at once, without another look.
    let mut late = hub.subscribe(&repository, NEVER).unwrap();
    assert!(next(&mut late).await.listing.is_some());
    assert_eq!(listings(&calls), 1);

    let commit = world.origin.commit_config("a.yaml", "b");
    hub.poke(&repository);
    for subscription in &mut subscriptions {
        assert_eq!(
            next(subscription)
                .await
                .listing
                .unwrap()
                .resolve(&main_branch())
                .unwrap(),
            commit
        );
    }
    assert_eq!((listings(&calls), hub.counts().listings), (2, 2));

    let fetches = hub.counts().fetches;
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (hub, repository, commit) = (hub.clone(), repository.clone(), commit.clone());
        tasks.spawn(async move {
            hub.checkout(&repository, &main_branch(), &commit)
                .await
                .map(|_| ())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(hub.counts().fetches, fetches + 1);
}

#[tokio::test]
async fn the_shortest_interval_counts_and_ends_with_its_subscriber() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    let mut slow = hub.subscribe(&repository, NEVER).unwrap();
    next(&mut slow).await;
    let quick = hub.subscribe(&repository, Duration::from_secs(1)).unwrap();
    let commit = world.origin.commit_config("a.yaml", "b");
    assert_eq!(
        next(&mut slow)
            .await
            .listing
            .unwrap()
            .resolve(&main_branch())
            .unwrap(),
        commit
    );
    drop(quick);
    // No look can follow the one that may be under way now.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let looks = hub.counts().listings;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(hub.counts().listings, looks);
}

#[tokio::test]
async fn a_look_without_change_wakes_nobody_but_is_noted() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    let mut subscription = hub.subscribe(&repository, NEVER).unwrap();
    let first = next(&mut subscription).await.looked_at.unwrap();
    hub.poke(&repository);
    while subscription.latest().looked_at.unwrap() == first {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(
        tokio::time::timeout(Duration::from_millis(100), subscription.changed())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_failure_keeps_the_last_references_and_recovery_is_news() {
    let world = World::new();
    let commit = world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    let mut subscription = hub.subscribe(&repository, NEVER).unwrap();
    assert!(next(&mut subscription).await.error.is_none());

    let moved = world.path().join("moved");
    std::fs::rename(world.origin.path(), &moved).unwrap();
    hub.poke(&repository);
    let failed = next(&mut subscription).await;
    assert_eq!(failed.error.unwrap().reason(), "RepositoryNotFound");
    assert_eq!(
        failed.listing.unwrap().resolve(&main_branch()).unwrap(),
        commit
    );

    std::fs::rename(&moved, world.origin.path()).unwrap();
    hub.poke(&repository);
    let recovered = next(&mut subscription).await;
    assert!(recovered.error.is_none() && recovered.listing.is_some());
}

#[tokio::test]
async fn nobody_left_means_no_more_looks_and_a_new_start_later() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    let mut subscription = hub.subscribe(&repository, NEVER).unwrap();
    next(&mut subscription).await;
    drop(subscription);
    hub.poke(&repository);
    let mut again = hub.subscribe(&repository, NEVER).unwrap();
    next(&mut again).await;
    assert_eq!(hub.counts().listings, 2);
    checkout_main(&hub, &repository).await;
}

#[tokio::test]
async fn a_reference_of_any_kind_is_looked_for_as_soon_as_somebody_wants_it() {
    // Given a repository with a pull request, watched by somebody who follows a branch.
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let hub = world.hub();
    let repository = world.repository();
    let mut first = hub.subscribe(&repository, NEVER).unwrap();
    let pull = GitRef::named("refs/pull/420/head").unwrap();
    assert!(!next(&mut first).await.listing.unwrap().covers(&pull));
    let commit = world.origin.commit_config("a.yaml", "b");
    world
        .origin
        .git(["update-ref", "refs/pull/420/head", commit.as_str()]);
    world.origin.git(["reset", "--quiet", "--hard", "HEAD~1"]);
    // When somebody else wants the pull request, then a look is made at once, which finds it.
    let mut second = hub.subscribe(&repository, NEVER).unwrap();
    second.want(&pull);
    let found = loop {
        let listing = next(&mut second).await.listing.unwrap();
        if listing.covers(&pull) {
            break listing.resolve(&pull).unwrap();
        }
    };
    assert_eq!(found, commit);
    let checkout = hub.checkout(&repository, &pull, &found).await.unwrap();
    assert_eq!(checkout.describe().await.unwrap().subject, "Set b");
    // When it is gone, then the next look says so.
    world.origin.git(["update-ref", "-d", "refs/pull/420/head"]);
    hub.poke(&repository);
    let listing = next(&mut second).await.listing.unwrap();
    assert_eq!(listing.resolve(&pull).unwrap_err().reason(), "RefNotFound");
}

#[tokio::test]
async fn looks_that_are_asked_for_together_are_one_and_end_also_without_news() {
    // given a repository that several subscribers have seen
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    let mut subscriptions: Vec<_> = (0..20)
        .map(|_| hub.subscribe(&repository, NEVER).unwrap())
        .collect();
    for subscription in &mut subscriptions {
        next(subscription).await;
    }
    let before = hub.counts().listings;

    // when all of them ask for a look, then they share one, though it shows nothing new
    let looks = subscriptions.iter_mut().map(Subscription::look);
    let seen = tokio::time::timeout(PATIENCE, futures_join(looks.collect()))
        .await
        .expect("the look ends");
    assert!(seen.iter().all(|seen| seen.listing.is_some()));
    assert_eq!(hub.counts().listings, before + 1);

    // when one asks after a commit, then it is told of it
    let commit = world.origin.commit_config("a.yaml", "b");
    let listing = subscriptions[0].look().await.listing.unwrap();
    assert_eq!(listing.resolve(&main_branch()).unwrap(), commit);
}

/// All of them, at the same time.
async fn futures_join<T>(futures: Vec<impl Future<Output = T>>) -> Vec<T> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut done: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, done) in futures.iter_mut().zip(&mut done) {
            if done.is_none()
                && let std::task::Poll::Ready(value) = future.as_mut().poll(context)
            {
                *done = Some(value);
            }
        }
        if done.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    done.into_iter().flatten().collect()
}
