//! Faults in the middle of Releases: the controller killed between any two writes, no Git, no cache, fifty failures in a row; what a
//! quiet Release costs; and that no secret is shown whatever fails.
//!
//! The controller runs as the program that is shipped, and ends by `kill -9`. Tests take turns on three labs, for a fault of one is
//! a fault for all on the same.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::panic,
    reason = "a test ends where its assumption ends"
)]

mod away;
mod killed;
mod quiet;
mod secrets;
mod storm;

use std::{
    collections::BTreeSet, fs::Permissions, os::unix::fs::PermissionsExt as _, path::PathBuf,
    sync::LazyLock, time::Duration,
};

use belay_lab::{Lab, Part, Program, wait_for};
use belay_tests::{
    tenant::{Tenant, config_map},
    turns::{Turn, Turns, first_free},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{ResourceExt, api::ListParams};
use serde_json::json;
use tempfile::TempDir;

/// These tests mostly wait: three labs take little more of the processor than one, and a third of the time.
static LABS: [Turns; 3] = [const { Turns::new() }; 3];

const SOON: Duration = Duration::from_mins(2);
/// User by which the API server knows the controller.
const CONTROLLER_USER: &str = "system:serviceaccount:belay-system:belay";

/// A folder of this run for what renders.
static RENDERER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());

/// While this file is there, builds of Kustomize are killed, as by a machine that is short of memory.
fn renderer_flag() -> PathBuf {
    RENDERER.path().join("short-of-memory")
}

/// Programs that render, by the controller's arguments. Kustomize is the real one, unless the flag says otherwise.
async fn programs() -> Vec<String> {
    let built = |program| async move { belay_lab::program(program).await.unwrap() };
    let kustomize = RENDERER.path().join("kustomize");
    let script = format!(
        "#!/bin/sh\n[ -e {} ] && kill -9 $$\nexec {} \"$@\"\n",
        renderer_flag().display(),
        built(Program::Kustomize).await.display()
    );
    if !kustomize.exists() {
        let draft = tempfile::NamedTempFile::new_in(RENDERER.path()).unwrap();
        std::fs::write(draft.path(), script).unwrap();
        std::fs::set_permissions(draft.path(), Permissions::from_mode(0o755)).unwrap();
        // Others may be about to run it.
        draft.into_temp_path().persist(&kustomize).unwrap();
    }
    let arguments = [
        ("--kustomize-program", kustomize),
        ("--helm-program", built(Program::Helm).await),
        ("--sops-program", built(Program::Sops).await),
    ];
    arguments
        .map(|(option, path)| format!("{option}={}", path.display()))
        .to_vec()
}

/// The next turn on any of the labs.
async fn turn() -> Turn {
    let programs = programs().await;
    first_free(
        &LABS,
        || Lab::builder().with(Part::Git).audit(),
        |installed| {
            programs.iter().fold(installed, |installed, argument| {
                installed.with_argument(argument)
            })
        },
    )
    .await
    .unwrap()
}

fn named(numbers: impl IntoIterator<Item = usize>, value: &str) -> Vec<(String, String)> {
    numbers
        .into_iter()
        .map(|number| {
            let name = format!("map-{number}");
            (format!("{name}.yaml"), config_map(&name, value))
        })
        .collect()
}

/// Makes the repository consist of these files and nothing else.
async fn replace(
    tenant: &Tenant,
    before: &[(String, String)],
    after: &[(String, String)],
    message: &str,
) -> String {
    let gone: Vec<&str> = before
        .iter()
        .map(|(path, _)| path.as_str())
        .filter(|path| !after.iter().any(|(kept, _)| kept == path))
        .collect();
    let files: Vec<(&str, &str)> = after
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    tenant.repo.change(&gone, &files, message).await.unwrap()
}

/// Makes a Release that prunes whatever leaves, without asking anybody.
async fn release_unasked(tenant: &Tenant) {
    let unasked = json!({"apply": {"pruneBudget": {"percent": 100}}});
    tenant.release(&unasked).await.unwrap();
}

/// Waits until the maps among `files` are what is left of all that tests ever applied, with or without the Release's label; gives their
/// names.
async fn only_these_are_left(tenant: &Tenant, files: &[(String, String)]) -> BTreeSet<String> {
    let wanted: BTreeSet<String> = files
        .iter()
        .map(|(path, _)| path.trim_end_matches(".yaml"))
        .filter(|name| name.starts_with("map-"))
        .map(str::to_owned)
        .collect();
    let maps = tenant.api::<ConfigMap>();
    wait_for(
        "exactly the last commit's objects to be there",
        SOON,
        || async {
            let listed = maps
                .list(&ListParams::default())
                .await
                .map_err(|error| error.to_string())?;
            let names = listed.iter().map(ResourceExt::name_any);
            let there: BTreeSet<String> = names.filter(|name| name.starts_with("map-")).collect();
            if there == wanted {
                Ok(())
            } else {
                Err(format!("there are {there:?}"))
            }
        },
    )
    .await
    .unwrap();
    wanted
}
