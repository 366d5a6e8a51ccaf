//! How Flux and Argo CD see a Rollout and its Deployment, from an idle one to a version that is kept out.

use belay_engine::rollout::status::Phase;
use belay_tests::{
    elsewhere::Elsewhere,
    scene::{SOON, Scene},
    workload::Workload,
};
use serde_json::json;

use super::lab;

/// What kstatus says of the Rollout, Argo CD of the Rollout, and kstatus of the Deployment.
async fn seen(others: &Elsewhere, web: &Workload) -> [String; 3] {
    let rollout = web.rollouts().get("web").await.unwrap();
    let mut deployment = serde_json::to_value(web.deployments().get("web").await.unwrap()).unwrap();
    deployment["apiVersion"] = json!("apps/v1");
    deployment["kind"] = json!("Deployment");
    [
        others.to_kstatus(&rollout).unwrap(),
        others.to_argo_cd("Rollout", &rollout).unwrap(),
        others.to_kstatus(&deployment).unwrap(),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn flux_and_argo_cd_read_a_rollout_right_from_idle_to_quarantine() {
    let others = Elsewhere::build().await.unwrap();
    let scene = Scene::new(lab().await, "elsewhere").await.unwrap();
    scene.gate("errors", "vector(0)").await.unwrap();
    let steps = json!([{"weight": 25, "approval": true}]);
    let web = scene.workload("web", 4, &steps, &["errors"]).await.unwrap();
    // When nothing is asked for, then both are well.
    assert_eq!(seen(&others, &web).await, ["Current", "Healthy", "Current"]);
    // When a canary waits for a person, then it is on its way, and the Deployment too.
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Approval").await.unwrap();
    assert_eq!(
        seen(&others, &web).await,
        ["InProgress", "Suspended", "InProgress"]
    );
    // When it is approved and verified, then both are well again.
    scene.act("web", "Approve").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    assert_eq!(seen(&others, &web).await, ["Current", "Healthy", "Current"]);
    // When a version fails and is kept out, then the Rollout says that it failed, and the Deployment never gets there.
    scene.set_query("errors", "vector(1)").await.unwrap();
    web.set_image("web:v3").await.unwrap();
    web.is_in(Phase::Rejected).await.unwrap();
    assert_eq!(
        seen(&others, &web).await,
        ["Failed", "Degraded", "InProgress"]
    );
}
