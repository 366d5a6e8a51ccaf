//! Everything of a namespace that can be read without the right to read Secrets, in one text, for tests that look for what must not be
//! in it.

use std::fmt::Debug;

use belay_api::{Action, AnalysisTemplate, Release, Rollout};
use k8s_openapi::api::{
    apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet},
    batch::v1::Job,
    core::v1::{ConfigMap, Pod},
    events::v1::Event,
};
use kube::{Api, api::ListParams, core::NamespaceResourceScope};
use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, installed::Controller, scene::Scene};

/// The controller's log and metrics, and all objects of a scene's namespace that Belay or a workload has there, with their statuses.
pub async fn everything_shown(scene: &Scene, controller: &Controller) -> Result<String, Error> {
    let log = controller.log();
    let unread = || format!("read {}", log.display());
    let parts = [
        std::fs::read_to_string(log).map_err(Error::io(unread()))?,
        controller.metrics().await?,
        all::<Rollout>(scene).await?,
        all::<Release>(scene).await?,
        all::<Action>(scene).await?,
        all::<AnalysisTemplate>(scene).await?,
        all::<Deployment>(scene).await?,
        all::<StatefulSet>(scene).await?,
        all::<DaemonSet>(scene).await?,
        all::<ReplicaSet>(scene).await?,
        all::<ControllerRevision>(scene).await?,
        all::<Pod>(scene).await?,
        all::<Job>(scene).await?,
        all::<ConfigMap>(scene).await?,
        all::<Event>(scene).await?,
    ];
    Ok(parts.join("\n"))
}

async fn all<K>(scene: &Scene) -> Result<String, Error>
where
    K: kube::Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned,
{
    let api: Api<K> = scene.api();
    let list = api.list(&ListParams::default()).await?;
    Ok(serde_json::to_string(&list.items)?)
}
