//! Belay leaves: pods that are made from then on read what they find.

use belay_api::Rollout;
use belay_engine::config::STAMP_ANNOTATION;
use belay_lab::wait_for_object;
use belay_tests::scene::SOON;
use kube::api::DeleteParams;
use serde_json::json;

use super::{lab, reader::Reader};

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_rollout_takes_its_stamps_along_and_restarts_nothing() {
    // Given a workload with a canary of other configuration.
    let reader = Reader::new(
        lab().await,
        "leave",
        2,
        &json!([{"replicas": 1, "hold": "1h"}]),
    )
    .await;
    let mut before: Vec<String> = reader
        .pods("web")
        .await
        .iter()
        .map(kube::ResourceExt::name_any)
        .collect();
    reader.configure("two").await;
    reader.on_trial().await;
    // When its Rollout is deleted.
    let rollouts = reader.web.rollouts();
    rollouts
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    wait_for_object(&rollouts, "web", SOON, |rollout: Option<&Rollout>| {
        rollout.map_or(Ok(()), |rollout| Err(format!("{:?}", rollout.status)))
    })
    .await
    .unwrap();
    // Then the Deployment is as its author wrote it, runs by itself, and kept its pods.
    reader.read("web", &[("live two", 2)]).await;
    let mut after: Vec<String> = reader
        .pods("web")
        .await
        .iter()
        .map(kube::ResourceExt::name_any)
        .collect();
    before.sort();
    after.sort();
    assert_eq!(after, before);
    let deployment = reader.web.deployments().get("web").await.unwrap();
    let spec = deployment.spec.unwrap();
    assert_ne!(spec.paused, Some(true));
    let annotations = spec
        .template
        .metadata
        .unwrap()
        .annotations
        .unwrap_or_default();
    assert!(
        !annotations.contains_key(STAMP_ANNOTATION),
        "{annotations:?}"
    );
}
