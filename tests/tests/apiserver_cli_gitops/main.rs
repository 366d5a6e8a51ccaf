//! What `kubectl belay` does with Releases, on a real control plane and from real Git repositories, called as people call it.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    reason = "a test fails by panicking, and tells its story whole"
)]

mod diff;
mod lint;
mod reconcile;
mod tree;

use std::time::Duration;

use belay_engine::release::Phase;
use belay_lab::{Lab, Part, Program};
use belay_tests::{
    plugin::{Ended, Plugin},
    stage::Stage,
    tenant::Tenant,
};
use serde_json::Value;
use tokio::sync::OnceCell;

static STAGE: Stage = Stage::new();
static PLUGIN: OnceCell<Plugin> = OnceCell::const_new();

/// Longest wait for anything that should happen soon; only a test that fails waits so long.
const SOON: Duration = Duration::from_mins(2);

async fn lab() -> &'static Lab {
    STAGE
        .lab(|| Lab::builder().with(Part::Git))
        .await
        .expect("the lab starts")
}

/// `kubectl belay` with these arguments.
async fn belay(arguments: &[&str]) -> Ended {
    let lab = lab().await;
    let build = || async {
        let plugin = Plugin::build(lab).await.expect("the plugin");
        let plugin = plugin.with_program(lab, Program::Kustomize).await;
        plugin.expect("kustomize")
    };
    let plugin = PLUGIN.get_or_init(build).await;
    plugin.call(arguments).await.expect("kubectl runs")
}

/// A tenant whose first commit is verified.
async fn open(name: &str, files: &[(&str, &str)], more: &Value) -> (Tenant, String) {
    let tenant = Tenant::create(lab().await, name).await.expect("a tenant");
    let commit = tenant.repo.commit(files, "Open").await.expect("a commit");
    tenant.release(more).await.expect("a Release");
    tenant
        .phase(Phase::Verified, &commit, SOON)
        .await
        .expect("the first commit is verified");
    (tenant, commit)
}
