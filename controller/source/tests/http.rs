//! Credentials over HTTP, with the real `git http-backend`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod support;

#[path = "support/server.rs"]
mod server;

use belay_source::{Credential, GitRef, LocalRepositories, Repository, RepositoryUrl, SourceHub};
use server::{Behaviour, Server};
use support::{World, checkout, main_branch};

/// `bot:hunter2`
const BASIC: &str = "Basic Ym90Omh1bnRlcjI=";

fn with_password(url: &str, password: &str) -> Repository {
    let credential = Credential::basic("shop/git", "bot", password).unwrap();
    Repository::with_credential(RepositoryUrl::parse(url).unwrap(), credential).unwrap()
}

fn anonymous(url: &str) -> Repository {
    Repository::anonymous(RepositoryUrl::parse(url).unwrap())
}

/// A hub for servers only, as in production.
fn hub(world: &World) -> SourceHub {
    let mut settings = world.settings();
    settings.local_repositories = LocalRepositories::Refused;
    SourceHub::new(settings).unwrap()
}

#[tokio::test]
async fn anyone_reads_an_open_repository() {
    let world = World::new();
    let commit = world.origin.commit_config("a.yaml", "a");
    let server = Server::start(world.path(), Behaviour::Open);
    let checkout = checkout(
        &hub(&world),
        &anonymous(&server.url("origin")),
        &main_branch(),
    )
    .await
    .unwrap();
    assert_eq!(checkout.commit(), &commit);
    assert_eq!(checkout.describe().await.unwrap().subject, "Set a");
    assert!(
        server
            .requests()
            .iter()
            .all(|headers| !headers.contains_key("authorization"))
    );
}

#[tokio::test]
async fn a_password_or_token_opens_a_guarded_repository_and_is_written_nowhere() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    for (expected, credential) in [
        (
            BASIC,
            Credential::basic("shop/git", "bot", "hunter2").unwrap(),
        ),
        (
            "Bearer hunter2",
            Credential::bearer("shop/token", "hunter2").unwrap(),
        ),
    ] {
        let server = Server::start(world.path(), Behaviour::Guarded(expected.to_owned()));
        let url = RepositoryUrl::parse(&server.url("origin")).unwrap();
        let repository = Repository::with_credential(url, credential).unwrap();
        let checkout = checkout(&hub(&world), &repository, &main_branch())
            .await
            .unwrap();
        checkout
            .tree_id(&belay_source::RepoPath::default())
            .await
            .unwrap();
    }
    let cache = world.path().join("cache");
    let found = std::process::Command::new("grep")
        .args(["-rlE", "hunter2|Ym90Omh1bnRlcjI"])
        .arg(cache)
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8_lossy(&found.stdout),
        "",
        "the credential is in the cache"
    );
}

#[tokio::test]
async fn the_credential_is_not_on_the_command_line() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let server = Server::start(world.path(), Behaviour::Guarded(BASIC.to_owned()));
    let (program, calls) = world.counting_git();
    let mut settings = world.settings();
    settings.git_program = program;
    let hub = SourceHub::new(settings).unwrap();
    checkout(
        &hub,
        &with_password(&server.url("origin"), "hunter2"),
        &main_branch(),
    )
    .await
    .unwrap();
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(
        calls.contains("ls-remote") && calls.contains("fetch"),
        "{calls}"
    );
    assert!(
        !calls.contains("hunter2") && !calls.contains("Ym90"),
        "{calls}"
    );
}

#[tokio::test]
async fn no_credential_and_a_wrong_one_are_told_apart_and_kept_secret() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let server = Server::start(world.path(), Behaviour::Guarded(BASIC.to_owned()));
    let hub = hub(&world);
    let without = hub
        .list(&anonymous(&server.url("origin")))
        .await
        .unwrap_err();
    assert_eq!(without.reason(), "AuthenticationFailed");
    assert!(without.to_string().contains("name a Secret"), "{without}");
    let wrong = hub
        .list(&with_password(&server.url("origin"), "letmein"))
        .await
        .unwrap_err();
    assert_eq!(wrong.reason(), "AuthenticationFailed");
    assert!(
        wrong.to_string().contains("refuses the credential"),
        "{wrong}"
    );
    assert!(!format!("{wrong} {wrong:?}").contains("letmein"));
}

#[tokio::test]
async fn a_credential_is_not_carried_to_where_a_server_redirects() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let target = Server::start(world.path(), Behaviour::Open);
    let place = target.url("").trim_end_matches('/').to_owned();
    let redirecting = Server::start(world.path(), Behaviour::Redirecting(place));
    let hub = hub(&world);
    let error = hub
        .list(&with_password(&redirecting.url("origin"), "hunter2"))
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "Refused", "{error}");
    assert_eq!(target.requests().len(), 0);
    // Without a credential there is nothing to lose.
    assert_eq!(
        hub.list(&anonymous(&redirecting.url("origin")))
            .await
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn a_redirect_to_another_protocol_is_not_followed() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    for place in [
        format!("file://{}", world.path().display()),
        "ext::sh -c true #".to_owned(),
        "ftp://127.0.0.1".to_owned(),
    ] {
        let server = Server::start(world.path(), Behaviour::Redirecting(place.clone()));
        assert!(
            hub(&world)
                .list(&anonymous(&server.url("origin")))
                .await
                .is_err(),
            "{place}"
        );
    }
}

#[tokio::test]
async fn a_missing_repository_and_a_failing_server_are_told_apart() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let hub = hub(&world);
    let open = Server::start(world.path(), Behaviour::Open);
    assert_eq!(
        hub.list(&anonymous(&open.url("nope")))
            .await
            .unwrap_err()
            .reason(),
        "RepositoryNotFound"
    );
    let failing = Server::start(world.path(), Behaviour::Failing(503));
    assert_eq!(
        hub.list(&anonymous(&failing.url("origin")))
            .await
            .unwrap_err()
            .reason(),
        "Unreachable"
    );
}

#[tokio::test]
async fn repositories_seen_with_different_credentials_share_no_copy() {
    let world = World::new();
    let commit = world.origin.commit_config("a.yaml", "a");
    let server = Server::start(world.path(), Behaviour::Guarded(BASIC.to_owned()));
    let hub = hub(&world);
    let url = server.url("origin");
    checkout(&hub, &with_password(&url, "hunter2"), &main_branch())
        .await
        .unwrap();
    // Knowing the commit's id is not enough to read it.
    let pinned = GitRef::commit(commit.as_str()).unwrap();
    let stranger = Credential::basic("other/git", "bot", "guess").unwrap();
    let stranger =
        Repository::with_credential(RepositoryUrl::parse(&url).unwrap(), stranger).unwrap();
    for repository in [anonymous(&url), stranger] {
        assert_eq!(
            checkout(&hub, &repository, &pinned)
                .await
                .unwrap_err()
                .reason(),
            "AuthenticationFailed"
        );
    }
}
