//! No Git, and no cache either.

use belay_engine::{condition::Truth, release::Phase};
use belay_lab::Part;
use belay_tests::{
    tenant::{Tenant, config_map, deployment},
    told::condition,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use serde_json::json;

use super::{SOON, turn};

#[tokio::test(flavor = "multi_thread")]
async fn without_git_the_last_state_runs_on_and_a_rollback_needs_only_the_cluster() {
    let turn = turn().await;
    let tenant = Tenant::create(turn.lab, "no-git").await.unwrap();
    let controller = turn.controller("no-git").await.unwrap();
    let config = config_map("config", "v1");
    let files = [
        ("config.yaml", &*config),
        ("web.yaml", &deployment("web", "web:v1", 2, "config")),
    ];
    let first = tenant.repo.commit(&files, "v1").await.unwrap();
    let more = json!({"verification": {"timeout": "15s"}});
    tenant.release(&more).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // When a version that never becomes ready is being verified, Git goes away, and the controller is killed and loses its cache.
    let bad = deployment("web", "web:v2-neverready", 2, "config");
    let second = tenant
        .repo
        .commit(&[("web.yaml", &bad)], "v2")
        .await
        .unwrap();
    tenant.phase(Phase::Verifying, &second, SOON).await.unwrap();
    turn.lab.stop(Part::Git).await.unwrap();
    controller.kill().await.unwrap();
    std::fs::remove_dir_all(turn.lab.dir().join("no-git-cache")).unwrap();
    let controller = turn.controller("no-git").await.unwrap();
    // Then it is rolled back all the same, and the status says since when Git is away.
    let status = tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    assert!(status.verified.unwrap().content.revision.ends_with(&first));
    let live = tenant.api::<Deployment>().get("web").await.unwrap();
    let image = live.spec.unwrap().template.spec.unwrap().containers[0]
        .image
        .clone();
    assert_eq!(image.as_deref(), Some("web:v1"));
    let status = tenant
        .wait("the source to be away", SOON, |status| {
            status.source.is_some()
        })
        .await
        .unwrap();
    let away = condition(&status.conditions, "SourceAvailable").unwrap();
    assert_eq!(away.status, Truth::False);
    // Drift is put right without Git, too.
    let deleted = tenant.api::<ConfigMap>();
    deleted
        .delete("config", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    tenant.value_is("config", Some("v1"), SOON).await.unwrap();
    // When Git is back, then a fixing commit goes through.
    turn.lab.start(Part::Git).await.unwrap();
    let good = deployment("web", "web:v3", 2, "config");
    let third = tenant
        .repo
        .commit(&[("web.yaml", &good)], "v3")
        .await
        .unwrap();
    let status = tenant.phase(Phase::Verified, &third, SOON).await.unwrap();
    assert_eq!(status.source, None);
    controller.terminate().await.unwrap();
}
