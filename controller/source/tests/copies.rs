//! Local copies of repositories: what is fetched, what survives, what heals.
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

use belay_source::{
    GitRef, Permanence, RenderRequest, Renderer, RendererSettings, RepoPath, SourceHub,
    SourceSettings,
};
use support::{Origin, World, checkout, checkout_main, incompressible, main_branch};

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
async fn a_rewritten_branch_is_followed_and_the_old_commit_stays_readable() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "base");
    let old = world.origin.commit_config("a.yaml", "old");
    let (hub, repository) = (world.hub(), world.repository());
    let before = checkout_main(&hub, &repository).await;
    world.origin.git(["reset", "--quiet", "--hard", "HEAD~1"]);
    let new = world.origin.commit_config("a.yaml", "rewritten");
    let after = checkout_main(&hub, &repository).await;
    assert_eq!((before.commit(), after.commit()), (&old, &new));
    assert_eq!(names(&after, ".").await, ["rewritten"]);
    assert_eq!(names(&before, ".").await, ["old"]);
}

#[tokio::test]
async fn a_commit_that_is_here_needs_no_server() {
    let world = World::new();
    let commit = world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    assert_eq!(
        names(&checkout_main(&hub, &repository).await, ".").await,
        ["a"]
    );
    let fetches = hub.counts().fetches;
    std::fs::rename(world.origin.path(), world.path().join("moved")).unwrap();
    assert_eq!(
        hub.list(&repository).await.unwrap_err().reason(),
        "RepositoryNotFound"
    );
    // Also for a controller that has just started.
    for hub in [hub, world.hub()] {
        let again = hub
            .checkout(&repository, &main_branch(), &commit)
            .await
            .unwrap();
        assert_eq!(names(&again, ".").await, ["a"]);
        assert!(hub.counts().fetches <= fetches);
    }
}

#[tokio::test]
async fn only_the_files_below_the_path_are_fetched_from_a_server_that_can_send_them_apart() {
    let world = World::new();
    let large = incompressible(500_000);
    world
        .origin
        .write("media/film.bin", large)
        .commit_config("deploy/a.yaml", "a");
    let checkout = checkout_main(&world.hub(), &world.repository()).await;
    assert_eq!(names(&checkout, "deploy").await, ["a"]);
    let packs = std::fs::read_dir(world.mirror().join("objects/pack")).unwrap();
    let bytes: u64 = packs
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum();
    assert!(bytes < 100_000, "{bytes} bytes fetched");
}

#[tokio::test]
async fn servers_that_send_everything_and_give_nothing_by_id_work_too() {
    let world = World::new();
    world
        .origin
        .git(["config", "uploadpack.allowFilter", "false"]);
    // Protocol version 0 with its default settings gives only what a name points to.
    let first = world.origin.commit_config("a.yaml", "one");
    world.origin.commit_config("a.yaml", "two");
    let (program, calls) = world.counting_git();
    let script = std::fs::read_to_string(&program).unwrap();
    let old_protocol = script.replace("exec git", "exec git -c protocol.version=0");
    support::write_program(&program, &old_protocol);
    let mut settings = world.settings();
    settings.git_program = program;
    let hub = SourceHub::new(settings.clone()).unwrap();
    assert_eq!(
        names(&checkout_main(&hub, &world.repository()).await, ".").await,
        ["two"]
    );
    let older = checkout(
        &hub,
        &world.repository(),
        &GitRef::commit(first.as_str()).unwrap(),
    )
    .await
    .unwrap();
    assert_eq!(names(&older, ".").await, ["one"]);
    assert!(
        std::fs::read_to_string(&calls)
            .unwrap()
            .contains("refs/belay/all")
    );

    // The branch moves between the look and the fetch.
    let seen = world.origin.head();
    world.origin.commit_config("a.yaml", "three");
    world
        .origin
        .git(["commit", "--quiet", "--amend", "--message", "rewritten"]);
    let hub = SourceHub::new(SourceSettings {
        cache_directory: world.path().join("other"),
        ..settings
    })
    .unwrap();
    let error = hub
        .checkout(&world.repository(), &main_branch(), &seen)
        .await
        .unwrap_err();
    assert_eq!(
        (error.reason(), error.permanence()),
        ("Superseded", Permanence::Transient)
    );
    assert!(
        std::fs::read_to_string(&calls)
            .unwrap()
            .contains("refs/belay/tip")
    );
}

fn files_below(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn a_damaged_copy_heals_while_reading_and_while_fetching() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    let damages: [fn(&Path); 5] = [
        |mirror| std::fs::remove_dir_all(mirror).unwrap(),
        |mirror| std::fs::write(mirror.join("HEAD"), "nonsense").unwrap(),
        |mirror| std::fs::remove_dir_all(mirror.join("objects")).unwrap(),
        |mirror| std::fs::write(mirror.join("config"), "[nonsense").unwrap(),
        |mirror| {
            for pack in files_below(&mirror.join("objects/pack")) {
                let mut permissions = std::fs::metadata(&pack).unwrap().permissions();
                std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
                std::fs::set_permissions(&pack, permissions).unwrap();
                std::fs::write(&pack, "nonsense").unwrap();
            }
        },
    ];
    for (round, damage) in damages.into_iter().enumerate() {
        let checkout = checkout_main(&hub, &repository).await;
        assert_eq!(names(&checkout, ".").await.len(), 1, "round {round}");
        damage(&world.mirror());
        assert_eq!(
            names(&checkout, ".").await.len(),
            1,
            "round {round}, while reading"
        );
        checkout.describe().await.unwrap();
        damage(&world.mirror());
        let name = format!("a{round}");
        world.origin.commit_config("a.yaml", &name);
        assert_eq!(
            names(&checkout_main(&hub, &repository).await, ".").await,
            [name],
            "round {round}, while fetching"
        );
    }
}

#[tokio::test]
async fn locks_of_a_killed_git_do_not_stop_the_next() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "a");
    let (hub, repository) = (world.hub(), world.repository());
    checkout_main(&hub, &repository).await;
    let mirror = world.mirror();
    for name in [
        "shallow.lock",
        "config.lock",
        "packed-refs.lock",
        "HEAD.lock",
        "objects/pack/tmp_pack_x",
    ] {
        std::fs::write(mirror.join(name), "").unwrap();
    }
    let commit = world.origin.commit_config("a.yaml", "b");
    std::fs::write(mirror.join(format!("refs/belay/keep/{commit}.lock")), "").unwrap();
    assert_eq!(
        names(&checkout_main(&hub, &repository).await, ".").await,
        ["b"]
    );
    assert!(!mirror.join("objects/pack/tmp_pack_x").exists());
}

#[tokio::test]
async fn a_copy_stays_small_over_many_commits() {
    let world = World::new();
    let (hub, repository) = (world.hub(), world.repository());
    for round in 0..60 {
        world.origin.commit_config("a.yaml", &format!("a{round}"));
        let checkout = checkout_main(&hub, &repository).await;
        assert_eq!(names(&checkout, ".").await, [format!("a{round}")]);
    }
    let packs = files_below(&world.mirror().join("objects/pack"));
    assert!(packs.len() < 60 * 3, "{} files", packs.len());
}

#[tokio::test]
async fn copies_unused_for_weeks_make_room_and_come_back_when_needed() {
    let world = World::new();
    world.origin.commit_config("a.yaml", "old");
    let (hub, repository) = (world.hub(), world.repository());
    let old = checkout_main(&hub, &repository).await;
    let copy = world.mirror();
    let marker = std::fs::OpenOptions::new()
        .append(true)
        .open(copy.join("belay-mirror"))
        .unwrap();
    let month_ago = std::time::SystemTime::now() - Duration::from_hours(30 * 24);
    marker.set_modified(month_ago).unwrap();
    let other = Origin::create(world.path().join("other"), &[]);
    other.commit_config("b.yaml", "other");
    checkout_main(&hub, &other.repository()).await;
    assert!(!copy.exists());
    assert_eq!(names(&old, ".").await, ["old"]);
    assert!(copy.exists());
}

#[tokio::test]
async fn a_repository_past_its_limit_is_refused() {
    let world = World::new();
    world
        .origin
        .git(["config", "uploadpack.allowFilter", "false"]);
    let large = incompressible(3_000_000);
    world
        .origin
        .write("film.bin", large)
        .commit_config("a.yaml", "a");
    let mut settings = world.settings();
    settings.repository_limit_bytes = 1 << 20;
    let hub = SourceHub::new(settings).unwrap();
    let error = checkout(&hub, &world.repository(), &main_branch())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "TooLarge", "{error}");
}
