//! A `HorizontalPodAutoscaler` on a governed workload, with its real controller.

use belay_engine::rollout::status::Phase;
use belay_lab::{wait_for, wait_for_object};
use belay_tests::{
    autoscaled::Load,
    scene::{SOON, Scene},
    workload::Workload,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;
use serde_json::json;

use super::lab;

/// The autoscaler looks each few seconds, and there are several changes.
const SCALED_WITHIN: std::time::Duration = std::time::Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_is_followed_in_mid_canary_and_is_the_only_writer_of_replicas() {
    // Given a workload of two pods with an autoscaler, which sees a load for two.
    let scene = Scene::new(lab().await, "hpa").await.unwrap();
    let load = Load::new(&scene.client, &scene.namespace).await.unwrap();
    load.takes_pods(2).await.unwrap();
    let steps = json!([{"replicas": "50%", "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    load.scales("web").await.unwrap();
    web.set_image("web:v2").await.unwrap();
    let started = web
        .waits_for("Hold")
        .await
        .unwrap()
        .candidate
        .unwrap()
        .started_at;
    runs(&web, 2, &[("v1", 2), ("v2", 1)]).await;
    // When the load doubles in mid-canary, then the stable version has the pods for it, and the candidate its share, in the same trial.
    load.takes_pods(4).await.unwrap();
    runs(&web, 4, &[("v1", 4), ("v2", 2)]).await;
    let status = web.waits_for("Hold").await.unwrap();
    assert_eq!(status.candidate.unwrap().started_at, started);
    // When the candidate is promoted while the load changes again, then all of it is followed.
    scene.act("web", "Promote").await.unwrap();
    load.takes_pods(6).await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    runs(&web, 6, &[("v2", 6)]).await;
    load.takes_pods(3).await.unwrap();
    runs(&web, 3, &[("v2", 3)]).await;
    // Then nobody but the autoscaler and who made the workload ever wrote its size.
    assert!(!never_wrote_replicas(&web).await.is_empty());
}

/// Belay has no part in the workload's size. Gives those who have, as far as the API server keeps account of them: after several writers of
/// the scale subresource it may know none.
pub(crate) async fn never_wrote_replicas(web: &Workload) -> Vec<String> {
    let deployment = web.deployments().get("web").await.unwrap();
    let writers: Vec<String> = deployment
        .managed_fields()
        .iter()
        .filter(|entry| {
            json!(entry.fields_v1).to_string().contains("f:replicas")
                && entry.subresource.as_deref() != Some("status")
        })
        .filter_map(|entry| entry.manager.clone())
        .collect();
    assert!(
        !writers.iter().any(|writer| writer.contains("belay")),
        "{writers:?}"
    );
    writers
}

/// Waits until the workload has this size, and these versions these pods.
pub(crate) async fn runs(web: &Workload, replicas: i32, expected: &[(&str, i32)]) {
    wait_for_object(
        &web.deployments(),
        "web",
        SCALED_WITHIN,
        |d: Option<&Deployment>| {
            let now = d
                .and_then(|d| d.spec.as_ref())
                .and_then(|spec| spec.replicas);
            if now == Some(replicas) {
                Ok(())
            } else {
                Err(format!("{now:?} replicas, not {replicas}"))
            }
        },
    )
    .await
    .unwrap();
    wait_for("the versions to have their pods", SOON, || async {
        let sets = web.sets().await.map_err(|error| error.to_string())?;
        let mut found: Vec<(String, i32)> = sets
            .iter()
            .filter(|set| set.desired > 0)
            .map(|set| (set.image.replace("web:", ""), set.desired))
            .collect();
        found.sort();
        let expected: Vec<(String, i32)> = expected
            .iter()
            .map(|(tag, pods)| ((*tag).to_owned(), *pods))
            .collect();
        if found == expected {
            Ok(())
        } else {
            Err(format!("{found:?}"))
        }
    })
    .await
    .unwrap();
}
