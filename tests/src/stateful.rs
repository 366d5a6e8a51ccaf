//! A governed StatefulSet, as tests change it and look at it.

use belay_api::Rollout;
use belay_engine::rollout::status::Phase;
use k8s_openapi::api::{apps::v1::StatefulSet, core::v1::Pod};
use kube::{
    Api, ResourceExt as _,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::{
    Error,
    in_place::{self, Pods},
    scene::{SOON, Scene},
    workload::Workload,
};

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
        in_place::live(&self.pods, "db", |pod| Some(pod.name_any())).await
    }

    /// Waits until its pods, in the order of their places, are of these versions.
    pub async fn runs(&self, tags: &[&str]) -> Result<Pods, Error> {
        in_place::runs(|| self.pods(), tags).await
    }
}

/// The Rollout `db` with this spec, which lacks only its `workloadRef`.
pub fn rollout(spec: Value) -> Result<Rollout, Error> {
    in_place::rollout("StatefulSet", "db", spec)
}

/// A spec with these steps and gates.
pub fn canary(steps: &Value, gates: &[&str]) -> Value {
    let gates: Vec<Value> = gates.iter().map(|gate| json!({"template": gate})).collect();
    json!({"strategy": {"canary": {"steps": steps}}, "verification": {"gates": gates}})
}
