//! What a build program gets to see and to use. A script stands in for kustomize and looks around.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "helpers of tests"
)]

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use belay_source::{
    Checkout, Permanence, RenderError, RenderRequest, Rendered, Renderer, RendererSettings,
    RepoPath,
};
use support::{World, checkout_main};

/// Answers `version`, and otherwise does what the test says.
fn program(world: &World, build: &str) -> PathBuf {
    let file = world.path().join("program");
    let script = format!(
        "#!/bin/sh\nPATH=/usr/bin:/bin\nif [ \"$1\" = version ]; then echo v0; exit; fi\n{build}\n"
    );
    support::write_program(&file, &script);
    file
}

/// A kustomization of one object.
async fn kustomization(world: &World) -> Checkout {
    world
        .origin
        .write("kustomization.yaml", "resources: [a.yaml]\n")
        .commit_config("a.yaml", "a");
    checkout_main(&world.hub(), &world.repository()).await
}

async fn build(world: &World, settings: RendererSettings) -> Result<Arc<Rendered>, RenderError> {
    let checkout = kustomization(world).await;
    Renderer::new(settings)
        .render(&checkout, &RenderRequest::detect(RepoPath::default()))
        .await
}

/// Prints what `command` prints as the value of an annotation, one line after the other.
fn printing(command: &str) -> String {
    format!(
        "echo 'apiVersion: v1'; echo 'kind: A'; echo 'metadata:'; echo '  name: a'; echo 'data: |'; {{ {command}; }} | sed 's/^/  /'"
    )
}

async fn printed(world: &World, command: &str) -> String {
    let kustomize_program = program(world, &printing(command));
    let work_directory = world.path().to_owned();
    let settings = RendererSettings {
        kustomize_program,
        work_directory,
        ..RendererSettings::default()
    };
    let rendered = build(world, settings).await.unwrap();
    rendered.objects.first().unwrap().value["data"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

fn is_empty(folder: &Path, but: &[&str]) -> bool {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name());
    entries
        .filter(|name| !but.contains(&name.to_str().unwrap()))
        .count()
        == 0
}

#[tokio::test]
async fn it_sees_an_empty_environment_an_empty_home_and_only_the_files_of_the_commit() {
    let world = World::new();
    let variables = printed(
        &world,
        "/usr/bin/env | /usr/bin/cut -d= -f1 | /usr/bin/sort",
    )
    .await;
    let own = ["PWD", "SHLVL", "_", "OLDPWD"];
    let seen: Vec<&str> = variables
        .lines()
        .filter(|name| !own.contains(name))
        .collect();
    let given = [
        "GOMAXPROCS",
        "GOMEMLIMIT",
        "HOME",
        "KUSTOMIZE_PLUGIN_HOME",
        "PATH",
        "TMPDIR",
        "XDG_CONFIG_HOME",
    ];
    assert_eq!(seen, given);

    let world = World::new();
    assert_eq!(
        printed(&world, "ls -A \"$HOME\"; cd \"$3\"; find . -type f | sort").await,
        "./a.yaml\n./kustomization.yaml\n"
    );
}

#[tokio::test]
async fn it_has_no_network_where_the_machine_permits_that() {
    let permitted = std::process::Command::new("unshare")
        .args(["--map-root-user", "--net", "true"])
        .status();
    let world = World::new();
    let interfaces = printed(
        &world,
        "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /proc/net/route",
    )
    .await;
    if permitted.is_ok_and(|status| status.success()) {
        assert!(
            !interfaces.contains("eth") && !interfaces.contains("00000000"),
            "{interfaces}"
        );
    } else {
        eprintln!("SKIPPED: this machine does not let a process give up its network");
    }
}

#[tokio::test]
async fn the_temporary_directory_is_gone_afterwards() {
    let world = World::new();
    let work_directory = world.path().join("work");
    std::fs::create_dir(&work_directory).unwrap();
    for script in [
        "touch \"$TMPDIR/x\"; exit 1",
        &printing("true"),
        "sleep 600",
    ] {
        let kustomize_program = program(&world, script);
        let settings = RendererSettings {
            kustomize_program,
            work_directory: work_directory.clone(),
            timeout: Duration::from_secs(2),
            ..RendererSettings::default()
        };
        let _ = build(&world, settings).await;
        assert!(is_empty(&work_directory, &[]), "{script}");
    }
}

#[tokio::test]
async fn time_memory_and_output_are_bounded() {
    let world = World::new();
    let base = RendererSettings {
        timeout: Duration::from_secs(2),
        ..RendererSettings::default()
    };
    let slow = RendererSettings {
        kustomize_program: program(&world, "sleep 600"),
        ..base.clone()
    };
    let started = Instant::now();
    let error = build(&world, slow).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.permanence()),
        ("TimedOut", Permanence::Transient)
    );
    assert!(started.elapsed() < Duration::from_mins(2));

    let world = World::new();
    let kustomize_program = program(&world, "exec yes");
    let loud = RendererSettings {
        kustomize_program,
        output_bytes: 1 << 20,
        ..RendererSettings::default()
    };
    assert_eq!(build(&world, loud).await.unwrap_err().reason(), "TooLarge");

    let world = World::new();
    let kustomize_program = program(
        &world,
        "sleep 0.2; head -c 300M /dev/zero | tail -c 300M >/dev/null || exit 1; echo 'a: 1'",
    );
    let hungry = RendererSettings {
        kustomize_program,
        memory_bytes: 64 << 20,
        ..RendererSettings::default()
    };
    assert_eq!(
        build(&world, hungry).await.unwrap_err().reason(),
        "KustomizeFailed"
    );
}

#[tokio::test]
async fn a_build_that_somebody_else_ends_says_nothing_about_the_commit_and_is_tried_again() {
    let world = World::new();
    let flag = world.path().join("short-of-memory");
    std::fs::write(&flag, "").unwrap();
    let kill = format!("[ -e {} ] && kill -9 $$", flag.display());
    let settings = RendererSettings {
        kustomize_program: program(&world, &printing(&kill)),
        ..RendererSettings::default()
    };
    let checkout = kustomization(&world).await;
    let renderer = Renderer::new(settings);
    let request = RenderRequest::detect(RepoPath::default());
    let error = renderer.render(&checkout, &request).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.permanence(), error.lies_in_content()),
        ("Killed", Permanence::Transient, false)
    );
    std::fs::remove_file(&flag).unwrap();
    renderer.render(&checkout, &request).await.unwrap();
}

#[tokio::test]
async fn a_missing_program_says_so_and_is_looked_for_again() {
    let world = World::new();
    let checkout = kustomization(&world).await;
    let later = world.path().join("program");
    let settings = RendererSettings {
        kustomize_program: later,
        ..RendererSettings::default()
    };
    let renderer = Renderer::new(settings);
    let request = RenderRequest::detect(RepoPath::default());
    let error = renderer.render(&checkout, &request).await.unwrap_err();
    assert_eq!(error.reason(), "ProgramMissing");
    assert!(error.to_string().contains("install kustomize"), "{error}");
    program(&world, &printing("true"));
    renderer.render(&checkout, &request).await.unwrap();
}
