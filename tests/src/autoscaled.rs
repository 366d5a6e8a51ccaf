//! A `HorizontalPodAutoscaler` with its real controller, and the load that it sees: an object of the test. A definition of the group
//! `external.metrics.k8s.io` makes the API server itself answer for it, so that no adapter of metrics is needed.

use belay_lab::wait_for;
use k8s_openapi::{
    api::autoscaling::v2::HorizontalPodAutoscaler,
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams},
    core::GroupVersionKind,
};
use serde_json::{Value, json};

use crate::{Error, scene::SOON};

const GROUP: &str = "external.metrics.k8s.io";

/// The load that the autoscalers of a namespace see, told in pods that it takes.
pub struct Load {
    client: Client,
    namespace: String,
    api: Api<DynamicObject>,
}

impl Load {
    /// Makes the metric known, if it is not, and waits until it is served.
    pub async fn new(client: &Client, namespace: &str) -> Result<Self, Error> {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {
                "name": format!("load.{GROUP}"),
                "annotations": {"api-approved.kubernetes.io": "unapproved, a stand-in for an adapter of metrics"},
            },
            "spec": {
                "group": GROUP, "scope": "Namespaced",
                "names": {"plural": "load", "singular": "load", "kind": "ExternalMetricValue", "listKind": "ExternalMetricValueList"},
                "versions": [{"name": "v1beta1", "served": true, "storage": true, "schema": {"openAPIV3Schema": {
                    "type": "object", "x-kubernetes-preserve-unknown-fields": true}}}],
            },
        });
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        let apply = PatchParams::apply("load").force();
        definitions
            .patch(&format!("load.{GROUP}"), &apply, &Patch::Apply(definition))
            .await?;
        let kind = GroupVersionKind::gvk(GROUP, "v1beta1", "ExternalMetricValue");
        let resource = ApiResource::from_gvk_with_plural(&kind, "load");
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        wait_for("the metric to be served", SOON, || async {
            let list = api.list(&ListParams::default()).await;
            list.map(drop).map_err(|error| error.to_string())
        })
        .await?;
        Ok(Self {
            client: client.clone(),
            namespace: namespace.to_owned(),
            api,
        })
    }

    /// From now on the load is one for so many pods.
    pub async fn takes_pods(&self, pods: u32) -> Result<(), Error> {
        let load = json!({
            "apiVersion": format!("{GROUP}/v1beta1"), "kind": "ExternalMetricValue", "metadata": {"name": "load"},
            "metricName": "load", "metricLabels": {}, "timestamp": "2030-01-01T00:00:00Z", "value": (pods * 10).to_string(),
        });
        let apply = PatchParams::apply("load").force();
        self.api.patch("load", &apply, &Patch::Apply(load)).await?;
        Ok(())
    }

    /// Has a Deployment of the namespace follow the load, from two pods to ten.
    pub async fn scales(&self, deployment: &str) -> Result<(), Error> {
        self.autoscaler(json!({"name": deployment}), deployment)
            .await
    }

    /// The same by an autoscaler with this metadata.
    pub async fn autoscaler(&self, metadata: Value, deployment: &str) -> Result<(), Error> {
        let autoscaler: HorizontalPodAutoscaler = serde_json::from_value(json!({
            "metadata": metadata,
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment},
                "minReplicas": 2, "maxReplicas": 10,
                "metrics": [{"type": "External", "external": {
                    "metric": {"name": "load"}, "target": {"type": "AverageValue", "averageValue": "10"}}}],
                "behavior": {"scaleDown": {"stabilizationWindowSeconds": 0}},
            },
        }))?;
        let api: Api<HorizontalPodAutoscaler> =
            Api::namespaced(self.client.clone(), &self.namespace);
        api.create(&PostParams::default(), &autoscaler).await?;
        Ok(())
    }
}
