//! Repositories made to harm: whatever they hold, nothing outside them is read or run, and limits hold.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use belay_source::{
    FileLimits, GitRef, RenderError, RenderRequest, Rendered, Renderer, RendererSettings, RepoPath,
    SourceHub,
};
use std::sync::Arc;
use support::{World, checkout, checkout_main, config, incompressible, main_branch};

/// Seconds on a slow and busy machine, where what is refused would take for ever.
const QUICK: Duration = Duration::from_mins(2);

async fn render(world: &World, path: &str) -> Result<Arc<Rendered>, RenderError> {
    let checkout = checkout_main(&world.hub(), &world.repository()).await;
    let request = RenderRequest::detect(RepoPath::parse(path).unwrap());
    Renderer::new(RendererSettings::default())
        .render(&checkout, &request)
        .await
}

#[tokio::test]
async fn links_out_of_the_repository_are_refused_without_telling_where_to() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("secret.yaml"), config("stolen")).unwrap();
    let absolute = format!("{}/secret.yaml", outside.path().display());
    let folder = outside.path().display().to_string();
    for (name, target) in [
        ("deploy/x.yaml", absolute.as_str()),
        ("deploy/x.yaml", "../../../../../../../../etc/hostname"),
        ("deploy/x.yaml", "../../outside.yaml"),
        ("deploy/x.yaml", "nowhere.yaml"),
        ("deploy/x.yaml", "x.yaml"),
    ] {
        let world = World::new();
        world
            .origin
            .link(name, target)
            .commit_config("deploy/a.yaml", "a");
        let error = render(&world, "deploy").await.unwrap_err();
        assert_eq!(error.reason(), "Refused", "{target}");
        let text = format!("{error} {error:?}");
        assert!(text.contains("deploy/x.yaml"), "{text}");
        assert!(target == "x.yaml" || !text.contains(target), "{text}");
    }
    for target in [folder.as_str(), "../..", "/"] {
        let world = World::new();
        world
            .origin
            .link("deploy/folder", target)
            .commit_config("deploy/a.yaml", "a");
        let rendered = render(&world, "deploy").await.unwrap();
        assert_eq!(rendered.objects.len(), 1, "{target}");
    }
}

#[tokio::test]
async fn a_path_through_a_link_out_of_the_repository_is_refused() {
    let world = World::new();
    world
        .origin
        .link("deploy", "/etc")
        .link("up", "..")
        .commit_config("a.yaml", "a");
    for path in ["deploy", "deploy/ssl", "up", "up/origin"] {
        let error = render(&world, path).await.unwrap_err();
        assert!(
            ["Refused", "PathNotFound"].contains(&error.reason()),
            "{path}: {error}"
        );
        assert!(!error.to_string().contains("/etc"), "{error}");
    }
}

#[tokio::test]
async fn links_in_circles_end() {
    let world = World::new();
    world
        .origin
        .link("deploy/again", "../deploy")
        .commit_config("deploy/a.yaml", "a");
    assert_eq!(
        render(&world, "deploy").await.unwrap_err().reason(),
        "Refused"
    );
    let world = World::new();
    for index in 0..10 {
        world
            .origin
            .link(&format!("deploy/again{index}"), "../deploy");
    }
    world.origin.commit_config("deploy/a.yaml", "a");
    let started = Instant::now();
    let error = render(&world, "deploy").await.unwrap_err();
    assert!(["Refused", "TooLarge"].contains(&error.reason()), "{error}");
    assert!(started.elapsed() < QUICK);
}

#[tokio::test]
async fn yaml_bombs_and_deep_nesting_are_refused_quickly() {
    let mut bomb = "a0: &a0 [lol,lol,lol,lol,lol,lol,lol,lol,lol,lol]\n".to_owned();
    for level in 1..20 {
        let repeated = vec![format!("*a{}", level - 1); 10].join(",");
        bomb.push_str(&[format!("a{level}: &a{level} [{repeated}]"), "\n".to_owned()].concat());
    }
    let many_keys = format!(
        "a: &a {{{}}}\n",
        (0..20_000)
            .map(|i| format!("k{i}: 1"))
            .collect::<Vec<_>>()
            .join(",")
    );
    let merges = many_keys
        + &(0..2000)
            .map(|i| format!("b{i}: {{<<: *a}}\n"))
            .collect::<Vec<_>>()
            .concat();
    for text in [
        bomb,
        merges,
        "[".repeat(1_000_000),
        "{a: ".repeat(1_000_000),
        "- ".repeat(1_000_000),
    ] {
        let world = World::new();
        world.origin.write("a.yaml", text).commit("bomb");
        let started = Instant::now();
        assert_eq!(
            render(&world, ".").await.unwrap_err().reason(),
            "InvalidSyntax"
        );
        assert!(started.elapsed() < QUICK, "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn large_files_many_files_and_large_sums_are_refused_by_name() {
    let world = World::new();
    world
        .origin
        .write("big/film.yaml", incompressible(200_000))
        .write("many/a.yaml", config("a"));
    for index in 0..30 {
        world
            .origin
            .write(&format!("many/{index}.yaml"), config("a"));
        world
            .origin
            .write(&format!("sum/{index}.yaml"), incompressible(20_000));
    }
    world.origin.commit("large");
    let mut settings = world.settings();
    settings.files = FileLimits {
        entries: 30,
        file_bytes: 100_000,
        total_bytes: 300_000,
    };
    let hub = SourceHub::new(settings).unwrap();
    let checkout = checkout_main(&hub, &world.repository()).await;
    for (path, word) in [
        ("big", "big/film.yaml"),
        ("many", "30 files"),
        ("sum", "together"),
    ] {
        let request = RenderRequest::detect(RepoPath::parse(path).unwrap());
        let renderer = Renderer::new(RendererSettings::default());
        let error = renderer.render(&checkout, &request).await.unwrap_err();
        assert_eq!(error.reason(), "TooLarge");
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[tokio::test]
async fn references_that_look_like_options_or_commands_do_no_harm() {
    let world = World::new();
    let commit = world.origin.commit_config("a.yaml", "a");
    let refs = world.origin.path().join(".git/refs/heads");
    for name in [
        "--upload-pack=touch pwned",
        "-x",
        "$(touch pwned)",
        "a;touch pwned",
        "main^{}",
        "ext::sh",
    ] {
        if name.contains([' ', '^', ':']) {
            continue; // git refuses to list these; the next best are kept
        }
        std::fs::write(refs.join(name), format!("{commit}\n")).unwrap();
    }
    let hub = world.hub();
    let listing = hub.list(&world.repository()).await.unwrap();
    assert!(listing.len() >= 2);
    assert_eq!(listing.resolve(&main_branch()).unwrap(), commit);
    let odd = GitRef::branch("$(touch pwned)");
    assert!(odd.is_err());
    assert!(!world.path().join("pwned").exists() && !world.origin.path().join("pwned").exists());
}

/// Writes a tree object as given, which git itself would refuse.
fn raw_tree(world: &World, entries: &[(&str, &str, &str)]) -> String {
    let mut content = Vec::new();
    for (mode, name, id) in entries {
        content.extend(format!("{mode} {name}\0").bytes());
        content.extend(
            (0..20).map(|index| u8::from_str_radix(&id[index * 2..index * 2 + 2], 16).unwrap()),
        );
    }
    let mut child = Command::new("git")
        .current_dir(world.origin.path())
        .args(["hash-object", "-t", "tree", "-w", "--stdin", "--literally"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &content).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn file_names_that_would_leave_a_folder_are_refused() {
    for name in ["..", ".git", "a\nb.yaml", "../../evil.yaml"] {
        let world = World::new();
        world.origin.write("evil.yaml", config("evil"));
        let blob = world.origin.git(["hash-object", "-w", "evil.yaml"]);
        let inner = raw_tree(&world, &[("100644", "evil.yaml", &blob)]);
        let tree = if name.contains(['/', '\n']) {
            raw_tree(&world, &[("100644", name, &blob)])
        } else {
            raw_tree(&world, &[("40000", name, &inner)])
        };
        let commit = world.origin.git(["commit-tree", &tree, "-m", "evil"]);
        world.origin.git(["update-ref", "refs/heads/main", &commit]);
        let error = render(&world, ".").await.unwrap_err();
        assert_eq!(error.reason(), "Refused", "{name:?}: {error}");
    }
}

#[tokio::test]
async fn hooks_attributes_and_configuration_in_a_repository_run_nothing() {
    let world = World::new();
    let mark = world.path().join("pwned");
    let command = format!("touch {}", mark.display());
    world
        .origin
        .write(".gitattributes", "*.yaml filter=evil diff=evil\n")
        .write(
            ".gitconfig",
            format!("[filter \"evil\"]\n\tsmudge = {command}\n"),
        )
        .write(".lfsconfig", "[lfs]\n\turl = http://127.0.0.1:1/\n")
        .write(
            ".gitmodules",
            "[submodule \"x\"]\n\tpath = x\n\turl = ext::sh -c evil\n\tupdate = !evil\n",
        )
        .commit_config("a.yaml", "a");
    let hub = world.hub();
    let read = checkout(&hub, &world.repository(), &main_branch())
        .await
        .unwrap();
    read.describe().await.unwrap();
    assert_eq!(render(&world, ".").await.unwrap().objects.len(), 1);
    // Hooks that somebody managed to put into the local copy.
    for hook in [
        "post-checkout",
        "reference-transaction",
        "post-merge",
        "pre-auto-gc",
    ] {
        let hooks = world.mirror().join("hooks");
        std::fs::create_dir_all(&hooks).unwrap();
        let script = format!("#!/bin/sh\n{command}\n");
        support::write_program(&hooks.join(hook), &script);
    }
    world.origin.commit_config("a.yaml", "b");
    assert_eq!(render(&world, ".").await.unwrap().objects.len(), 1);
    assert!(!mark.exists());
}

#[tokio::test]
async fn other_encodings_and_binary_files_are_refused() {
    for content in [
        b"\xff\xfea\0:\0".as_slice(),
        b"a: \x00\x01\x02\n",
        &incompressible(5000),
    ] {
        let world = World::new();
        world.origin.write("a.yaml", content).commit("binary");
        let error = render(&world, ".").await.unwrap_err();
        assert!(
            ["Refused", "InvalidSyntax"].contains(&error.reason()),
            "{error}"
        );
        assert!(error.to_string().contains("a.yaml"), "{error}");
    }
}
