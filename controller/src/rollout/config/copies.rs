//! Writes of configuration: copies, the stamps that name them, and their removal.
//!
//! Invariant: a copy is immutable, belongs to the workload (whose end is its end), and exists before a template names it.

use belay_api::{
    Rollout,
    names::{CONFIG_COPY_LABEL, ROLLOUT_LABEL},
    rollout::WorkloadKind,
};
use belay_engine::{
    config::{ConfigKind, STAMP_ANNOTATION, Stamp, copy_name},
    rollout::revisions::Revision,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, DynamicObject, Patch, PostParams, Preconditions},
};
use serde_json::{Map, Value, json};

use super::content::{Found, body, digest, found, hash};
use crate::{
    Error, Result,
    client::bounded,
    rollout::{Shell, act::gone_is_stale, lever, pass::parameters, project::Workload},
    watch::store::Source,
};

impl Shell {
    /// Puts the stamp on the workload's template and holds it, or takes the stamp off.
    pub(in crate::rollout) async fn stamp(
        &self,
        rollout: &Rollout,
        stamp: Option<&Stamp>,
        resource_version: &str,
    ) -> Result<()> {
        self.make_copies(rollout, stamp).await?;
        let mut spec = Map::from_iter([("template".to_owned(), stamped(stamp))]);
        spec.extend(lever::held(rollout.spec.workload_ref.kind));
        let patch = json!({"metadata": {"resourceVersion": resource_version}, "spec": spec});
        let what = "noting the configuration on the workload";
        self.write_workload(rollout, what, &Patch::Merge(patch))
            .await
    }

    /// The same with a ReplicaSet's template.
    pub(in crate::rollout) async fn stamp_set(
        &self,
        rollout: &Rollout,
        name: &str,
        stamp: Option<&Stamp>,
        resource_version: &str,
    ) -> Result<()> {
        self.make_copies(rollout, stamp).await?;
        self.context.term.check()?;
        let patch = json!({
            "metadata": {"resourceVersion": resource_version},
            "spec": {"template": stamped(stamp)},
        });
        let (api, parameters, patch) = (self.set_api(rollout), parameters(), Patch::Merge(&patch));
        let write = api.patch(name, &parameters, &patch);
        let changed = bounded("noting the configuration on a ReplicaSet", write)
            .await
            .map_err(gone_is_stale)?;
        self.world.saw_set(&changed, Source::Answer);
        Ok(())
    }

    /// Deletes copies, except those that a ReplicaSet or revision names that was not known when it was decided.
    pub(in crate::rollout) async fn sweep_config(
        &self,
        rollout: &Rollout,
        copies: Vec<(ConfigKind, String)>,
    ) -> Result<()> {
        let (workload, name) = (self.known_workload(rollout)?, rollout.name_any());
        let stamps = self.stamps(rollout, &workload).await?;
        let is_used = |copy: &(ConfigKind, String)| {
            stamps
                .iter()
                .any(|stamp| stamp.copies().any(|used| used == *copy))
        };
        for copy in copies.into_iter().filter(|copy| !is_used(copy)) {
            self.remove_copy(&workload, &name, copy).await?;
        }
        Ok(())
    }

    /// The stamps of all templates that the workload's pods are made of, or may be again.
    async fn stamps(&self, rollout: &Rollout, workload: &Workload) -> Result<Vec<Stamp>> {
        if rollout.spec.workload_ref.kind != WorkloadKind::Deployment {
            let revisions = self.revisions_anew(workload).await?;
            let of = |revision: &Revision| revision.template.stamp.clone();
            return Ok(revisions.iter().filter_map(of).collect());
        }
        let name = rollout.name_any();
        self.look_for_sets(workload, &name).await?;
        let sets = self.world.sets.group(&workload.namespace, &name);
        let stamps = sets
            .iter()
            .filter_map(|set| set.view.template.stamp.clone());
        Ok(stamps.collect())
    }

    async fn remove_copy(
        &self,
        workload: &Workload,
        rollout: &str,
        copy: (ConfigKind, String),
    ) -> Result<()> {
        let configs = &self.world.configs;
        let (kind, name) = &copy;
        let found = configs.read(*kind, &workload.namespace, name).await?;
        if let Some(object) = found.filter(|object| is_ours(object, workload)) {
            self.context.term.check()?;
            let parameters = DeleteParams {
                preconditions: Some(Preconditions {
                    uid: object.uid(),
                    resource_version: None,
                }),
                ..DeleteParams::default()
            };
            let api = configs.api(*kind, &workload.namespace);
            match bounded("removing a copy", api.delete(name, &parameters)).await {
                Ok(_) => {}
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        configs.note_copy(&workload.namespace, rollout, copy, false);
        Ok(())
    }

    /// Makes the copies that the stamp names and that are not there yet.
    async fn make_copies(&self, rollout: &Rollout, stamp: Option<&Stamp>) -> Result<()> {
        let Some(stamp) = stamp else { return Ok(()) };
        let workload = self.known_workload(rollout)?;
        let known = self
            .world
            .configs
            .copies(&workload.namespace, &rollout.name_any());
        for (kind, name, hash) in stamp.entries() {
            let copy = copy_name(name, hash);
            if !known.contains(&(kind, copy)) {
                self.make_copy(rollout, &workload, kind, name, hash, name)
                    .await?;
            }
        }
        Ok(())
    }

    /// Makes a copy again that was deleted, from an object that holds its content.
    pub(in crate::rollout) async fn remake_copy(
        &self,
        rollout: &Rollout,
        kind: ConfigKind,
        name: &str,
        hash: &str,
        from: &str,
    ) -> Result<()> {
        let workload = self.known_workload(rollout)?;
        self.make_copy(rollout, &workload, kind, name, hash, from)
            .await?;
        let (namespace, copy) = (&workload.namespace, copy_name(name, hash));
        tracing::info!(
            namespace,
            rollout = rollout.name_any(),
            kind = kind.name(),
            copy,
            "made a copy again that was deleted"
        );
        Ok(())
    }

    async fn make_copy(
        &self,
        rollout: &Rollout,
        workload: &Workload,
        kind: ConfigKind,
        name: &str,
        wanted: &str,
        from: &str,
    ) -> Result<()> {
        let configs = &self.world.configs;
        let held = configs.read(kind, &workload.namespace, from).await?;
        let uid = match &held {
            Some(original) if from == name => original.uid(),
            _ => self.original_uid(workload, kind, name).await?,
        };
        let is_wanted = |object: &DynamicObject| match found(kind, object) {
            Found::Present(_) => {
                hash(&workload.view.uid, &digest(kind, uid.clone(), object)) == wanted
            }
            Found::Absent | Found::Live | Found::Forbidden => false,
        };
        let held = held
            .filter(is_wanted)
            .ok_or(Error::Stale("the configuration changed"))?;
        let copy = copy(rollout, workload, kind, &held, name, wanted)?;
        let copy_name = copy.name_any();
        self.context.term.check()?;
        let api = configs.api(kind, &workload.namespace);
        let parameters = PostParams::default();
        match bounded("copying configuration", api.create(&parameters, &copy)).await {
            Ok(_) => {}
            Err(Error::Kube(kube::Error::Api(status))) if status.is_already_exists() => {
                let there = configs.read(kind, &workload.namespace, &copy_name).await?;
                let there = there.ok_or(Error::Stale("a copy is gone"))?;
                if !is_ours(&there, workload) || body(kind, &there) != body(kind, &held) {
                    return Err(Error::Config(format!(
                        "{} {copy_name} is needed for a copy of {name}, and is not Belay's; delete it or rename it",
                        kind.name()
                    )));
                }
            }
            Err(error) => return Err(error),
        }
        let rollout = rollout.name_any();
        configs.note_copy(&workload.namespace, &rollout, (kind, copy_name), true);
        Ok(())
    }

    fn known_workload(&self, rollout: &Rollout) -> Result<std::sync::Arc<Workload>> {
        let namespace = rollout.namespace().unwrap_or_default();
        let name = &rollout.spec.workload_ref.name;
        let kind = rollout.spec.workload_ref.kind;
        let known = self.world.workload(kind, &namespace, name);
        known.ok_or(Error::Stale("the workload is not seen yet"))
    }
}

/// The part of a template that holds the stamp, as a merge.
fn stamped(stamp: Option<&Stamp>) -> Value {
    json!({"metadata": {"annotations": {STAMP_ANNOTATION: stamp.map(Stamp::as_str)}}})
}

fn copy(
    rollout: &Rollout,
    workload: &Workload,
    kind: ConfigKind,
    held: &DynamicObject,
    name: &str,
    hash: &str,
) -> Result<DynamicObject> {
    let mut copy = body(kind, held);
    copy.insert("apiVersion".to_owned(), json!("v1"));
    copy.insert("kind".to_owned(), json!(kind.name()));
    copy.insert("immutable".to_owned(), json!(true));
    let metadata = json!({
        "name": copy_name(name, hash),
        "namespace": workload.namespace,
        "labels": {ROLLOUT_LABEL: rollout.name_any(), CONFIG_COPY_LABEL: ""},
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": workload.view.kind.name(), "name": workload.name, "uid": workload.view.uid,
        }],
    });
    copy.insert("metadata".to_owned(), metadata);
    Ok(serde_json::from_value(Value::Object(copy))?)
}

/// Whether an object is a copy for this workload.
fn is_ours(object: &DynamicObject, workload: &Workload) -> bool {
    object.labels().contains_key(CONFIG_COPY_LABEL)
        && object
            .owner_references()
            .iter()
            .any(|owner| owner.uid == workload.view.uid)
}
