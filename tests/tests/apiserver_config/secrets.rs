//! Secrets go with the version where a Rollout asks for it and the namespace lets Belay in; what they hold is nowhere to be seen.

use belay_engine::rollout::status::Phase;
use belay_lab::Lab;
use belay_tests::{
    installed::{NAME, NAMESPACE},
    scene::{SOON, Scene},
    shown::everything_shown,
    turns::Turns,
    workload::Workload,
};
use k8s_openapi::api::{
    core::v1::{Pod, Secret},
    rbac::v1::RoleBinding,
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::reader::deployment;

/// A lab with the program that is shipped, for its log.
static TURNS: Turns = Turns::new();

/// Looked for in everything that can be read without the right to read Secrets; the second as it is stored.
const OLD: [&str; 2] = ["hunter2-old-canary", "aHVudGVyMi1vbGQtY2FuYXJ5"];
const NEW: [&str; 2] = ["hunter2-new-canary", "aHVudGVyMi1uZXctY2FuYXJ5"];

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_secret_is_a_version_and_is_told_to_nobody() {
    // Given a controller whose log is kept, and a workload that wants its Secret with the version, in a namespace that has not let it in.
    let turn = TURNS
        .take(Lab::builder, |installed| installed)
        .await
        .unwrap();
    let controller = turn.acting("secrets").await.unwrap();
    let scene = Scene::new(turn.lab, "secrets").await.unwrap();
    configure(&scene, OLD[0]).await;
    let template = json!({
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "volumes": [
                {"name": "files", "secret": {"secretName": "tokens"}},
                {"name": "all", "projected": {"sources": [{"secret": {"name": "tokens"}}]}},
            ],
            "containers": [{"name": "main", "image": "web:v1",
                "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "tokens", "key": "token"}}}],
                "envFrom": [{"secretRef": {"name": "tokens"}}]}],
        },
    });
    let web = Workload::existing(&scene.client, &scene.namespace, "web");
    let deployment = serde_json::from_value(deployment("web", 1, &template)).unwrap();
    let made = PostParams::default();
    web.deployments().create(&made, &deployment).await.unwrap();
    let rollout = json!({"apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web"}, "spec": {
        "workloadRef": {"name": "web"}, "config": {"secrets": "WithVersion"},
        "strategy": {"canary": {"steps": [{"replicas": 1, "hold": "1h"}]}}}});
    let rollout = serde_json::from_value(rollout).unwrap();
    web.rollouts().create(&made, &rollout).await.unwrap();
    let status = web.waits_for("Configuration").await.unwrap();
    let message = status.waiting_for.unwrap().message;
    assert!(message.contains("may not read Secrets"), "{message}");
    // When the namespace lets it in, by itself and without a restart.
    let binding = json!({
        "metadata": {"name": "belay-config"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": format!("{NAME}-config-secrets")},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    });
    let binding = serde_json::from_value(binding).unwrap();
    scene
        .api::<RoleBinding>()
        .create(&made, &binding)
        .await
        .unwrap();
    super::reader::noted(&web).await;
    // And the Secret changes, then there is a canary that reads the new one beside a pod of before.
    configure(&scene, NEW[0]).await;
    web.waits_for("Hold").await.unwrap();
    let pods = scene
        .api::<Pod>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let candidate = pods.iter().find(|pod| secret(pod) != "tokens").unwrap();
    assert_eq!(token(&scene, &secret(candidate)).await, NEW[0]);
    // A copy can't be changed, and is of the same type.
    let copy = scene.api::<Secret>().get(&secret(candidate)).await.unwrap();
    assert_eq!(
        (copy.immutable, copy.type_.as_deref()),
        (Some(true), Some("Opaque"))
    );
    scene.act("web", "Promote").await.unwrap();
    web.is_in(Phase::Healthy).await.unwrap();
    // And its copy is deleted by somebody and made again.
    let api = scene.api::<Secret>();
    let (name, before) = (copy.name_any(), copy.uid());
    api.delete(&name, &DeleteParams::default()).await.unwrap();
    belay_lab::wait_for("the copy to be made again", SOON, || async {
        let now = api.get(&name).await.map_err(|error| error.to_string())?;
        (now.uid() != before)
            .then_some(())
            .ok_or_else(|| "it is the deleted one".to_owned())
    })
    .await
    .unwrap();
    assert_eq!(token(&scene, &name).await, NEW[0]);
    // Then nothing that others may read says what was in it.
    let written = [
        "made a copy again",
        "belay_api_requests_total",
        "with configuration",
        "ConfigurationLost",
    ];
    let shown = belay_lab::wait_for("everything to be told", SOON, || async {
        let shown = everything_shown(&scene, &controller).await;
        let shown = shown.map_err(|error| error.to_string())?;
        match written.iter().find(|part| !shown.contains(**part)) {
            None => Ok(shown),
            Some(part) => Err(format!("{part} is not in what is looked through")),
        }
    })
    .await
    .unwrap();
    for line in shown.lines() {
        for canary in OLD.iter().chain(&NEW) {
            assert!(!line.contains(canary), "{canary}: {line}");
        }
    }
    controller.terminate().await.unwrap();
}

async fn configure(scene: &Scene, token: &str) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tokens"}, "stringData": {"token": token}});
    let apply = PatchParams::apply("kustomize-controller").force();
    let api = scene.api::<Secret>();
    api.patch("tokens", &apply, &Patch::Apply(secret))
        .await
        .unwrap();
    belay_lab::wait_for("the Secret to be there", SOON, || async {
        api.get("tokens")
            .await
            .map(drop)
            .map_err(|error| error.to_string())
    })
    .await
    .unwrap();
}

/// The Secret that a pod reads, by every way the same.
fn secret(pod: &Pod) -> String {
    let spec = json!({ "spec": pod.spec });
    let references = belay_engine::config::references(&spec);
    let mut names = references
        .into_iter()
        .filter(|reference| reference.kind == belay_engine::config::ConfigKind::Secret);
    let name = names.next().unwrap().name;
    assert!(names.next().is_none(), "{} reads several", pod.name_any());
    name
}

async fn token(scene: &Scene, name: &str) -> String {
    let secret = scene.api::<Secret>().get(name).await.unwrap();
    String::from_utf8(secret.data.unwrap()["token"].0.clone()).unwrap()
}
