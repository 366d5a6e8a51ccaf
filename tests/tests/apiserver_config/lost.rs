//! Copies that somebody deletes: guarded, and where that is got round, made again from whatever holds the same content.

use belay_engine::rollout::{reason, status::Phase};
use belay_lab::{Lab, wait_for};
use belay_tests::{scene::SOON, told::condition, workload::Workload};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Event},
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{
    lab,
    reader::{Reader, template},
};

/// The copy that holds this value and belongs to this workload.
async fn copy(reader: &Reader, workload: &str, value: &str) -> Result<ConfigMap, String> {
    let labels = format!("belay.dev/config-copy,belay.dev/rollout={workload}");
    let list = ListParams::default().labels(&labels);
    let copies = reader.scene.api::<ConfigMap>().list(&list).await;
    let copies = copies.map_err(|error| error.to_string())?;
    let holds = |copy: &ConfigMap| copy.data.as_ref().is_some_and(|data| data["key"] == value);
    let found = copies.into_iter().find(holds);
    found.ok_or_else(|| format!("no copy of {workload} holds {value}"))
}

/// An administrator, who may do everything, deletes it.
async fn delete(reader: &Reader, copy: &ConfigMap) {
    let api = reader.scene.api::<ConfigMap>();
    let parameters = DeleteParams::default();
    api.delete(&copy.name_any(), &parameters).await.unwrap();
}

/// Waits until another copy has the name and the content of this one.
async fn made_again(reader: &Reader, before: &ConfigMap) {
    let api = reader.scene.api::<ConfigMap>();
    wait_for("the copy to be made again", SOON, || async {
        let now = api.get_opt(&before.name_any()).await;
        match now.map_err(|error| error.to_string())? {
            Some(now) if now.uid() != before.uid() => Ok(now),
            Some(_) => Err("it is still the deleted one".to_owned()),
            None => Err("it is not there".to_owned()),
        }
    })
    .await
    .map(|now| {
        assert_eq!((now.data, now.immutable), (before.data.clone(), Some(true)));
        assert_eq!(
            now.metadata.owner_references,
            before.metadata.owner_references
        );
    })
    .unwrap();
}

/// Waits until the condition says this, or is gone.
async fn lost(web: &Workload, words: Option<&str>) {
    web.status_when(|status| {
        let present = condition(&status.conditions, reason::CONFIG_LOST);
        let message = present.map(|present| present.message.clone());
        match (&message, words) {
            (None, None) => Ok(()),
            (Some(message), Some(words)) if message.contains(words) => Ok(()),
            _ => Err(format!("{message:?}")),
        }
    })
    .await
    .unwrap();
}

async fn on_trial(prefix: &str) -> Reader {
    let steps = json!([{"replicas": 1, "hold": "1h"}]);
    let reader = Reader::new(lab().await, prefix, 2, &steps).await;
    reader.configure("two").await;
    reader.on_trial().await;
    reader
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_copy_is_made_again_from_what_holds_the_same_content() {
    // Given two workloads with one ConfigMap, each with a canary of other content.
    let steps = json!([{"replicas": 1, "hold": "1h"}]);
    let reader = Reader::new(lab().await, "lost", 2, &steps).await;
    let spec = json!({"strategy": {"canary": {"steps": steps}}});
    reader.govern("api", 1, &template("api"), spec).await;
    reader.configure("two").await;
    let trial = reader.on_trial().await.candidate.unwrap();
    let api = Workload::existing(&reader.scene.client, &reader.scene.namespace, "api");
    api.waits_for("Hold").await.unwrap();
    // When the canary's copy is deleted, then it is made again from the ConfigMap, which has its content.
    let candidates = copy(&reader, "web", "two").await.unwrap();
    delete(&reader, &candidates).await;
    made_again(&reader, &candidates).await;
    // When the copy of the stable version is deleted, then it is made again from the other workload's, for the ConfigMap has moved on.
    let stables = copy(&reader, "web", "one").await.unwrap();
    delete(&reader, &stables).await;
    made_again(&reader, &stables).await;
    lost(&reader.web, None).await;
    // Then stable pods that are made now start with it, and the trial is the same.
    reader.replace_a_pod().await;
    reader
        .web
        .patch(json!({"spec": {"replicas": 3}}))
        .await
        .unwrap();
    reader
        .read("web", &[("live two", 1), ("one", 2), ("two", 1)])
        .await;
    let status = reader.on_trial().await;
    assert_eq!(status.candidate.unwrap().started_at, trial.started_at);
    // And what happened is told.
    wait_for("events of loss and return", SOON, || async {
        let events = reader
            .scene
            .api::<Event>()
            .list(&ListParams::default())
            .await;
        let events = events.map_err(|error| error.to_string())?;
        let reasons: Vec<String> = events
            .into_iter()
            .filter_map(|event| event.reason)
            .collect();
        let told = |reason: &str| reasons.iter().any(|told| told == reason);
        (told(reason::CONFIG_LOST) && told(reason::CONFIG_RESTORED))
            .then_some(())
            .ok_or_else(|| format!("{reasons:?}"))
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn content_that_nobody_holds_is_told_and_comes_back_when_it_is_applied() {
    // Given a canary of other content, and nothing but one copy that has the content of before.
    let reader = on_trial("lost-for-good").await;
    let stables = copy(&reader, "web", "one").await.unwrap();
    // When that copy is deleted, then it is told what is lost and what to do, and the canary goes on.
    delete(&reader, &stables).await;
    lost(
        &reader.web,
        Some("Apply ConfigMap settings with the content of that version"),
    )
    .await;
    reader.on_trial().await;
    // When somebody does so, then it is there again, and the stable version runs with it.
    reader.configure("one").await;
    made_again(&reader, &stables).await;
    lost(&reader.web, None).await;
    reader.web.is_in(Phase::Healthy).await.unwrap();
    reader.replace_a_pod().await;
    reader.read("web", &[("live one", 1), ("one", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_break_the_glass_takes_a_copy_away() {
    // Given a person who may do everything with ConfigMaps.
    let lab = lab().await;
    let reader = on_trial("guarded-copy").await;
    let stables = copy(&reader, "web", "one").await.unwrap();
    let jane = as_jane(lab, &reader).await;
    // When she deletes a copy, by name or with all others, or takes its label off, then she is told what it is for.
    let name = stables.name_any();
    let one = jane.delete(&name, &DeleteParams::default()).await.map(drop);
    let labels = ListParams::default().labels("belay.dev/config-copy");
    let all = jane
        .delete_collection(&DeleteParams::default(), &labels)
        .await;
    let bare = Patch::Merge(json!({"metadata": {"labels": {"belay.dev/config-copy": null}}}));
    let bared = jane.patch(&name, &PatchParams::default(), &bare).await;
    for refused in [one, all.map(drop), bared.map(drop)] {
        let refused = refused.unwrap_err().to_string();
        assert!(
            refused.contains("read this copy of their configuration"),
            "{refused}"
        );
    }
    // Other changes of it, and other ConfigMaps, are hers.
    let noted = Patch::Merge(json!({"metadata": {"annotations": {"seen": "yes"}}}));
    jane.patch(&name, &PatchParams::default(), &noted)
        .await
        .unwrap();
    jane.delete("settings", &DeleteParams::default())
        .await
        .unwrap();
    reader.configure("two").await;
    // When the workload is deleted, then its copies go with it.
    let rollouts = reader.web.rollouts();
    rollouts
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    let deployments = reader.web.deployments();
    deployments
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    wait_for("the copies to go", SOON, || async {
        let left = reader.copies().await;
        left.is_empty()
            .then_some(())
            .ok_or_else(|| format!("{left:?}"))
    })
    .await
    .unwrap();
}

/// ConfigMaps as somebody sees them who may do everything with them, and nothing else.
async fn as_jane(lab: &Lab, reader: &Reader) -> Api<ConfigMap> {
    let role: Role = from(json!({
        "metadata": {"name": "jane"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}],
    }));
    let binding: RoleBinding = from(json!({
        "metadata": {"name": "jane"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "jane"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "jane"}],
    }));
    let made = PostParams::default();
    reader.scene.api().create(&made, &role).await.unwrap();
    reader.scene.api().create(&made, &binding).await.unwrap();
    let jane = lab.client_for_user("jane", None).unwrap();
    let api: Api<ConfigMap> = Api::namespaced(jane, &reader.scene.namespace);
    wait_for("the role to be in force", SOON, || async {
        let list = api.list(&ListParams::default()).await;
        list.map(drop).map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    api
}

fn from<K: serde::de::DeserializeOwned>(object: Value) -> K {
    serde_json::from_value(object).unwrap()
}
