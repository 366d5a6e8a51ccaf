//! A governed StatefulSet, as tests change it and look at it.

use std::collections::BTreeMap;

use belay_api::Rollout;
use belay_engine::rollout::status::Phase;
use belay_lab::wait_for;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    Error,
    scene::{SOON, Scene},
    workload::Workload,
};

/// Name of each pod with its image's tag and its UID.
pub type Pods = BTreeMap<String, (String, String)>;

/// A StatefulSet of the name `db`, and its Rollout of the same name.
pub struct Db {
    /// StatefulSets of its namespace.
    pub sets: Api<StatefulSet>,
    /// Its Rollout.
    pub rollout: Workload,
    pods: Api<Pod>,
}

impl Db {
    /// A healthy one of three pods that run `v1`. `management` is its `podManagementPolicy`, `spec` its Rollout's spec without the
    /// `workloadRef`.
    pub async fn healthy(scene: &Scene, management: &str, spec: Value) -> Result<Self, Error> {
        let db = Self {
            sets: scene.api(),
            pods: scene.api(),
            rollout: Workload::existing(&scene.client, &scene.namespace, "db"),
        };
        let set = serde_json::from_value(json!({
            "metadata": {"name": "db"},
            "spec": {
                "replicas": 3, "serviceName": "db", "podManagementPolicy": management,
                "selector": {"matchLabels": {"app": "db"}},
                "template": {
                    "metadata": {"labels": {"app": "db"}},
                    "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": "db:v1"}]},
                },
            },
        }))?;
        db.sets.create(&PostParams::default(), &set).await?;
        let rollouts = db.rollout.rollouts();
        rollouts
            .create(&PostParams::default(), &rollout(spec)?)
            .await?;
        db.rollout.settled(Phase::Healthy, "v1", SOON).await?;
        Ok(db)
    }

    /// Changes it as `kubectl patch` does.
    pub async fn patch(&self, patch: Value) -> Result<(), Error> {
        let parameters = PatchParams::default();
        self.sets
            .patch("db", &parameters, &Patch::Strategic(patch))
            .await?;
        Ok(())
    }

    /// Asks for another image.
    pub async fn set_image(&self, image: &str) -> Result<(), Error> {
        let containers = json!([{"name": "main", "image": image}]);
        self.patch(json!({"spec": {"template": {"spec": {"containers": containers}}}}))
            .await
    }

    /// Its partition.
    pub async fn partition(&self) -> Result<i32, Error> {
        let set = self.sets.get("db").await?;
        let strategy = set.spec.and_then(|spec| spec.update_strategy);
        let rolling = strategy.and_then(|strategy| strategy.rolling_update);
        let partition = rolling.and_then(|rolling| rolling.partition);
        partition.ok_or_else(|| Error::Broken("it has no partition".to_owned()))
    }

    /// The image that its template asks for.
    pub async fn image(&self) -> Result<String, Error> {
        let set = self.sets.get("db").await?;
        let pod = set.spec.and_then(|spec| spec.template.spec);
        let image = pod.and_then(|pod| pod.containers.into_iter().next()?.image);
        Ok(image.unwrap_or_default())
    }

    /// Its pods that are not going away.
    pub async fn pods(&self) -> Result<Pods, Error> {
        let list = self
            .pods
            .list(&ListParams::default().labels("app=db"))
            .await?;
        let live = list
            .into_iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        Ok(live
            .map(|pod| {
                let (name, uid) = (pod.name_any(), pod.uid().unwrap_or_default());
                let containers = pod.spec.map(|spec| spec.containers).unwrap_or_default();
                let image = containers.into_iter().find_map(|main| main.image);
                let tag = image.unwrap_or_default().replace("db:", "");
                (name, (tag, uid))
            })
            .collect())
    }

    /// Waits until its pods, in the order of their places, are of these versions.
    pub async fn runs(&self, tags: &[&str]) -> Result<Pods, Error> {
        let runs = wait_for("the pods of each version", SOON, || async {
            let pods = self.pods().await.map_err(|error| error.to_string())?;
            let present: Vec<&str> = pods.values().map(|(tag, _)| tag.as_str()).collect();
            if present == tags {
                Ok(pods)
            } else {
                Err(format!("{present:?}"))
            }
        });
        Ok(runs.await?)
    }
}

/// The Rollout `db` with this spec, which lacks only its `workloadRef`.
pub fn rollout(mut spec: Value) -> Result<Rollout, Error> {
    if let Some(spec) = spec.as_object_mut() {
        let workload = json!({"kind": "StatefulSet", "name": "db"});
        spec.insert("workloadRef".to_owned(), workload);
    }
    Ok(serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "db"}, "spec": spec,
    }))?)
}

/// A spec with these steps and gates.
pub fn canary(steps: &Value, gates: &[&str]) -> Value {
    let gates: Vec<Value> = gates.iter().map(|gate| json!({"template": gate})).collect();
    json!({"strategy": {"canary": {"steps": steps}}, "verification": {"gates": gates}})
}
