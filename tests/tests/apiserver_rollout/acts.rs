//! Acts of people: what each does, who may, and who is named.

use belay_api::{Action, ActionStatus};
use belay_engine::{
    action::Outcome,
    rollout::status::{Phase, Track},
};
use belay_lab::wait_for;
use belay_tests::scene::{SOON, Scene};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::{Client, api::PostParams};
use serde_json::json;

use super::lab;

#[tokio::test(flavor = "multi_thread")]
async fn an_act_names_who_the_api_server_saw_and_needs_the_verb_on_its_target() {
    // Given a person who may make Actions and skip steps of Rollout web, and nothing else.
    let lab = lab().await;
    let scene = Scene::new(lab, "actors").await.unwrap();
    let steps = json!([{"weight": 20, "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Hold").await.unwrap();
    allow(&scene, "jane", &["skip"]).await;
    let jane = lab.client_for_user("jane", None).unwrap();
    // When she says that it was somebody else.
    let forged = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"name": "forged"},
        "spec": {"target": {"kind": "Rollout", "name": "web"}, "verb": "Skip", "actor": "the-boss"},
    }))
    .unwrap();
    let api = kube::Api::<Action>::namespaced(jane.clone(), &scene.namespace);
    let made = wait_for("the role to be in force", SOON, || async {
        api.create(&PostParams::default(), &forged)
            .await
            .map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    // Then it is she who is named.
    assert_eq!(made.spec.actor.as_deref(), Some("jane"));
    let receipts = web
        .status_when(|status| match status.actions.last() {
            Some(receipt) => Ok(receipt.clone()),
            None => Err("no receipt".to_owned()),
        })
        .await
        .unwrap();
    assert_eq!(receipts.actor, "jane");
    // And what she has no verb for is refused with a sentence that names it.
    let refused = scene
        .make_action(&jane, "web", "Abort")
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("jane may not abort Rollout"), "{refused}");
    assert!(refused.contains("RBAC verb abort on rollouts"), "{refused}");
    let elsewhere = scene
        .make_action(&jane, "other", "Skip")
        .await
        .unwrap_err()
        .to_string();
    assert!(elsewhere.contains("jane may not skip"), "{elsewhere}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pausing_holds_and_resuming_goes_on() {
    let scene = Scene::new(lab().await, "pause").await.unwrap();
    let steps = json!([{"weight": 20, "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Hold").await.unwrap();
    accepted(&scene.act("web", "Pause").await.unwrap());
    let status = web.waits_for("Paused").await.unwrap();
    assert_eq!(status.paused.unwrap().by, "lab-admin");
    // A skip ends the hold, and the pause keeps it where it is.
    accepted(&scene.act("web", "Skip").await.unwrap());
    assert_eq!(web.status().await.unwrap().phase, Phase::Progressing);
    accepted(&scene.act("web", "Resume").await.unwrap());
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_rejects_and_a_retry_tries_again() {
    let scene = Scene::new(lab().await, "abort").await.unwrap();
    let steps = json!([{"weight": 20, "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Hold").await.unwrap();
    accepted(&scene.act("web", "Abort").await.unwrap());
    let rejected = web.is_in(Phase::Rejected).await.unwrap();
    assert_eq!(rejected.quarantine.len(), 1);
    accepted(&scene.act("web", "Retry").await.unwrap());
    web.waits_for("Hold").await.unwrap();
    accepted(&scene.act("web", "Promote").await.unwrap());
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undo_goes_back_to_the_version_before() {
    let scene = Scene::new(lab().await, "undo").await.unwrap();
    let web = scene
        .workload("web", 2, &json!([{"weight": 50}]), &[])
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    accepted(&scene.act("web", "Undo").await.unwrap());
    web.settled(Phase::Healthy, "v1", SOON).await.unwrap();
    let status = web.status().await.unwrap();
    assert!(status.candidate.is_none_or(|c| c.track == Track::Fast));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_act_that_makes_no_sense_is_refused_with_a_reason() {
    let scene = Scene::new(lab().await, "refuse").await.unwrap();
    scene
        .workload("web", 1, &json!([{"weight": 50}]), &[])
        .await
        .unwrap();
    let status = scene.act("web", "Approve").await.unwrap();
    assert_eq!(status.outcome, Some(Outcome::Refused));
    assert!(!status.message.unwrap().is_empty());
}

fn accepted(status: &ActionStatus) {
    assert_eq!(status.outcome, Some(Outcome::Accepted), "{status:?}");
}

/// Lets `user` make Actions, with these verbs on Rollout `web`.
pub(super) async fn allow(scene: &Scene, user: &str, verbs: &[&str]) {
    let role: Role = serde_json::from_value(json!({
        "metadata": {"name": user},
        "rules": [
            {"apiGroups": ["belay.dev"], "resources": ["actions"], "verbs": ["create"]},
            {"apiGroups": ["belay.dev"], "resources": ["rollouts"], "resourceNames": ["web"], "verbs": verbs},
            {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets"], "verbs": ["get", "list", "watch", "create", "update", "patch"]},
        ],
    }))
    .unwrap();
    scene
        .api()
        .create(&PostParams::default(), &role)
        .await
        .unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }))
    .unwrap();
    scene
        .api()
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
}

/// Waits until a role of `user` is in force.
pub(super) async fn in_force(client: &Client, namespace: &str) {
    use k8s_openapi::api::apps::v1::Deployment;
    let api = kube::Api::<Deployment>::namespaced(client.clone(), namespace);
    wait_for("the role to be in force", SOON, || async {
        api.get("web")
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await
    .unwrap();
}
