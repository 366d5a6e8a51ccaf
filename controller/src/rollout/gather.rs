//! Assembles one observation.
//!
//! In the ordinary case it comes from the stores and costs no request. The exceptions, each bounded by a change of the Deployment:
//! a Deployment without Belay's label is read by name, and ReplicaSets without the label are looked for when the one that the
//! status or the Deployment calls for is not known.

use belay_api::{
    Rollout,
    names::{FIELD_MANAGER, ROLLOUT_LABEL},
};
use belay_engine::rollout::{
    Observed, RolloutStatus,
    observed::{Lifecycle, Owner, Workload as Seen},
    plan::Routing,
};
use kube::{
    Api, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    runtime::reflector::ObjectRef,
};
use serde_json::json;

use super::{
    Shell,
    project::{self, Set, Workload, controller_of},
    world::set_resource,
};
use crate::{Error, Result, client::bounded, gates::Trial, watch::store::Source};

/// Most ReplicaSets that are looked through for one Deployment; its history is far shorter.
const SETS_LISTED: u32 = 200;

impl Shell {
    /// The observation for one decision about `rollout`.
    pub(super) async fn gather(
        &self,
        rollout: &Rollout,
        routing: Option<&Routing>,
    ) -> Result<Observed> {
        let namespace = rollout.namespace().unwrap_or_default();
        let name = rollout.name_any();
        let uid = rollout.uid().unwrap_or_default();
        let status = rollout.status.clone().unwrap_or_default();
        let mut workload = self.workload(rollout, &namespace, &name).await?;
        let by_nodes = match workload.as_mut() {
            Some(workload) => self.nodes_of(rollout, workload).await?,
            None => None,
        };
        let places = workload
            .as_ref()
            .and_then(|workload| Some((workload, workload.places.as_ref()?)));
        let mut sets = match (by_nodes, places) {
            (Some(sets), _) => sets,
            (None, Some((workload, places))) => {
                self.revisions_of(rollout, workload, places).await?
            }
            (None, None) => self.sets(&namespace, &name, &uid, workload.as_ref()),
        };
        if let Some(workload) = workload
            .as_ref()
            .filter(|workload| workload.places.is_none() && workload.nodes.is_none())
            && self.must_look_for_sets(&uid, workload, &sets, &status)
        {
            self.look_for_sets(workload, &name).await?;
            sets = self.sets(&namespace, &name, &uid, Some(workload));
        }
        let readings = Trial::of(&status)
            .map(|trial| self.measurements.readings(&uid, &trial, &status.gates))
            .unwrap_or_default();
        let config = self.config(rollout, workload.as_ref(), &sets).await?;
        let mut seen = self.seen(&name, workload);
        self.add_problems(rollout, &mut seen, &mut sets, &status)
            .await;
        Ok(Observed {
            generation: rollout.metadata.generation.unwrap_or_default(),
            lifecycle: if rollout.metadata.deletion_timestamp.is_some() {
                Lifecycle::Deleting
            } else {
                Lifecycle::Live
            },
            workload: seen,
            sets: sets.into_iter().map(|set| set.view).collect(),
            readings,
            actions: self.world.acts.on(&namespace, &name),
            group: self.world.groups.of(rollout, &status),
            hold: self.hold.get(),
            traffic: self.traffic(rollout, routing, &status).await?,
            config,
            acting_since: self.context.term.since(),
        })
    }

    /// The workload: from the store if it is governed, else by name from the API server.
    async fn workload(
        &self,
        rollout: &Rollout,
        namespace: &str,
        name: &str,
    ) -> Result<Option<Workload>> {
        let kind = rollout.spec.workload_ref.kind;
        let wanted = &rollout.spec.workload_ref.name;
        let absent = self.world.absent_of(kind);
        if let Some(known) = self.world.workload(kind, namespace, wanted) {
            absent.settle(namespace, name);
            return Ok(Some(known.as_ref().clone()));
        }
        absent.expect(namespace, name, wanted);
        let api = self.workload_api(rollout);
        let object = bounded("reading the workload", api.get_opt(wanted)).await?;
        Ok(object.map(|object| project::workload(kind, &object, None)))
    }

    fn seen(&self, name: &str, workload: Option<Workload>) -> Seen {
        let Some(mut workload) = workload else {
            return Seen::Missing;
        };
        match workload.rollout.as_deref() {
            None => {}
            Some(label) if label == name => {}
            Some(other) if self.governs(&workload, other) => {
                return Seen::Refused(format!(
                    "{} {} is governed by Rollout {other}; a workload has one Rollout, delete one of the two",
                    workload.view.kind.name(),
                    workload.name
                ));
            }
            // A label that names nobody is replaced.
            Some(_) => workload.view.labelled = false,
        }
        Seen::Deployment(workload.view)
    }

    fn governs(&self, workload: &Workload, other: &str) -> bool {
        self.world
            .rollouts
            .get(&ObjectRef::new(other).within(&workload.namespace))
            .is_some_and(|rollout| {
                let governed = &rollout.spec.workload_ref;
                governed.name == workload.name && governed.kind.name() == workload.view.kind.name()
            })
    }

    /// Sets that the Deployment or the Rollout controls.
    fn sets(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        workload: Option<&Workload>,
    ) -> Vec<Set> {
        let deployment = workload.map(|workload| workload.view.uid.as_str());
        self.world
            .sets
            .group(namespace, name)
            .iter()
            .filter(|set| {
                let owner = set.owner_uid.as_deref();
                match set.view.owner {
                    Owner::Rollout => owner == Some(uid),
                    Owner::Deployment => owner.is_some() && owner == deployment,
                }
            })
            .map(|set| set.as_ref().clone())
            .collect()
    }

    /// Whether the ReplicaSet that serves is missing among the known ones. One look per version of the Deployment.
    fn must_look_for_sets(
        &self,
        rollout_uid: &str,
        workload: &Workload,
        sets: &[Set],
        status: &RolloutStatus,
    ) -> bool {
        let view = &workload.view;
        let own: Vec<&Set> = sets
            .iter()
            .filter(|set| set.view.owner == Owner::Deployment)
            .collect();
        let of_template = || {
            own.iter()
                .filter(|set| set.view.template.digest == view.template.digest)
        };
        let knows_template = of_template().next().is_some();
        let knows_stable = match &status.stable {
            Some(stable) => sets.iter().any(|set| set.view.hash == stable.hash),
            None => knows_template,
        };
        // Un-paused past Belay, the Deployment controller may have made a set of its own beside a candidate; and one that was
        // made before the hold was in force goes on serving behind it.
        let updated: i32 = of_template().map(|set| set.view.total).sum();
        let all: i32 = own.iter().map(|set| set.view.total).sum();
        let knows_pods = if view.paused {
            view.total_replicas <= all
        } else {
            knows_template && view.updated_replicas <= updated
        };
        let missing = !knows_stable || !knows_pods;
        missing && self.looked.first_look(rollout_uid, workload)
    }

    /// Finds the Deployment's ReplicaSets that don't carry Belay's label, and labels those that matter.
    pub(super) async fn look_for_sets(&self, workload: &Workload, rollout: &str) -> Result<()> {
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.context.client.clone(),
            &workload.namespace,
            &set_resource(),
        );
        let mut parameters = ListParams::default().limit(SETS_LISTED);
        parameters.label_selector.clone_from(&workload.selector);
        let list = bounded("listing ReplicaSets", api.list(&parameters)).await?;
        for object in list {
            let owned = controller_of(&object)
                .is_some_and(|owner| owner.kind == "Deployment" && owner.uid == workload.view.uid);
            if !owned {
                continue;
            }
            let set = project::set(&object, None);
            let matters = set.view.desired > 0
                || set.view.template.digest == workload.view.template.digest
                || set.view.template.stamp.is_some();
            if set.rollout.as_deref() == Some(rollout) || !matters {
                continue;
            }
            self.context.term.check()?;
            let label = json!({"metadata": {
                "uid": set.view.uid,
                "labels": {ROLLOUT_LABEL: rollout},
            }});
            let parameters = PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                ..PatchParams::default()
            };
            let patch = Patch::Merge(&label);
            let labelled = api.patch(&set.view.name, &parameters, &patch);
            match bounded("labelling a ReplicaSet", labelled).await {
                Ok(object) => self.world.saw_set(&object, Source::Answer),
                Err(error) if error.is_not_found() || error.is_stale() => {
                    return Err(Error::Stale("a ReplicaSet is gone"));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
