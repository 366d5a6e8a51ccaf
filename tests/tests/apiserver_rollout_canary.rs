//! A canary on a real control plane: verified and promoted, or rejected and rolled back.

use std::{collections::BTreeSet, time::Duration};

use belay_api::{Action, AnalysisTemplate, Rollout};
use belay_engine::rollout::status::Phase;
use belay_lab::{Lab, Part, wait_for, wait_for_object};
use belay_tests::{
    stage::Stage,
    watching::{SetWatch, pods},
    workload::Workload,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

static STAGE: Stage = Stage::new();

const SOON: Duration = Duration::from_secs(60);

async fn lab() -> &'static Lab {
    STAGE
        .lab(|| Lab::builder().with(Part::Prometheus))
        .await
        .expect("the lab starts")
}

/// A template with one gate whose query is given.
async fn gate(client: &Client, namespace: &str, name: &str, query: &str) {
    let api: Api<AnalysisTemplate> = Api::namespaced(client.clone(), namespace);
    let template: AnalysisTemplate = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": name},
        "spec": {"gates": [{"name": "value", "interval": "1s",
            "prometheus": {"query": query, "threshold": {"max": 0.5}}}]},
    }))
    .unwrap();
    api.create(&PostParams::default(), &template).await.unwrap();
}

async fn act(client: &Client, namespace: &str, rollout: &str, verb: &str) {
    let api: Api<Action> = Api::namespaced(client.clone(), namespace);
    let action = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"generateName": "act-"},
        "spec": {"target": {"kind": "Rollout", "name": rollout}, "verb": verb},
    }))
    .unwrap();
    api.create(&PostParams::default(), &action).await.unwrap();
}

async fn waits_for(workload: &Workload, reason: &str) -> Rollout {
    wait_for_object(
        &workload.rollouts(),
        &workload.name,
        SOON,
        |rollout: Option<&Rollout>| {
            let status = rollout.and_then(|r| r.status.clone()).unwrap_or_default();
            match &status.waiting_for {
                Some(waiting) if waiting.reason == reason => Ok(rollout.cloned().unwrap()),
                other => Err(format!("{:?}, waiting for {other:?}", status.phase)),
            }
        },
    )
    .await
    .unwrap()
}

fn canary(steps: &Value, gates: &Value) -> Value {
    json!({"strategy": {"canary": {"steps": steps}}, "verification": {"gates": gates}})
}

#[tokio::test(flavor = "multi_thread")]
async fn promotion_keeps_every_canary_pod_and_stable_stays_at_strength_before() {
    // Given a workload of four pods whose last step waits for a person.
    let lab = lab().await;
    let client = lab.client().unwrap();
    let namespace = lab.namespace("promote").await.unwrap();
    gate(&client, &namespace, "good", "vector(0)").await;
    let spec = canary(
        &json!([{"weight": 20}, {"weight": 50, "approval": true}]),
        &json!([{"template": "good"}]),
    );
    let web = Workload::create(&client, &namespace, "web", 4, "web:v1", spec)
        .await
        .unwrap();
    web.settled(Phase::Healthy, "v1", SOON).await.unwrap();
    let sets = SetWatch::begin(&client, &namespace, "app=web").await;
    let stable: BTreeSet<String> = sets.seen().into_keys().collect();
    // When a new version is asked for, and its canary has passed everything but the approval.
    web.set_image("web:v2").await.unwrap();
    let waiting = waits_for(&web, "Approval").await;
    let status = waiting.status.unwrap();
    assert_eq!(status.step_text.as_deref(), Some("2/2"));
    assert_eq!(status.weight_percent, Some(50));
    let hash = status.candidate.unwrap().version.hash;
    let canaries = pods(&client, &namespace, &format!("pod-template-hash={hash}"))
        .await
        .unwrap();
    assert_eq!(canaries.len(), 4);
    // Then nothing was taken from the stable version so far.
    for (set, desired) in sets.seen() {
        if stable.contains(&set) {
            assert_eq!(
                desired,
                [4],
                "stable never has another size before the promotion"
            );
        } else {
            assert_eq!(desired, [1, 4], "one candidate, growing with the steps");
        }
    }
    // When a person approves.
    act(&client, &namespace, "web", "Approve").await;
    let promoted = web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    // Then exactly the canary's pods are the workload's, and it is a plain Deployment.
    let after = pods(&client, &namespace, "app=web").await.unwrap();
    assert_eq!(after, canaries);
    let deployment = web.deployments().get("web").await.unwrap();
    assert_ne!(deployment.spec.unwrap().paused, Some(true));
    assert_eq!(deployment.status.unwrap().updated_replicas, Some(4));
    let approved = promoted.status.unwrap().actions;
    assert_eq!(approved.last().unwrap().actor, "lab-admin");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_version_restarts_no_stable_pod_stays_out_and_a_fix_goes_through() {
    // Given a healthy workload with a gate that asks the version's own error rate.
    let lab = lab().await;
    let client = lab.client().unwrap();
    let namespace = lab.namespace("reject").await.unwrap();
    gate(&client, &namespace, "errors", "vector(0)").await;
    let spec = canary(&json!([{"weight": 25}]), &json!([{"template": "errors"}]));
    let web = Workload::create(&client, &namespace, "web", 3, "web:v1", spec)
        .await
        .unwrap();
    web.settled(Phase::Healthy, "v1", SOON).await.unwrap();
    let before = pods(&client, &namespace, "app=web").await.unwrap();
    let sets = SetWatch::begin(&client, &namespace, "app=web").await;
    // When the gate fails.
    set_query(&client, &namespace, "errors", "vector(1)").await;
    web.set_image("web:v2").await.unwrap();
    let rejected = web.settled(Phase::Rejected, "v1", SOON).await.unwrap();
    // Then the reason names number and bound, and the same pods as before serve.
    let rollback = rejected.status.unwrap().rollback.unwrap();
    assert!(
        rollback.message.contains("1 is above the maximum of 0.5"),
        "{}",
        rollback.message
    );
    wait_for("the canary to be gone", SOON, || async {
        let now = pods(&client, &namespace, "app=web").await.unwrap();
        if now == before {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    })
    .await
    .unwrap();
    // When ten writers ask for the rejected version again.
    set_query(&client, &namespace, "errors", "vector(0)").await;
    for writer in 0..10 {
        reapply(&web, writer).await;
    }
    // Then nothing starts.
    let status = web.rollouts().get("web").await.unwrap().status.unwrap();
    assert_eq!(status.phase, Phase::Rejected);
    assert_eq!(
        sets.seen().len(),
        2,
        "stable and the one rejected candidate: {:?}",
        sets.seen()
    );
    // When a fixing version is asked for, it goes through.
    web.set_image("web:v3").await.unwrap();
    web.settled(Phase::Healthy, "v3", SOON).await.unwrap();
}

async fn set_query(client: &Client, namespace: &str, template: &str, query: &str) {
    let api: Api<AnalysisTemplate> = Api::namespaced(client.clone(), namespace);
    let patch =
        json!([{"op": "replace", "path": "/spec/gates/0/prometheus/query", "value": query}]);
    let patch: json_patch::Patch = serde_json::from_value(patch).unwrap();
    api.patch(template, &PatchParams::default(), &Patch::Json::<()>(patch))
        .await
        .unwrap();
}

/// Asks for `web:v2` again, in one of several ways.
async fn reapply(web: &Workload, writer: u32) {
    let container = json!({"name": "main", "image": "web:v2"});
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}},
                 "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}}}});
    let manager = ["kustomize-controller", "argocd-controller", "helm"][writer as usize % 3];
    if writer % 2 == 0 {
        let apply = PatchParams::apply(manager).force();
        web.deployments()
            .patch("web", &apply, &Patch::Apply(&body))
            .await
            .unwrap();
    } else {
        web.set_image("web:v2").await.unwrap();
    }
}
