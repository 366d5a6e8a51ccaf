//! Configuration that fails: back to what was verified, whatever Git says.

use belay_engine::rollout::status::{Phase, RollbackReason};
use belay_lab::wait_for;
use belay_tests::scene::SOON;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use super::{
    lab,
    reader::{Reader, deployment, template},
};

#[tokio::test(flavor = "multi_thread")]
async fn rejected_configuration_stays_in_git_and_out_of_pods_until_it_changes() {
    // Given a workload, and gates that will not like what comes.
    let reader = Reader::new(
        lab().await,
        "rejected",
        2,
        &json!([{"replicas": 1, "hold": "2s"}]),
    )
    .await;
    let web = &reader.web;
    reader.scene.set_query("gate", "vector(1)").await.unwrap();
    reader.configure("two").await;
    // Then the version is taken back though its ConfigMap stays.
    let status = web.is_in(Phase::Rejected).await.unwrap();
    assert_eq!(status.rollback.unwrap().reason, RollbackReason::GateFailed);
    assert_eq!(reader.pods("web").await.len(), 2);
    reader.replace_a_pod().await;
    reader.read("web", &[("live two", 1), ("one", 1)]).await;
    // The same content again, by whatever way, starts nothing: by a server-side apply, and by one that replaces the whole Deployment.
    reader.configure("two").await;
    reader.apply(2).await;
    let mut whole: k8s_openapi::api::apps::v1::Deployment =
        serde_json::from_value(deployment("web", 2, &template("web"))).unwrap();
    let live = web.deployments().get("web").await.unwrap();
    whole.metadata.labels = live.metadata.labels;
    whole.spec.as_mut().unwrap().paused = Some(true);
    web.deployments()
        .replace("web", &PostParams::default(), &whole)
        .await
        .unwrap();
    wait_for("the stamp to be back", SOON, || async {
        let live = web
            .deployments()
            .get("web")
            .await
            .map_err(|error| error.to_string())?;
        let template = live.spec.unwrap().template.metadata.unwrap();
        let annotations = template.annotations.unwrap_or_default();
        annotations
            .contains_key("belay.dev/config-version")
            .then_some(())
            .ok_or_else(|| format!("{annotations:?}"))
    })
    .await
    .unwrap();
    web.waits_for("Quarantined").await.unwrap();
    reader.read("web", &[("live two", 1), ("one", 1)]).await;
    // When other content comes that the gates like, then it goes through.
    reader.scene.set_query("gate", "vector(0)").await.unwrap();
    reader.configure("three").await;
    reader.read("web", &[("three", 2)]).await;
    web.is_in(Phase::Healthy).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_that_fails_after_its_promotion_goes_back_natively() {
    // Given a workload whose new configuration is promoted and watched.
    let reader = Reader::new(lab().await, "bake", 2, &json!([{"replicas": 1}])).await;
    let bake = json!({"spec": {"verification": {"gates": [{"template": "gate"}], "afterPromotion": {"bake": "1h"}}}});
    let patch = kube::api::Patch::Merge(bake);
    reader
        .web
        .rollouts()
        .patch("web", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    reader.configure("two").await;
    reader.web.is_in(Phase::Baking).await.unwrap();
    reader.read("web", &[("two", 2)]).await;
    // When a gate fails, then all pods read again what was verified, and the content is rejected.
    reader.scene.set_query("gate", "vector(1)").await.unwrap();
    reader.web.is_in(Phase::Rejected).await.unwrap();
    reader.read("web", &[("one", 2)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_waited_for_and_what_is_marked_stays_live() {
    // Given a workload on trial of nothing, whose ConfigMap goes.
    let reader = Reader::new(lab().await, "missing", 1, &json!([{"replicas": 1}])).await;
    let maps = reader.scene.api::<ConfigMap>();
    maps.delete("settings", &DeleteParams::default())
        .await
        .unwrap();
    let status = reader.web.waits_for("Configuration").await.unwrap();
    assert_eq!(status.phase, Phase::Healthy);
    let message = status.waiting_for.unwrap().message;
    assert!(message.contains("ConfigMap settings"), "{message}");
    // Then its pods have their copy still, and a new version does not begin.
    reader.replace_a_pod().await;
    reader.read("web", &[("one", 1)]).await;
    reader.web.set_image("web:v2").await.unwrap();
    reader.web.waits_for("Configuration").await.unwrap();
    assert_eq!(reader.pods("web").await.len(), 1);
    // When it is there again, marked as nobody's version.
    let live = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"key": "live"},
        "metadata": {"name": "settings", "annotations": {"belay.dev/config": "Live"}}});
    let live = serde_json::from_value(live).unwrap();
    maps.create(&PostParams::default(), &live).await.unwrap();
    reader
        .web
        .settled(Phase::Healthy, "v2", SOON)
        .await
        .unwrap();
    reader.read("web", &[("live live", 1)]).await;
}
