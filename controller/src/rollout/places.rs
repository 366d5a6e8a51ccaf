//! Carries out effects on a StatefulSet whose pods change places from one version to the other.

use belay_api::Rollout;
use belay_engine::digest::Digest;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Preconditions},
};

use super::{Shell, lever};
use crate::{Error, Result, client::bounded};

impl Shell {
    pub(super) async fn move_partition(
        &self,
        rollout: &Rollout,
        digest: &Digest,
        resource_version: String,
        partition: i32,
    ) -> Result<()> {
        let change = [lever::move_partition(partition)];
        let what = "moving the partition";
        // Its status changes with each of its pods; the template is what counts.
        self.patch_same_template(rollout, what, digest, resource_version, &change)
            .await
    }

    /// Deletes a pod, provided it is still the observed one.
    pub(super) async fn remove_pod(&self, rollout: &Rollout, name: &str, uid: &str) -> Result<()> {
        self.context.term.check()?;
        let namespace = rollout.namespace().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), &namespace);
        let parameters = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(uid.to_owned()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        match bounded("deleting a pod", api.delete(name, &parameters)).await {
            Ok(_) => Ok(()),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) if error.is_stale() => Err(Error::Stale("another pod has its name")),
            Err(error) => Err(error),
        }
    }
}
