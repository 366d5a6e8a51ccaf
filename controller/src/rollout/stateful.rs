//! StatefulSets: what decisions look at, gathered from the StatefulSet, its revisions and its pods.
//!
//! At rest the StatefulSet's own status tells everything, and costs nothing. While two versions run, its pods are listed with each
//! pass, for no status says which of them serve; whatever happens to them changes the StatefulSet's status, and so comes to notice.
//! Revisions never change, so they are listed when one is called for that is not known.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use belay_api::Rollout;
use belay_engine::{
    digest::{CONTROLLER_REVISION_HASH, Digest},
    rollout::{
        observed::{Pod as SeenPod, Template},
        revisions::{Member, Revision, Stateful},
    },
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{
    api::{apps::v1::ControllerRevision, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::OwnerReference,
};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
};
use serde_json::Value;

use super::{
    Shell,
    act::gone_is_stale,
    project::{self, Set, Workload},
};
use crate::{Error, Result, client::bounded};

/// What a StatefulSet says of itself, beside what every workload does.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// As the engine sees it.
    pub(super) stateful: Stateful,
    /// `spec.ordinals.start`.
    first_ordinal: i32,
    /// `spec.minReadySeconds`.
    min_ready: SignedDuration,
}

impl Places {
    /// Of a raw StatefulSet. `template` is the spec's, if its controller has seen it.
    pub(super) fn of(data: &Value, template: Option<Template>) -> Self {
        let count = |pointer: &str, default: i64| project::count(data, pointer, default);
        let text =
            |pointer: &str| project::text(data, pointer).map_or_else(String::new, str::to_owned);
        Self {
            stateful: Stateful {
                replicas: count("/spec/replicas", 1),
                partition: count(PARTITION_POINTER, 0),
                current: text("/status/currentRevision"),
                update: text("/status/updateRevision"),
                template,
                total: count("/status/replicas", 0),
                ready: count("/status/readyReplicas", 0),
                available: count("/status/availableReplicas", 0),
                updated: count("/status/updatedReplicas", 0),
            },
            first_ordinal: count("/spec/ordinals/start", 0),
            min_ready: SignedDuration::from_secs(i64::from(count("/spec/minReadySeconds", 0))),
        }
    }
}

/// Where a StatefulSet's partition is.
pub(super) const PARTITION_POINTER: &str = "/spec/updateStrategy/rollingUpdate/partition";

/// Revisions of StatefulSets and DaemonSets, by UID of the workload.
#[derive(Debug, Default)]
pub(super) struct Revisions(Mutex<HashMap<String, Arc<Vec<Revision>>>>);

impl Revisions {
    pub(super) fn known(&self, uid: &str) -> Option<Arc<Vec<Revision>>> {
        self.lock().get(uid).cloned()
    }

    pub(super) fn learn(&self, uid: &str, revisions: Vec<Revision>) -> Arc<Vec<Revision>> {
        let revisions = Arc::new(revisions);
        self.lock().insert(uid.to_owned(), Arc::clone(&revisions));
        revisions
    }

    /// Drops what is known of a workload's revisions.
    pub(super) fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Vec<Revision>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shell {
    /// The StatefulSet's revisions as sets.
    pub(super) async fn revisions_of(
        &self,
        rollout: &Rollout,
        workload: &Workload,
        places: &Places,
    ) -> Result<Vec<Set>> {
        let status = rollout.status.as_ref();
        let stable = status.and_then(|status| status.stable.as_ref());
        let stateful = &places.stateful;
        let members = if stateful.is_uniform() {
            None
        } else {
            Some(self.members(workload, places).await?)
        };
        let mut needed: Vec<&str> = vec![&stateful.current, &stateful.update];
        let of_pods = members.iter().flatten();
        needed.extend(of_pods.map(|member| member.revision.as_str()));
        needed.retain(|name| !name.is_empty());
        let known = self.revisions(workload, &needed).await?;
        let stable = stable.map(|stable| stable.hash.as_str());
        let sets = stateful.sets(&known, members.as_deref(), stable);
        Ok(sets
            .into_iter()
            .map(|view| Set {
                namespace: workload.namespace.clone(),
                rollout: workload.rollout.clone(),
                owner_uid: Some(workload.view.uid.clone()),
                generation: 0,
                view,
            })
            .collect())
    }

    /// The revisions of a StatefulSet, `needed` among them.
    async fn revisions(&self, workload: &Workload, needed: &[&str]) -> Result<Arc<Vec<Revision>>> {
        let uid = &workload.view.uid;
        let has = |known: &[Revision], name: &str| known.iter().any(|known| known.name == name);
        if let Some(known) = self.world.revisions.known(uid)
            && needed.iter().all(|name| has(&known, name))
        {
            return Ok(known);
        }
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.context.client.clone(),
            &workload.namespace,
            &revision_resource(),
        );
        let mut parameters = ListParams::default();
        parameters.label_selector.clone_from(&workload.selector);
        let list = bounded("listing revisions", api.list(&parameters)).await?;
        let mut listed: Vec<Revision> = list
            .iter()
            .filter(|object| controller_uid(object.owner_references()) == Some(uid))
            .map(|object| Revision {
                name: object.name_any(),
                template: revision_template(&object.data)
                    .as_ref()
                    .map_or_else(|| unknown(&object.name_any()), project::template_of),
            })
            .collect();
        // Pods of a revision that was cleaned up are still to be seen.
        for name in needed {
            if !has(&listed, name) {
                listed.push(Revision {
                    name: (*name).to_owned(),
                    template: unknown(name),
                });
            }
        }
        Ok(self.world.revisions.learn(uid, listed))
    }

    /// The revisions of a workload as they are now, in no particular order.
    pub(super) async fn revisions_anew(&self, workload: &Workload) -> Result<Arc<Vec<Revision>>> {
        let uid = &workload.view.uid;
        self.world.revisions.forget(uid);
        let revisions = self.revisions(workload, &[]).await;
        self.world.revisions.forget(uid);
        revisions
    }

    /// The StatefulSet's pods.
    async fn members(&self, workload: &Workload, places: &Places) -> Result<Vec<Member>> {
        let api: Api<Pod> = Api::namespaced(self.context.client.clone(), &workload.namespace);
        let mut parameters = ListParams::default();
        parameters.label_selector.clone_from(&workload.selector);
        let pods = bounded("listing pods", api.list(&parameters)).await?;
        let now = Timestamp::now();
        Ok(pods
            .iter()
            .filter(|pod| controller_uid(pod.owner_references()) == Some(&workload.view.uid))
            .filter_map(|pod| member(pod, places, now))
            .collect())
    }

    /// The template of a revision as the API server has it, for it to be written back.
    pub(super) async fn template_of_revision(
        &self,
        rollout: &Rollout,
        name: &str,
    ) -> Result<Value> {
        let namespace = rollout.namespace().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(
            self.context.client.clone(),
            &namespace,
            &revision_resource(),
        );
        let read = bounded("reading a revision", api.get(name)).await;
        let object = match read {
            Ok(object) => object,
            Err(error) => {
                let workload = &rollout.spec.workload_ref;
                let known = self
                    .world
                    .workload(workload.kind, &namespace, &workload.name);
                if let Some(known) = known {
                    self.world.revisions.forget(&known.view.uid);
                }
                return Err(gone_is_stale(error));
            }
        };
        revision_template(&object.data).ok_or_else(|| Error::Malformed {
            kind: "ControllerRevision",
            name: name.to_owned(),
            what: "it has no template".to_owned(),
        })
    }
}

pub(super) fn revision_resource() -> ApiResource {
    ApiResource::erase::<ControllerRevision>(&())
}

/// The pod template in a revision, without the marker by which its controller applies it.
pub(super) fn revision_template(data: &Value) -> Option<Value> {
    let mut template = data.pointer("/data/spec/template")?.clone();
    template.as_object_mut()?.remove("$patch");
    Some(template)
}

/// A template that can't be known any more.
pub(super) fn unknown(name: &str) -> Template {
    Template::new(Digest::from_text(name), None, name.to_owned())
}

/// UID of the controller among the owners.
pub(super) fn controller_uid(owners: &[OwnerReference]) -> Option<&String> {
    let controller = owners.iter().find(|owner| owner.controller == Some(true))?;
    Some(&controller.uid)
}

fn member(pod: &Pod, places: &Places, now: Timestamp) -> Option<Member> {
    let revision = pod.labels().get(CONTROLLER_REVISION_HASH)?.clone();
    let ordinal: i32 = pod.name_any().rsplit('-').next()?.parse().ok()?;
    let place = ordinal.saturating_sub(places.first_ordinal);
    Some(Member {
        pod: seen(pod, place, places.min_ready, now),
        revision,
    })
}

/// A pod as the engine sees it.
pub(super) fn seen(pod: &Pod, place: i32, min_ready: SignedDuration, now: Timestamp) -> SeenPod {
    let terminating = pod.metadata.deletion_timestamp.is_some();
    let condition = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref())
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "Ready" && condition.status == "True");
    let ready_for = condition.map(|condition| {
        let since = condition.last_transition_time.as_ref();
        since.map_or(SignedDuration::ZERO, |since| now.duration_since(since.0))
    });
    let ready = ready_for.is_some();
    let long_enough = ready_for.is_some_and(|ready_for| ready_for >= min_ready);
    SeenPod {
        uid: pod.uid().unwrap_or_default(),
        name: pod.name_any(),
        place,
        ready,
        available: ready && !terminating && (min_ready.is_zero() || long_enough),
        terminating,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn places(spec: &Value) -> Places {
        Places::of(&json!({"spec": spec}), None)
    }

    fn pod(ready_seconds_ago: i64, now: Timestamp) -> Pod {
        let since = now - SignedDuration::from_secs(ready_seconds_ago);
        serde_json::from_value(json!({
            "metadata": {"name": "db-12", "uid": "u", "labels": {"controller-revision-hash": "db-5f"}},
            "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": since.to_string()}]},
        }))
        .unwrap()
    }

    #[test]
    fn a_pods_place_is_counted_from_the_first_ordinal() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let places = places(&json!({"ordinals": {"start": 10}}));
        let member = member(&pod(0, now), &places, now).unwrap();
        assert_eq!((member.pod.place, member.pod.available), (2, true));
        assert_eq!(member.revision, "db-5f");
    }

    #[test]
    fn a_pod_is_available_once_it_has_been_ready_for_long_enough() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let places = places(&json!({"minReadySeconds": 30}));
        let available = |ago| member(&pod(ago, now), &places, now).unwrap().pod.available;
        assert!(!available(29));
        assert!(available(30));
    }

    #[test]
    fn a_revisions_template_is_that_of_its_workload() {
        let template = json!({"metadata": {"labels": {"app": "db"}}, "spec": {"containers": []}});
        let mut stored = template.clone();
        stored["$patch"] = json!("replace");
        let revision = json!({"data": {"spec": {"template": stored}}});
        assert_eq!(revision_template(&revision), Some(template));
    }
}
