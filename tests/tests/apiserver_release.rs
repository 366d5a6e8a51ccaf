//! Releases on a real control plane, from real Git repositories: synced, verified, pruned, refused.
#![allow(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

use std::time::Duration;

use belay_engine::{condition::Truth, release::Phase};
use belay_lab::{Lab, Part};
use belay_tests::{
    stage::Stage,
    tenant::{ACCOUNT, Tenant, config_map, deployment},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use serde_json::json;

static STAGE: Stage = Stage::new();

const SOON: Duration = Duration::from_mins(1);

async fn lab() -> &'static Lab {
    STAGE
        .lab(|| Lab::builder().with(Part::Git))
        .await
        .expect("the lab starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_synced_verified_and_what_it_dropped_is_pruned() {
    // Given a repository with two ConfigMaps and a Deployment.
    let tenant = Tenant::create(lab().await, "sync").await.unwrap();
    let web = deployment("web", "web:v1", 2, "config");
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("old.yaml", &config_map("old", "x")),
        ("web.yaml", &web),
    ];
    let first = tenant.repo.commit(&files, "Open").await.unwrap();
    // When a Release follows it.
    tenant.release(&json!({})).await.unwrap();
    let status = tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // Then everything is there, carries Belay's marks, and the Release is ready.
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("one")
    );
    let live = tenant.api::<Deployment>().get("web").await.unwrap();
    assert_eq!(live.status.unwrap().available_replicas, Some(2));
    assert_eq!(live.metadata.labels.unwrap()["belay.dev/release"], "shop");
    let ready = status
        .conditions
        .iter()
        .find(|c| c.kind == "Ready")
        .unwrap();
    assert_eq!(ready.status, Truth::True);
    assert_eq!(status.history.len(), 1);
    // When the next commit drops one and changes another.
    tenant.repo.remove(&["old.yaml"], "Drop").await.unwrap();
    let second = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "two"))], "Change")
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    // Then the cluster is what the commit says.
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("two")
    );
    tenant
        .wait("pruned", SOON, |status| status.waiting_for.is_none())
        .await
        .unwrap();
    assert!(
        tenant
            .api::<ConfigMap>()
            .get_opt("old")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_can_do_what_its_account_can_and_nothing_more() {
    // Given a commit with a Secret, which the tenant's account may not create.
    let tenant = Tenant::create(lab().await, "rbac").await.unwrap();
    let first = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "one"))], "Open")
        .await
        .unwrap();
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  password: hunter2\n";
    let files = [
        ("secret.yaml", secret),
        ("config.yaml", &*config_map("config", "two")),
    ];
    let second = tenant.repo.commit(&files, "Add a secret").await.unwrap();
    // Then nothing changes, and the refusal names account, file and object, and no secret.
    let status = tenant.phase(Phase::Refused, &second, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("secret.yaml") && message.contains("Secret"),
        "{message}"
    );
    assert!(
        message.contains(&format!("{}:{ACCOUNT}", tenant.namespace)),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("one")
    );
    assert!(status.verified.unwrap().content.revision.ends_with(&first));
}
