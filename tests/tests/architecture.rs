//! The rules between crates: who may use whom, and that decisions stay free of I/O.
#![expect(
    clippy::unwrap_used,
    reason = "a helper of tests that reads cargo's own words"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use serde_json::Value;

/// Which of this workspace's crates a crate may use. Crates of tests may use all that ship.
const MAY_USE: &[(&str, &[&str])] = &[
    ("belay-engine", &[]),
    ("belay-source", &[]),
    ("belay-api", &["belay-engine"]),
    ("belay-promql", &["belay-api"]),
    (
        "belay",
        &["belay-api", "belay-engine", "belay-promql", "belay-source"],
    ),
    (
        "kubectl-belay",
        &["belay-api", "belay-engine", "belay-promql", "belay-source"],
    ),
];

/// What the engine may use: values, and nothing that touches the world. Another one is a change of architecture.
const ENGINE_MAY_USE: &[&str] = &[
    "jiff",
    "libm",
    "schemars",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
];

/// What must not even come to the engine by way of others.
const NOT_IN_THE_ENGINE: &[&str] = &[
    "async-std",
    "axum",
    "futures-util",
    "getrandom",
    "hyper",
    "k8s-openapi",
    "kube",
    "kube-client",
    "mio",
    "rand",
    "reqwest",
    "rustls",
    "rustix",
    "socket2",
    "tokio",
    "tracing",
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn texts(value: &Value) -> impl Iterator<Item = &str> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_str().unwrap())
}

/// The workspace's crates, each with the dependencies that end up in what is built from it.
fn crates(metadata: &Value) -> BTreeMap<&str, Vec<&str>> {
    let members: BTreeSet<&str> = texts(&metadata["workspace_members"]).collect();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .filter(|package| members.contains(package["id"].as_str().unwrap()))
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let shipped = dependencies.filter(|dependency| dependency["kind"] != "dev");
            let names = shipped.map(|dependency| dependency["name"].as_str().unwrap());
            (package["name"].as_str().unwrap(), names.collect())
        })
        .collect()
}

#[test]
fn crates_use_only_the_crates_that_they_may() {
    let metadata = metadata();
    let crates = crates(&metadata);
    for (name, allowed) in MAY_USE {
        let used = crates
            .get(name)
            .unwrap_or_else(|| panic!("{name} is no crate of the workspace"));
        for other in used.iter().filter(|used| crates.contains_key(*used)) {
            assert!(
                allowed.contains(other),
                "{name} must not use {other}: see docs/architecture.md"
            );
        }
    }
    for (name, used) in &crates {
        let ships = MAY_USE.iter().any(|(shipped, _)| shipped == name);
        let of_tests = |used: &&&str| {
            crates.contains_key(**used) && !MAY_USE.iter().any(|(shipped, _)| shipped == *used)
        };
        if ships {
            assert_eq!(
                used.iter().find(of_tests),
                None,
                "{name} ships and must not use a crate of tests"
            );
        }
    }
}

#[test]
fn the_engine_uses_values_only() {
    let metadata = metadata();
    let crates = crates(&metadata);
    for used in &crates["belay-engine"] {
        assert!(
            ENGINE_MAY_USE.contains(used),
            "the engine decides and does no I/O; it must not use {used}"
        );
    }
}

#[test]
fn nothing_that_does_io_comes_to_the_engine_by_way_of_others() {
    // With the features that the engine itself asks for: what tests add to a crate that both use does not ship.
    let output = Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--locked", "--package", "belay-engine"])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}");
    let tree = String::from_utf8(output.stdout).unwrap();
    let names: BTreeSet<&str> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(names.contains("serde"), "the graph was not read: {names:?}");
    for name in NOT_IN_THE_ENGINE {
        assert!(!names.contains(name), "{name} came to the engine");
    }
}
