//! Releases on a real control plane, from real Git repositories.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod charts;
mod elsewhere;
mod fields;
mod health;
mod inputs;
mod judged;
mod kinds;
mod large;
mod lfs;
mod oci;
mod owners;
mod policies;
mod prune;
mod remote;
mod rollback;
mod scenarios;
mod signed;
mod source;
mod submodules;
mod sync;
mod take;
mod turns;
mod warnings;
mod ways;
mod words;

use std::time::Duration;

use belay_api::Release;
use belay_engine::release::Phase;
use belay_lab::{Lab, Part};
use belay_tests::{stage::Stage, tenant::Tenant};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

static STAGE: Stage = Stage::new();

/// Longest wait for anything that should happen soon; only a test that fails waits so long.
const SOON: Duration = Duration::from_mins(2);

async fn lab() -> &'static Lab {
    STAGE
        .lab(|| {
            Lab::builder()
                .with(Part::Git)
                .with(Part::Prometheus)
                .with(Part::Registry)
        })
        .await
        .expect("the lab starts")
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

/// Changes the spec of the tenant's Release.
async fn patch_spec(tenant: &Tenant, spec: &Value) {
    let patch = json!({ "spec": spec });
    tenant
        .api::<Release>()
        .patch("shop", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .expect("the patch");
}
