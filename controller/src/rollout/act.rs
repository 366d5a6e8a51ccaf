//! Carries out effects on workloads and Actions.
//!
//! Invariant: nothing is written without a valid lease and a precondition. A precondition that does not hold ends the pass with
//! [`Error::Stale`]: the next one decides on what is there now. What the API server gives back goes into the stores at once.

use std::fmt::Debug;

use belay_api::{Action, ActionStatus, Rollout, names::ROLLOUT_LABEL, rollout::WorkloadKind};
use belay_engine::{
    action::Receipt,
    digest::{Digest, without_hash},
    rollout::{Effect, Guard},
};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, Patch},
};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Shell, lever, pass::parameters, project, world::set_resource};
use crate::{Error, Result, client::bounded, watch::store::Source};

/// How often a write is tried again on a newer version of its object, where that is as good.
const NEWER_VERSIONS: usize = 4;

impl Shell {
    /// Carries out one effect.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each effect, and the compiler sees that none is forgotten"
    )]
    pub(super) async fn act(&self, rollout: &Rollout, effect: Effect) -> Result<()> {
        match effect {
            Effect::Adopt => self.adopt(rollout).await,
            Effect::Pause { resource_version } => {
                let hold = [lever::hold(rollout.spec.workload_ref.kind)];
                self.patch_workload(rollout, "holding the workload", &resource_version, &hold)
                    .await
            }
            Effect::CreateCandidate {
                digest,
                hash,
                replicas,
            } => {
                self.create_candidate(rollout, &digest, &hash, replicas)
                    .await
            }
            Effect::ScaleCandidate { name, replicas, .. } => {
                self.scale_candidate(rollout, &name, replicas).await
            }
            Effect::RemoveCandidate {
                name,
                uid,
                resource_version,
            } => {
                self.remove_candidate(rollout, &name, &uid, &resource_version)
                    .await
            }
            Effect::MovePartition {
                digest,
                resource_version,
                partition,
            } => {
                self.move_partition(rollout, &digest, resource_version, partition)
                    .await
            }
            Effect::RemovePod { name, uid } => self.remove_pod(rollout, &name, &uid).await,
            Effect::HandOver {
                name,
                resource_version,
            } => self.hand_over(rollout, &name, &resource_version).await,
            Effect::TakeBack {
                name,
                resource_version,
            } => self.take_back(rollout, &name, &resource_version).await,
            Effect::Resume {
                digest,
                resource_version,
                guard,
            } => self.resume(rollout, &digest, resource_version, guard).await,
            Effect::RestoreTemplate {
                hash,
                digest,
                resource_version,
            } => {
                self.restore(rollout, &hash, &digest, &resource_version)
                    .await
            }
            Effect::Acknowledge(receipt) => self.acknowledge(rollout, receipt).await,
            Effect::LetGo {
                resume,
                resource_version,
            } => self.let_go(rollout, resume, &resource_version).await,
            Effect::Finish => self.remove_finalizer(rollout).await,
            Effect::Stamp {
                stamp,
                resource_version,
            } => self.stamp(rollout, stamp.as_ref(), &resource_version).await,
            Effect::StampSet {
                name,
                stamp,
                resource_version,
            } => {
                self.stamp_set(rollout, &name, stamp.as_ref(), &resource_version)
                    .await
            }
            Effect::RemakeCopy {
                kind,
                name,
                hash,
                from,
            } => self.remake_copy(rollout, kind, &name, &hash, &from).await,
            Effect::SweepConfig { copies } => self.sweep_config(rollout, copies).await,
            Effect::EnsureService {
                service,
                side,
                hash,
            } => self.ensure_service(rollout, &service, side, &hash).await,
            Effect::RemoveService { service, side } => {
                self.remove_service(rollout, &service, side).await
            }
            Effect::PinService { service, hash } => {
                self.pin_service(rollout, &service, &hash).await
            }
            Effect::UnpinService { service } => self.unpin_service(rollout, &service).await,
            Effect::SetRoute {
                id,
                service,
                split,
                resource_version,
            } => {
                self.set_route(rollout, &id, &service, &split, &resource_version)
                    .await
            }
            Effect::SendRouteHome {
                id,
                service,
                resource_version,
            } => {
                self.send_route_home(rollout, &id, &service, &resource_version)
                    .await
            }
        }
    }

    pub(super) fn workload_api(&self, rollout: &Rollout) -> Api<DynamicObject> {
        let namespace = rollout.namespace().unwrap_or_default();
        Api::namespaced_with(
            self.context.client.clone(),
            &namespace,
            &lever::resource(rollout.spec.workload_ref.kind),
        )
    }

    pub(super) fn set_api(&self, rollout: &Rollout) -> Api<DynamicObject> {
        let namespace = rollout.namespace().unwrap_or_default();
        Api::namespaced_with(self.context.client.clone(), &namespace, &set_resource())
    }

    /// Puts the label on. The label can be there with another value only if that names nobody.
    async fn adopt(&self, rollout: &Rollout) -> Result<()> {
        self.context.term.check()?;
        let name = &rollout.spec.workload_ref.name;
        let label = json!({"metadata": {"labels": {ROLLOUT_LABEL: rollout.name_any()}}});
        let (api, parameters, patch) = (
            self.workload_api(rollout),
            parameters(),
            Patch::Merge(&label),
        );
        let adopted = bounded(
            "labelling the workload",
            api.patch(name, &parameters, &patch),
        )
        .await
        .map_err(gone_is_stale)?;
        let kind = rollout.spec.workload_ref.kind;
        self.world.saw_workload(kind, &adopted, Source::Answer);
        Ok(())
    }

    async fn resume(
        &self,
        rollout: &Rollout,
        digest: &Digest,
        resource_version: String,
        guard: Guard,
    ) -> Result<()> {
        let resume = [lever::release(rollout.spec.workload_ref.kind)];
        let what = "letting the workload roll";
        match guard {
            Guard::Template => {
                self.patch_same_template(rollout, what, digest, resource_version, &resume)
                    .await
            }
            Guard::Unchanged => {
                self.patch_workload(rollout, what, &resource_version, &resume)
                    .await
            }
        }
    }

    /// A patch of the workload that is as good on a newer version of it, as long as the template is the same.
    pub(super) async fn patch_same_template(
        &self,
        rollout: &Rollout,
        what: &'static str,
        digest: &Digest,
        resource_version: String,
        operations: &[Value],
    ) -> Result<()> {
        let mut version = resource_version;
        for _ in 0..NEWER_VERSIONS {
            match self
                .patch_workload(rollout, what, &version, operations)
                .await
            {
                Err(error) if error.is_stale() => {
                    version = self.version_with(rollout, digest).await?;
                }
                outcome => return outcome,
            }
        }
        Err(Error::Stale("the workload is being changed all the time"))
    }

    /// The newest version of the workload, provided it has the template that the decision was about.
    async fn version_with(&self, rollout: &Rollout, digest: &Digest) -> Result<String> {
        let name = &rollout.spec.workload_ref.name;
        let object = bounded("reading the workload", self.workload_api(rollout).get(name))
            .await
            .map_err(gone_is_stale)?;
        if project::template(&object.data).digest != *digest {
            return Err(Error::Stale("the workload has another template"));
        }
        Ok(object.resource_version().unwrap_or_default())
    }

    /// Writes the template of the ReplicaSet or revision with `hash` back into the workload.
    async fn restore(
        &self,
        rollout: &Rollout,
        hash: &str,
        digest: &Digest,
        resource_version: &str,
    ) -> Result<()> {
        let kind = rollout.spec.workload_ref.kind;
        let template = match kind {
            WorkloadKind::Deployment => self.template_of_set(rollout, hash).await?,
            WorkloadKind::StatefulSet => self.template_of_revision(rollout, hash).await?,
            WorkloadKind::DaemonSet => {
                let name = format!("{}-{hash}", rollout.spec.workload_ref.name);
                self.template_of_revision(rollout, &name).await?
            }
        };
        if project::template_of(&template).digest != *digest {
            return Err(Error::Stale("what to go back to has another template"));
        }
        let restore = [
            json!({"op": "replace", "path": "/spec/template", "value": template}),
            lever::release(kind),
        ];
        let what = "writing the stable template back";
        self.patch_workload(rollout, what, resource_version, &restore)
            .await
    }

    async fn template_of_set(&self, rollout: &Rollout, hash: &str) -> Result<Value> {
        let namespace = rollout.namespace().unwrap_or_default();
        let sets = self.world.sets.group(&namespace, &rollout.name_any());
        let name = sets
            .iter()
            .find(|set| set.view.hash == hash)
            .map(|set| set.view.name.clone())
            .ok_or(Error::Stale("the ReplicaSet to go back to is gone"))?;
        let object = bounded("reading a ReplicaSet", self.set_api(rollout).get(&name))
            .await
            .map_err(gone_is_stale)?;
        Ok(object
            .data
            .pointer("/spec/template")
            .map(without_hash)
            .unwrap_or_default())
    }

    async fn let_go(&self, rollout: &Rollout, resume: bool, resource_version: &str) -> Result<()> {
        // A merge takes away a label whether it is there or not; with its own version in it, it is refused when that is late.
        let metadata =
            json!({"resourceVersion": resource_version, "labels": {ROLLOUT_LABEL: null}});
        let patch = if resume {
            json!({"metadata": metadata, "spec": lever::released(rollout.spec.workload_ref.kind)})
        } else {
            json!({ "metadata": metadata })
        };
        let what = "letting the workload go";
        self.write_workload(rollout, what, &Patch::Merge(patch))
            .await?;
        self.unlabel_sets(rollout).await;
        Ok(())
    }

    /// Takes the label off the Deployment's ReplicaSets. What fails here only leaves a label behind.
    async fn unlabel_sets(&self, rollout: &Rollout) {
        let namespace = rollout.namespace().unwrap_or_default();
        let label = json!({"metadata": {"labels": {ROLLOUT_LABEL: null}}});
        for set in self.world.sets.group(&namespace, &rollout.name_any()) {
            let api = self.set_api(rollout);
            let (parameters, patch) = (parameters(), Patch::Merge(&label));
            let write = api.patch(&set.view.name, &parameters, &patch);
            if let Err(error) = bounded("taking the label off a ReplicaSet", write).await {
                tracing::debug!(%error, namespace, set = set.view.name, "the label stays");
            }
        }
    }

    /// One JSON patch of the workload, provided it has this resource version.
    async fn patch_workload(
        &self,
        rollout: &Rollout,
        what: &'static str,
        resource_version: &str,
        operations: &[Value],
    ) -> Result<()> {
        let patch = guarded(resource_version, operations)?;
        self.write_workload(rollout, what, &patch).await
    }

    pub(super) async fn write_workload<P: Serialize + Debug>(
        &self,
        rollout: &Rollout,
        what: &'static str,
        patch: &Patch<P>,
    ) -> Result<()> {
        self.context.term.check()?;
        let name = &rollout.spec.workload_ref.name;
        let (api, parameters) = (self.workload_api(rollout), parameters());
        let changed = bounded(what, api.patch(name, &parameters, patch))
            .await
            .map_err(gone_is_stale)?;
        let kind = rollout.spec.workload_ref.kind;
        self.world.saw_workload(kind, &changed, Source::Answer);
        Ok(())
    }

    /// Copies a receipt into its Action.
    async fn acknowledge(&self, rollout: &Rollout, receipt: Receipt) -> Result<()> {
        self.context.term.check()?;
        let namespace = rollout.namespace().unwrap_or_default();
        let status = ActionStatus {
            outcome: Some(receipt.outcome),
            message: Some(receipt.message),
            decided_at: Some(receipt.at),
        };
        // Another Action of the same name has another UID, and gives a conflict.
        let patch = json!({"metadata": {"uid": receipt.uid}, "status": status});
        let api: Api<Action> = Api::namespaced(self.context.client.clone(), &namespace);
        let (parameters, patch) = (parameters(), Patch::Merge(&patch));
        let write = api.patch_status(&receipt.name, &parameters, &patch);
        match bounded("writing an Action's outcome", write).await {
            Ok(_) => {}
            Err(error) if error.is_not_found() || error.is_stale() => {
                tracing::debug!(%error, namespace, action = receipt.name, "the Action is gone");
            }
            Err(error) => return Err(error),
        }
        self.world
            .acts
            .settled(&namespace, &receipt.name, &receipt.uid);
        Ok(())
    }
}

/// A JSON patch with the resource version as precondition. Setting it (instead of testing it) makes the API server answer a stale
/// one with a conflict.
pub(super) fn guarded(resource_version: &str, operations: &[Value]) -> Result<Patch<()>> {
    let version =
        json!({"op": "replace", "path": "/metadata/resourceVersion", "value": resource_version});
    let all: Vec<&Value> = std::iter::once(&version).chain(operations).collect();
    Ok(Patch::Json(serde_json::from_value(json!(all))?))
}

/// An object that is gone is a reason to look again, not a fault.
pub(super) fn gone_is_stale(error: Error) -> Error {
    if error.is_not_found() {
        Error::Stale("the object is gone")
    } else {
        error
    }
}
