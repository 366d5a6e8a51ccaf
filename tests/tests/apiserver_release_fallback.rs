//! Releases on an API server without `MutatingAdmissionPolicy`: what they change is held all the same.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use belay_api::Rollout;
use belay_engine::release::Phase;
use belay_lab::{Lab, Part};
use belay_tests::{
    stage::Stage,
    tenant::{Tenant, config_map, deployment, gate, rollout},
    watching::SetWatch,
};
use serde_json::json;

static STAGE: Stage = Stage::without_hold_policy();

const SOON: Duration = Duration::from_mins(2);

#[tokio::test(flavor = "multi_thread")]
async fn without_the_hold_policy_a_bad_version_is_rolled_back_before_it_is_promoted() {
    let describe = || {
        Lab::builder()
            .with(Part::Git)
            .with(Part::Prometheus)
            .without_mutating_admission_policy()
    };
    let lab = STAGE.lab(describe).await.expect("the lab starts");
    let tenant = Tenant::create(lab, "fallback").await.unwrap();
    let files = |version: &str, value: &str| {
        [
            ("config.yaml", config_map("config", "one")),
            (
                "web.yaml",
                deployment("web", &format!("web:{version}"), 3, "config"),
            ),
            ("rollout.yaml", rollout("web", "web")),
            ("gate.yaml", gate("web", value)),
        ]
    };
    let commit = |files: [(&'static str, String); 4], message: &'static str| {
        let tenant = &tenant;
        async move {
            let files = files.each_ref().map(|(path, text)| (*path, text.as_str()));
            tenant.repo.commit(&files, message).await.expect("a commit")
        }
    };
    let first = commit(files("v1", "vector(0)"), "v1").await;
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    let sets = SetWatch::begin(&tenant.client, &tenant.namespace, "app=web").await;
    let stable = tenant.api::<Rollout>().get("web").await.unwrap();
    let stable = stable.status.unwrap().stable.unwrap().hash;
    // When a bad version is asked for.
    let second = commit(files("v2", "vector(1)"), "v2").await;
    tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    // Then only a canary of one pod ever ran of it, and the stable pods were never fewer.
    for (set, sizes) in sets.seen() {
        if set == stable {
            assert_eq!(sizes, [3], "the stable version stays at full strength");
        } else {
            assert!(sizes.iter().all(|size| *size <= 1), "{set}: {sizes:?}");
        }
    }
    // When a good version is asked for, then it goes through.
    let third = commit(files("v3", "vector(0)"), "v3").await;
    tenant.phase(Phase::Verified, &third, SOON).await.unwrap();
}
