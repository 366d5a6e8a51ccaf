//! What else happens to workloads: scaling, deletion, late creation, specs that can't be carried out, pods that can't start.

use belay_api::Rollout;
use belay_engine::{
    condition::Truth,
    gate::Verdict,
    rollout::status::{Phase, RollbackReason},
};
use belay_lab::{wait_for, wait_for_object};
use belay_tests::{
    installed::{NAME, NAMESPACE},
    scene::{SOON, Scene},
    told,
    watching::{SetWatch, pods},
    workload::Workload,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ResourceQuota};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::lab;

#[tokio::test(flavor = "multi_thread")]
async fn scaling_in_mid_canary_is_followed_and_is_no_release() {
    let scene = Scene::new(lab().await, "scale").await.unwrap();
    let steps = json!([{"weight": 50, "hold": "1h"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    let status = web.waits_for("Hold").await.unwrap();
    let started = status.candidate.unwrap().started_at;
    // When an autoscaler doubles the workload, then both versions follow, and it is still the same trial.
    web.patch(json!({"spec": {"replicas": 4}})).await.unwrap();
    wait_for("both versions to have four pods", SOON, || async {
        let all = pods(&scene.client, &scene.namespace, "app=web")
            .await
            .unwrap();
        if all.len() == 8 {
            Ok(())
        } else {
            Err(format!("{} pods", all.len()))
        }
    })
    .await
    .unwrap();
    let status = web.waits_for("Hold").await.unwrap();
    assert_eq!(status.candidate.unwrap().started_at, started);
    // When it is scaled to nothing, there is nothing to compare with.
    web.patch(json!({"spec": {"replicas": 0}})).await.unwrap();
    let status = web.waits_for("ScaledToZero").await.unwrap();
    assert_eq!(
        status.rollback.unwrap().reason,
        RollbackReason::ScaledToZero
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn at_zero_replicas_there_is_nothing_to_verify() {
    let scene = Scene::new(lab().await, "zero").await.unwrap();
    scene.gate("bad", "vector(1)").await.unwrap();
    let web = scene
        .workload("web", 0, &json!([{"weight": 50}]), &["bad"])
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_rollout_leaves_a_plain_deployment() {
    let scene = Scene::new(lab().await, "delete").await.unwrap();
    let web = scene
        .workload("web", 2, &json!([{"weight": 50, "hold": "1h"}]), &[])
        .await
        .unwrap();
    let before = pods(&scene.client, &scene.namespace, "app=web")
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Hold").await.unwrap();
    // When the Rollout is deleted in mid-canary.
    web.rollouts()
        .delete("web", &DeleteParams::default())
        .await
        .unwrap();
    wait_for_object(&web.rollouts(), "web", SOON, |rollout: Option<&Rollout>| {
        rollout.map_or(Ok(()), |rollout| Err(format!("{:?}", rollout.status)))
    })
    .await
    .unwrap();
    // Then the canary is gone, and the Deployment stays paused, for its template was never verified.
    wait_for("only the pods of before", SOON, || async {
        let now = pods(&scene.client, &scene.namespace, "app=web")
            .await
            .unwrap();
        if now == before {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
    .unwrap();
    let deployment = web.deployments().get("web").await.unwrap();
    assert_eq!(deployment.spec.unwrap().paused, Some(true));
    assert!(
        !deployment
            .metadata
            .labels
            .unwrap()
            .contains_key("belay.dev/rollout")
    );
    // And its owner can resume it like any other.
    web.patch(json!({"spec": {"paused": false}})).await.unwrap();
    wait_for_object(&web.deployments(), "web", SOON, |d: Option<&Deployment>| {
        let status = d.and_then(|d| d.status.clone()).unwrap_or_default();
        match status.updated_replicas {
            Some(2) if status.replicas == Some(2) => Ok(()),
            _ => Err(format!("{status:?}")),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_that_is_made_after_its_rollout_is_governed_at_once() {
    let scene = Scene::new(lab().await, "late").await.unwrap();
    let rollout = rollout("web", &json!([{"weight": 50}]));
    scene
        .api::<Rollout>()
        .create(&PostParams::default(), &rollout)
        .await
        .unwrap();
    let web = Workload::existing(&scene.client, &scene.namespace, "web");
    web.waits_for("WorkloadMissing").await.unwrap();
    web.deployments()
        .create(
            &PostParams::default(),
            &deployment("web", "web:v1", &json!({})),
        )
        .await
        .unwrap();
    web.settled(Phase::Healthy, "v1", SOON).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_governed_says_why_and_is_left_alone() {
    let scene = Scene::new(lab().await, "refused").await.unwrap();
    let recreate = deployment("web", "web:v1", &json!({"type": "Recreate"}));
    scene
        .api::<Deployment>()
        .create(&PostParams::default(), &recreate)
        .await
        .unwrap();
    let web = Workload::existing(&scene.client, &scene.namespace, "web");
    let web_rollout = rollout("web", &json!([{"weight": 50}]));
    web.rollouts()
        .create(&PostParams::default(), &web_rollout)
        .await
        .unwrap();
    let message = stalled(&web).await;
    assert!(message.contains("Recreate"), "{message}");
    // A second Rollout for a governed Deployment is told of the first.
    let api = scene
        .workload("api", 1, &json!([{"weight": 50}]), &[])
        .await
        .unwrap();
    let mut second = rollout("second", &json!([{"weight": 50}]));
    second.spec.workload_ref.name = "api".to_owned();
    api.rollouts()
        .create(&PostParams::default(), &second)
        .await
        .unwrap();
    let second = Workload::existing(&scene.client, &scene.namespace, "second");
    let message = stalled(&second).await;
    assert!(message.contains("governed by Rollout api"), "{message}");
    // A template that does not exist is named.
    let spec = json!({"verification": {"gates": [{"template": "nowhere"}]}});
    let patch = PatchParams::default();
    api.rollouts()
        .patch("api", &patch, &Patch::Merge(&json!({"spec": spec})))
        .await
        .unwrap();
    let message = stalled(&api).await;
    assert!(
        message.contains("AnalysisTemplate") && message.contains("nowhere"),
        "{message}"
    );
    // And heals when it is made.
    scene.gate("nowhere", "vector(0)").await.unwrap();
    api.status_when(|status| match condition(status, "Stalled") {
        None => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_keeps_canary_pods_away_is_named_and_then_the_deadline_applies() {
    let scene = Scene::new(lab().await, "quota").await.unwrap();
    let spec =
        json!({"strategy": {"canary": {"steps": [{"replicas": 1}]}}, "progressDeadline": "5s"});
    let web = scene.workload_with("web", 2, spec).await.unwrap();
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "small"}, "spec": {"hard": {"pods": "2"}},
    }))
    .unwrap();
    scene
        .api::<ResourceQuota>()
        .create(&PostParams::default(), &quota)
        .await
        .unwrap();
    wait_for_object(
        &scene.api::<ResourceQuota>(),
        "small",
        SOON,
        |q: Option<&ResourceQuota>| {
            let used = q.and_then(|q| q.status.as_ref()?.used.as_ref()?.get("pods").cloned());
            used.filter(|used| used.0 == "2")
                .map(drop)
                .ok_or("not counted yet".to_owned())
        },
    )
    .await
    .unwrap();
    web.set_image("web:v2").await.unwrap();
    web.status_when(|status| match &status.waiting_for {
        Some(waiting) if waiting.message.contains("exceeded quota") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await
    .unwrap();
    let status = web.is_in(Phase::Rejected).await.unwrap();
    assert_eq!(
        status.rollback.unwrap().reason,
        RollbackReason::DeadlineExceeded
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_never_gets_ready_is_taken_back_and_stable_serves_on() {
    let scene = Scene::new(lab().await, "never").await.unwrap();
    let spec =
        json!({"strategy": {"canary": {"steps": [{"replicas": 1}]}}, "progressDeadline": "3s"});
    let web = scene.workload_with("web", 2, spec).await.unwrap();
    let sets = SetWatch::begin(&scene.client, &scene.namespace, "app=web").await;
    web.set_image("web:neverready").await.unwrap();
    let status = web.is_in(Phase::Rejected).await.unwrap();
    assert_eq!(
        status.rollback.unwrap().reason,
        RollbackReason::DeadlineExceeded
    );
    let stable = status.stable.unwrap().hash;
    assert_eq!(sets.seen()[&stable], [2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn gates_take_arguments_from_fields_and_secrets() {
    let scene = Scene::new(lab().await, "args").await.unwrap();
    let template: belay_api::AnalysisTemplate = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "labelled"},
        "spec": {"args": [{"name": "hash"}, {"name": "tenant"}], "gates": [{"name": "value", "interval": "1s",
            "prometheus": {"threshold": {"max": 0.5},
                "query": "label_replace(vector(0), \"h\", \"{{hash}}-{{tenant}}\", \"\", \"\")"}}]},
    }))
    .unwrap();
    scene
        .api()
        .create(&PostParams::default(), &template)
        .await
        .unwrap();
    let spec = json!({
        "strategy": {"canary": {"steps": [{"weight": 50}]}},
        "verification": {"gates": [{"template": "labelled", "argsFrom": [
            {"name": "hash", "field": "/status/candidate/hash"},
            {"name": "tenant", "secretKey": {"name": "prometheus", "key": "tenant"}}]}]},
    });
    let web = scene.workload_with("web", 1, spec).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    // Without the right to read the Secret the gate holds, and says which Secret.
    let message = web.gate_says(Verdict::Error).await.unwrap();
    assert!(
        message.contains("Secret") && message.contains("prometheus"),
        "{message}"
    );
    // With it, the gate can be asked.
    let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_value(json!({
        "metadata": {"name": "prometheus"}, "stringData": {"tenant": "hunter2"},
    }))
    .unwrap();
    scene
        .api()
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    let role: k8s_openapi::api::rbac::v1::Role = serde_json::from_value(json!({
        "metadata": {"name": "read"},
        "rules": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}],
    }))
    .unwrap();
    scene
        .api()
        .create(&PostParams::default(), &role)
        .await
        .unwrap();
    let binding: k8s_openapi::api::rbac::v1::RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "read"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "read"},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }))
    .unwrap();
    scene
        .api()
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();
    let done = web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    assert!(!serde_json::to_string(&done).unwrap().contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_server_refuses_is_told_in_an_event() {
    // Given a namespace that takes no further ReplicaSet.
    let scene = Scene::new(lab().await, "told").await.unwrap();
    let web = scene
        .workload("web", 1, &json!([{"weight": 50}]), &[])
        .await
        .unwrap();
    let quota: ResourceQuota = serde_json::from_value(json!({
        "metadata": {"name": "sets"}, "spec": {"hard": {"count/replicasets.apps": "1"}},
    }))
    .unwrap();
    scene
        .api::<ResourceQuota>()
        .create(&PostParams::default(), &quota)
        .await
        .unwrap();
    wait_for_object(
        &scene.api::<ResourceQuota>(),
        "sets",
        SOON,
        |q: Option<&ResourceQuota>| {
            let used = q.and_then(|q| {
                q.status
                    .as_ref()?
                    .used
                    .as_ref()?
                    .get("count/replicasets.apps")
                    .cloned()
            });
            used.filter(|used| used.0 == "1")
                .map(drop)
                .ok_or("not counted yet".to_owned())
        },
    )
    .await
    .unwrap();
    // When a canary is to begin, then people are told why it can't, and it begins once it can.
    web.set_image("web:v2").await.unwrap();
    let events = scene.api::<k8s_openapi::api::events::v1::Event>();
    let about = kube::api::ListParams::default().fields("reason=ActFailed");
    let note = wait_for("an event", SOON, || async {
        let list = events.list(&about).await.unwrap();
        let note = list.items.first().and_then(|event| event.note.clone());
        note.ok_or("none yet".to_owned())
    })
    .await
    .unwrap();
    assert!(note.contains("exceeded quota"), "{note}");
    scene
        .api::<ResourceQuota>()
        .delete("sets", &DeleteParams::default())
        .await
        .unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
}

async fn stalled(web: &Workload) -> String {
    web.status_when(|status| condition(status, "Stalled").ok_or(format!("{:?}", status.conditions)))
        .await
        .unwrap()
}

fn condition(status: &belay_engine::rollout::RolloutStatus, kind: &str) -> Option<String> {
    told::condition(&status.conditions, kind)
        .filter(|condition| condition.status == Truth::True)
        .map(|condition| condition.message.clone())
}

fn rollout(name: &str, steps: &Value) -> Rollout {
    serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name},
        "spec": {"workloadRef": {"name": name}, "strategy": {"canary": {"steps": steps}}},
    }))
    .unwrap()
}

fn deployment(name: &str, image: &str, strategy: &Value) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"name": name},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "strategy": strategy,
            "template": {"metadata": {"labels": {"app": name}},
                         "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": image}]}}},
    }))
    .unwrap()
}
