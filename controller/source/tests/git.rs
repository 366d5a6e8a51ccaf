//! Reading real repositories through the real `git`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests"
)]

mod support;

use std::time::Duration;

use belay_source::{
    GitRef, LocalRepositories, Permanence, RenderRequest, Renderer, RendererSettings, RepoPath,
    Repository, RepositoryUrl, SourceHub, SourceSettings,
};
use support::{Origin, World, checkout, checkout_main, config, main_branch};

async fn names(checkout: &belay_source::Checkout, path: &str) -> Vec<String> {
    let request = RenderRequest::detect(RepoPath::parse(path).unwrap());
    let rendered = Renderer::new(RendererSettings::default())
        .render(checkout, &request)
        .await
        .unwrap();
    rendered
        .objects
        .iter()
        .map(|object| object.key.name.clone())
        .collect()
}

#[tokio::test]
async fn branches_tags_and_commits_lead_to_their_files() {
    let world = World::new();
    let first = world.origin.commit_config("deploy/a.yaml", "one");
    world.origin.git(["tag", "light"]);
    world
        .origin
        .git(["tag", "--annotate", "--message", "x", "annotated"]);
    world.origin.commit_config("deploy/a.yaml", "two");
    let (hub, repository) = (world.hub(), world.repository());
    for (reference, expected) in [
        (GitRef::tag("light"), "one"),
        (GitRef::tag("annotated"), "one"),
        (GitRef::branch("main"), "two"),
        (GitRef::commit(first.as_str()), "one"),
    ] {
        let checkout = checkout(&hub, &repository, &reference.unwrap())
            .await
            .unwrap();
        assert_eq!(names(&checkout, "deploy").await, [expected]);
    }
}

#[tokio::test]
async fn a_file_url_works_like_a_path() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "one");
    let url = format!("file://{}", world.origin.path().display());
    let repository = Repository::anonymous(RepositoryUrl::parse(&url).unwrap());
    assert_eq!(
        names(&checkout_main(&world.hub(), &repository).await, ".").await,
        ["one"]
    );
}

#[tokio::test]
async fn a_commit_tells_its_author_time_and_subject_without_control_characters() {
    let world = World::new();
    world
        .origin
        .git(["config", "user.name", "Grace\u{1b}[31m Höpper"]);
    world
        .origin
        .write("a.yaml", config("a"))
        .commit("Ship \u{7}it\n\nbody");
    let info = checkout_main(&world.hub(), &world.repository())
        .await
        .describe()
        .await
        .unwrap();
    assert_eq!(
        (info.author_name.as_str(), info.author_email.as_str()),
        ("Grace [31m Höpper", "ada@example.com")
    );
    assert_eq!(info.subject, "Ship it");
    assert_eq!(info.id, world.origin.head());
    let expected: i64 = world
        .origin
        .git(["log", "-1", "--format=%ct"])
        .parse()
        .unwrap();
    assert_eq!(info.committed_at_seconds, expected);
}

#[tokio::test]
async fn a_tree_id_changes_only_with_what_is_below_the_path() {
    let world = World::new();
    world
        .origin
        .write("shop/a.yaml", config("a"))
        .commit_config("other/b.yaml", "b");
    let (hub, repository, path) = (
        world.hub(),
        world.repository(),
        RepoPath::parse("shop").unwrap(),
    );
    let before = checkout_main(&hub, &repository)
        .await
        .tree_id(&path)
        .await
        .unwrap();
    world.origin.commit_config("other/b.yaml", "b2");
    assert_eq!(
        checkout_main(&hub, &repository)
            .await
            .tree_id(&path)
            .await
            .unwrap(),
        before
    );
    world.origin.commit_config("shop/a.yaml", "a2");
    assert_ne!(
        checkout_main(&hub, &repository)
            .await
            .tree_id(&path)
            .await
            .unwrap(),
        before
    );
}

#[tokio::test]
async fn missing_things_are_told_apart() {
    let world = World::new();
    let (hub, repository) = (world.hub(), world.repository());
    let reason = |error: belay_source::SourceError| (error.reason(), error.permanence());
    let empty = checkout(&hub, &repository, &main_branch())
        .await
        .unwrap_err();
    assert_eq!(reason(empty), ("EmptyRepository", Permanence::Permanent));

    world.origin.commit_config("a.yaml", "a");
    let branch = checkout(&hub, &repository, &GitRef::branch("nope").unwrap())
        .await
        .unwrap_err();
    assert_eq!(reason(branch), ("RefNotFound", Permanence::Permanent));
    let commit = checkout(
        &hub,
        &repository,
        &GitRef::commit(&"ab".repeat(20)).unwrap(),
    )
    .await
    .unwrap_err();
    assert_eq!(reason(commit), ("RefNotFound", Permanence::Permanent));

    let checkout = checkout_main(&hub, &repository).await;
    for path in ["nope", "a.yaml", "a.yaml/deeper"] {
        let error = checkout
            .tree_id(&RepoPath::parse(path).unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "PathNotFound", "{path}");
    }

    let nowhere = world.path().join("nowhere");
    let gone = Repository::anonymous(RepositoryUrl::parse(nowhere.to_str().unwrap()).unwrap());
    assert_eq!(
        reason(hub.list(&gone).await.unwrap_err()),
        ("RepositoryNotFound", Permanence::Permanent)
    );

    // Port 1 of this machine: nothing listens there.
    let silent = Repository::anonymous(RepositoryUrl::parse("http://127.0.0.1:1/a").unwrap());
    assert_eq!(
        reason(hub.list(&silent).await.unwrap_err()),
        ("Unreachable", Permanence::Transient)
    );
}

#[tokio::test]
async fn the_id_of_a_tree_is_not_a_commit() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let tree = world.origin.git(["rev-parse", "HEAD^{tree}"]);
    let error = checkout(
        &world.hub(),
        &world.repository(),
        &GitRef::commit(&tree).unwrap(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.reason(), "RefNotFound");
}

#[tokio::test]
async fn local_repositories_are_refused_unless_allowed() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let hub = SourceHub::new(SourceSettings::new(world.path().join("cache"))).unwrap();
    assert_eq!(
        world.settings().local_repositories,
        LocalRepositories::Allowed
    );
    let repository = world.repository();
    assert_eq!(hub.list(&repository).await.unwrap_err().reason(), "Refused");
    assert!(hub.subscribe(&repository, Duration::from_mins(1)).is_err());
    let error = hub
        .checkout(&repository, &main_branch(), &world.origin.head())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "Refused");
}

#[tokio::test]
async fn sha256_repositories_are_read() {
    let world = World::new();
    let origin = Origin::create(world.path().join("sha256"), &["--object-format=sha256"]);
    let commit = origin.commit_config("a.yaml", "a");
    assert_eq!(commit.as_str().len(), 64);
    assert_eq!(
        names(
            &checkout_main(&world.hub(), &origin.repository()).await,
            "."
        )
        .await,
        ["a"]
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let world = World::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a", listener.local_addr().unwrap());
    let mut settings = world.settings();
    settings.list_timeout = Duration::from_millis(600);
    let hub = SourceHub::new(settings).unwrap();
    let error = hub
        .list(&Repository::anonymous(RepositoryUrl::parse(&url).unwrap()))
        .await
        .unwrap_err();
    assert_eq!(
        (error.reason(), error.permanence()),
        ("TimedOut", Permanence::Transient)
    );
    drop(listener);
}

#[tokio::test]
async fn configuration_and_hooks_around_the_cache_are_not_used() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    // The cache lies inside a repository whose configuration redirects every address.
    let outer = Origin::create(world.path().join("outer"), &[]);
    outer.git(["config", "url./nowhere/.insteadOf", "file:///"]);
    let mut settings = SourceSettings::new(outer.path().join("cache"));
    settings.local_repositories = LocalRepositories::Allowed;
    let hub = SourceHub::new(settings).unwrap();
    assert_eq!(
        names(&checkout_main(&hub, &world.repository()).await, ".").await,
        ["a"]
    );
}

#[tokio::test]
async fn a_missing_git_says_so() {
    let world = World::new();
    let mut settings = world.settings();
    settings.git_program = "/nowhere/git".into();
    let error = SourceHub::new(settings)
        .unwrap()
        .list(&world.repository())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "ProgramMissing");
    assert!(error.to_string().contains("/nowhere/git"), "{error}");
}

#[tokio::test]
async fn of_tags_with_one_version_the_newest_commit_is_taken() {
    // Given two tags that differ in build metadata, the later commit under the name that is sorted first.
    let world = World::new();
    let commit_at = |seconds: u32, name: &str| {
        let commit = world.origin.commit_config("a.yaml", name);
        let (id, date) = (commit.to_string(), format!("{seconds} +0000"));
        let tree = world.origin.git(["rev-parse", &format!("{id}^{{tree}}")]);
        let output = std::process::Command::new("git")
            .current_dir(world.origin.path())
            .args(["commit-tree", "-m", name, &tree])
            .env("GIT_COMMITTER_DATE", &date)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let (older, newer) = (
        commit_at(1_000_000_000, "older"),
        commit_at(1_500_000_000, "newer"),
    );
    world.origin.git(["tag", "v1.0.0+b", &older]);
    world.origin.git(["tag", "v1.0.0+a", &newer]);
    world.origin.git(["tag", "v0.9.0", &older]);
    // When the range is resolved.
    let (hub, repository) = (world.hub(), world.repository());
    let listing = hub.list(&repository).await.unwrap();
    let candidates = listing
        .candidates(&GitRef::versions(">=0.1", "").unwrap())
        .unwrap();
    let newest = hub.newest(&repository, &candidates).await.unwrap();
    // Then time decides.
    assert_eq!(
        (newest.reference.label(), newest.commit.as_str()),
        (Some("v1.0.0+a"), newer.as_str())
    );
}
