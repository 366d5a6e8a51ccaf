//! How Flux and Argo CD see a Release that one of them applied.

use belay_api::Release;
use belay_engine::release::Phase;
use belay_tests::{
    elsewhere::Elsewhere,
    tenant::{Tenant, config_map, deployment},
};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{SOON, open};

async fn seen(others: &Elsewhere, tenant: &Tenant) -> [String; 2] {
    let release = tenant.api::<Release>().get("shop").await.unwrap();
    [
        others.to_kstatus(&release).unwrap(),
        others.to_argo_cd("Release", &release).unwrap(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_and_argo_cd_read_a_release_right_from_verified_to_quarantine() {
    let others = Elsewhere::build().await.unwrap();
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("web.yaml", &deployment("web", "web:v1", 1, "config")),
    ];
    let more = json!({"verification": {"timeout": "20s"}});
    let (tenant, _) = open("elsewhere", &files, &more).await;
    assert_eq!(seen(&others, &tenant).await, ["Current", "Healthy"]);
    // When a version comes that never gets ready, then it is on its way,
    let bad = deployment("web", "web:v2-neverready", 1, "config");
    let commit = tenant.repo.commit(&[("web.yaml", &*bad)], "Bad").await;
    let commit = commit.unwrap();
    tenant.phase(Phase::Verifying, &commit, SOON).await.unwrap();
    assert_eq!(seen(&others, &tenant).await, ["InProgress", "Progressing"]);
    // and then has failed.
    tenant.phase(Phase::Rejected, &commit, SOON).await.unwrap();
    assert_eq!(seen(&others, &tenant).await, ["Failed", "Degraded"]);
    // When it is suspended, then Argo CD says so.
    let suspend = json!({"spec": {"suspend": true}});
    let releases = tenant.api::<Release>();
    releases
        .patch("shop", &PatchParams::default(), &Patch::Merge(&suspend))
        .await
        .unwrap();
    assert_eq!(seen(&others, &tenant).await[1], "Suspended");
}
