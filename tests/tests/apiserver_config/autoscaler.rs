//! A `HorizontalPodAutoscaler` on a governed workload, with its real controller. What it measures are objects of this test: a definition of
//! the group `external.metrics.k8s.io` makes the API server itself answer for them.

use belay_engine::rollout::status::Phase;
use belay_lab::{wait_for, wait_for_object};
use belay_tests::{
    scene::{SOON, Scene},
    workload::Workload,
};
use k8s_openapi::{
    api::{apps::v1::Deployment, autoscaling::v2::HorizontalPodAutoscaler},
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::json;

use super::lab;

/// The autoscaler looks each 15 seconds.
const SCALED_WITHIN: std::time::Duration = std::time::Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_is_followed_in_mid_canary_and_is_the_only_writer_of_replicas() {
    // Given a workload of two pods with an autoscaler, which sees a load for two.
    let scene = Scene::new(lab().await, "hpa").await.unwrap();
    let load = Load::new(&scene).await;
    load.set(20).await;
    let steps = json!([{"replicas": "50%", "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    let autoscaler = json!({
        "metadata": {"name": "web"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
            "minReplicas": 2, "maxReplicas": 10,
            "metrics": [{"type": "External", "external": {
                "metric": {"name": "load"}, "target": {"type": "AverageValue", "averageValue": "10"}}}],
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
        },
    });
    let autoscaler = serde_json::from_value(autoscaler).unwrap();
    let autoscalers = scene.api::<HorizontalPodAutoscaler>();
    autoscalers
        .create(&PostParams::default(), &autoscaler)
        .await
        .unwrap();
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
    load.set(40).await;
    runs(&web, 4, &[("v1", 4), ("v2", 2)]).await;
    let status = web.waits_for("Hold").await.unwrap();
    assert_eq!(status.candidate.unwrap().started_at, started);
    // When the candidate is promoted while the load changes again, then all of it is followed.
    scene.act("web", "Promote").await.unwrap();
    load.set(60).await;
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    runs(&web, 6, &[("v2", 6)]).await;
    load.set(30).await;
    runs(&web, 3, &[("v2", 3)]).await;
    // Then nobody but the autoscaler and who made the workload ever wrote its size.
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
    assert!(!writers.is_empty());
}

/// Waits until the workload has this size, and these versions these pods.
async fn runs(web: &Workload, replicas: i32, expected: &[(&str, i32)]) {
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

/// The load that the autoscaler sees.
struct Load(Api<DynamicObject>);

impl Load {
    async fn new(scene: &Scene) -> Self {
        let definition = json!({
            "metadata": {
                "name": "load.external.metrics.k8s.io",
                "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for an adapter of metrics"},
            },
            "spec": {
                "group": "external.metrics.k8s.io", "scope": "Namespaced",
                "names": {"plural": "load", "singular": "load", "kind": "ExternalMetricValue", "listKind": "ExternalMetricValueList"},
                "versions": [{"name": "v1beta1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
            },
        });
        let definition = serde_json::from_value(definition).unwrap();
        let definitions: Api<CustomResourceDefinition> = Api::all(scene.client.clone());
        definitions
            .create(&PostParams::default(), &definition)
            .await
            .unwrap();
        let kind =
            GroupVersionKind::gvk("external.metrics.k8s.io", "v1beta1", "ExternalMetricValue");
        let resource = ApiResource::from_gvk_with_plural(&kind, "load");
        let api: Api<DynamicObject> =
            Api::namespaced_with(scene.client.clone(), &scene.namespace, &resource);
        wait_for("the metric to be served", SOON, || async {
            let list = api.list(&ListParams::default()).await;
            list.map(drop).map_err(|error| error.to_string())
        })
        .await
        .unwrap();
        Self(api)
    }

    async fn set(&self, value: u32) {
        let load = json!({
            "apiVersion": "external.metrics.k8s.io/v1beta1", "kind": "ExternalMetricValue", "metadata": {"name": "load"},
            "metricName": "load", "metricLabels": {}, "timestamp": "2030-01-01T00:00:00Z", "value": value.to_string(),
        });
        let apply = PatchParams::apply("load").force();
        self.0
            .patch("load", &apply, &Patch::Apply(load))
            .await
            .unwrap();
    }
}
