//! A governed workload as benchmarks use it: one Deployment, one Rollout, and what is waited for.

use std::time::Duration;

use belay_api::Rollout;
use belay_engine::rollout::status::Phase;
use belay_lab::wait_for_object;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::Error;

/// A Deployment and its Rollout, both of this name.
#[derive(Clone)]
pub struct Workload {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    client: Client,
}

impl Workload {
    /// Creates both. `strategy_and_more` is the Rollout's spec without its `workloadRef`.
    pub async fn create(
        client: &Client,
        namespace: &str,
        name: &str,
        replicas: i32,
        image: &str,
        strategy_and_more: serde_json::Value,
    ) -> Result<Self, Error> {
        let workload = Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            client: client.clone(),
        };
        let deployment = serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {"app": name}},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"app": name}},
                "strategy": {"rollingUpdate": {"maxSurge": "25%", "maxUnavailable": 0}},
                "template": {
                    "metadata": {"labels": {"app": name}},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": image}]},
                },
            },
        }))?;
        workload
            .deployments()
            .create(&PostParams::default(), &deployment)
            .await?;
        let mut spec = strategy_and_more;
        if let Some(spec) = spec.as_object_mut() {
            spec.insert("workloadRef".to_owned(), json!({"name": name}));
        }
        let rollout = serde_json::from_value(
            json!({"apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": spec}),
        )?;
        workload
            .rollouts()
            .create(&PostParams::default(), &rollout)
            .await?;
        Ok(workload)
    }

    /// One that was created in another way.
    pub fn existing(client: &Client, namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            client: client.clone(),
        }
    }

    /// Deployments of its namespace.
    pub fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Rollouts of its namespace.
    pub fn rollouts(&self) -> Api<Rollout> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Its ReplicaSets as they are now, whoever controls them.
    pub async fn sets(&self) -> Result<Vec<SetView>, Error> {
        let api: Api<ReplicaSet> = Api::namespaced(self.client.clone(), &self.namespace);
        let list = api
            .list(&ListParams::default().labels(&format!("app={}", self.name)))
            .await?;
        Ok(list.items.into_iter().map(SetView::of).collect())
    }

    /// Asks for another image, as `kubectl set image` does.
    pub async fn set_image(&self, image: &str) -> Result<(), Error> {
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "main", "image": image}]}}}});
        self.deployments()
            .patch(
                &self.name,
                &PatchParams::default(),
                &Patch::Strategic(patch),
            )
            .await?;
        Ok(())
    }

    /// Waits until the Rollout is in this phase with this version (the tag of the image) as its stable one.
    pub async fn settled(
        &self,
        phase: Phase,
        stable: &str,
        within: Duration,
    ) -> Result<Rollout, Error> {
        wait_for_object(
            &self.rollouts(),
            &self.name,
            within,
            |rollout: Option<&Rollout>| {
                let rollout = rollout.ok_or("it does not exist")?;
                let status = rollout.status.as_ref().ok_or("it has no status")?;
                let version = status
                    .stable
                    .as_ref()
                    .map(|stable| stable.version.as_str())
                    .unwrap_or_default();
                if status.phase == phase && version.contains(stable) {
                    Ok(rollout.clone())
                } else {
                    Err(format!(
                        "{:?}, stable {version:?}, waiting for {:?}",
                        status.phase, status.waiting_for
                    ))
                }
            },
        )
        .await
        .map_err(Error::from)
    }
}

/// A ReplicaSet, as tests look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetView {
    /// Name.
    pub name: String,
    /// Kind of the controlling owner.
    pub owner: String,
    /// Image of the first container.
    pub image: String,
    /// Pods that it is to have.
    pub desired: i32,
}

impl SetView {
    fn of(set: ReplicaSet) -> Self {
        let owner = set
            .owner_references()
            .iter()
            .find(|owner| owner.controller == Some(true))
            .map(|owner| owner.kind.clone());
        let name = set.name_any();
        let spec = set.spec.unwrap_or_default();
        let containers = spec
            .template
            .and_then(|template| template.spec)
            .map(|pod| pod.containers);
        let image = containers.and_then(|containers| containers.into_iter().next()?.image);
        Self {
            name,
            owner: owner.unwrap_or_default(),
            image: image.unwrap_or_default(),
            desired: spec.replicas.unwrap_or_default(),
        }
    }
}
