//! A canary from its start to its end: promoted, rejected, replaced by a newer one, taken back by its author, tried before.

use std::collections::BTreeSet;

use belay_engine::rollout::status::{Phase, RollbackReason, Track};
use belay_lab::wait_for;
use belay_tests::{
    scene::{SOON, Scene},
    watching::{SetWatch, pods},
    workload::Workload,
};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::lab;

#[tokio::test(flavor = "multi_thread")]
async fn promotion_keeps_every_canary_pod_and_stable_stays_at_strength_before() {
    // Given a workload of four pods whose last step waits for a person.
    let scene = Scene::new(lab().await, "promote").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let steps = json!([{"weight": 20}, {"weight": 50, "approval": true}]);
    let web = scene.workload("web", 4, &steps, &["good"]).await.unwrap();
    let sets = SetWatch::begin(&scene.client, &scene.namespace, "app=web").await;
    let stable: BTreeSet<String> = sets.seen().into_keys().collect();
    // When a new version is asked for, and its canary has passed everything but the approval.
    web.set_image("web:v2").await.unwrap();
    let status = web.waits_for("Approval").await.unwrap();
    assert_eq!(status.step_text.as_deref(), Some("2/2"));
    assert_eq!(status.weight_percent, Some(50));
    let hash = status.candidate.unwrap().version.hash;
    let canaries = of_hash(&scene, &hash).await;
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
    scene.act("web", "Approve").await.unwrap();
    let promoted = web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    // Then exactly the canary's pods are the workload's, and it is a plain Deployment.
    let after = pods(&scene.client, &scene.namespace, "app=web")
        .await
        .unwrap();
    assert_eq!(after.into_keys().collect::<BTreeSet<_>>(), canaries);
    let deployment = web.deployments().get("web").await.unwrap();
    assert_ne!(deployment.spec.unwrap().paused, Some(true));
    assert_eq!(deployment.status.unwrap().updated_replicas, Some(4));
    assert_eq!(
        promoted.status.unwrap().actions.last().unwrap().actor,
        "lab-admin"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_version_restarts_no_stable_pod_stays_out_and_a_fix_goes_through() {
    // Given a healthy workload with a gate that fails.
    let scene = Scene::new(lab().await, "reject").await.unwrap();
    scene.gate("errors", "vector(1)").await.unwrap();
    let web = scene
        .workload("web", 3, &json!([{"weight": 25}]), &["errors"])
        .await
        .unwrap();
    let before = pods(&scene.client, &scene.namespace, "app=web")
        .await
        .unwrap();
    let sets = SetWatch::begin(&scene.client, &scene.namespace, "app=web").await;
    // When a new version is asked for.
    web.set_image("web:v2").await.unwrap();
    let rejected = web.is_in(Phase::Rejected).await.unwrap();
    // Then the reason names number and bound, and the same pods as before serve.
    let rollback = rejected.rollback.unwrap();
    assert_eq!(rollback.reason, RollbackReason::GateFailed);
    assert!(
        rollback.message.contains("1 is above the maximum of 0.5"),
        "{}",
        rollback.message
    );
    wait_for("the canary to be gone", SOON, || async {
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
    let events = events(&scene, "web").await;
    for reason in ["RolloutStarted", "RollbackStarted"] {
        assert!(
            events.iter().any(|event| event == reason),
            "{reason} among {events:?}"
        );
    }
    // When ten writers ask for the rejected version again, although it would pass now.
    scene.set_query("errors", "vector(0)").await.unwrap();
    for writer in 0..10 {
        reapply(&web, writer).await;
    }
    // Then nothing starts.
    assert_eq!(web.status().await.unwrap().phase, Phase::Rejected);
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

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_while_it_bakes_brings_the_old_version_back_natively() {
    // Given a promoted version that bakes.
    let scene = Scene::new(lab().await, "bake").await.unwrap();
    scene.gate("errors", "vector(0)").await.unwrap();
    let spec = json!({
        "strategy": {"canary": {"steps": [{"weight": 50}]}},
        "verification": {"gates": [{"template": "errors"}], "afterPromotion": {"bake": "10m"}},
    });
    let web = scene.workload_with("web", 2, spec).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.is_in(Phase::Baking).await.unwrap();
    // When a gate fails.
    scene.set_query("errors", "vector(1)").await.unwrap();
    // Then the stable template is written back and rolled out; the failed one is quarantined.
    let status = web
        .settled(Phase::Healthy, "v1", SOON)
        .await
        .unwrap()
        .status
        .unwrap();
    assert!(status.rollback.unwrap().promoted);
    assert_eq!(status.quarantine.len(), 1);
    let deployment = web.deployments().get("web").await.unwrap();
    let image = deployment.spec.unwrap().template.spec.unwrap().containers[0]
        .image
        .clone();
    assert_eq!(image.as_deref(), Some("web:v1"));
    // And whoever asks for it again is held.
    web.set_image("web:v2").await.unwrap();
    web.is_in(Phase::Rejected).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_takes_the_place_of_the_one_on_trial() {
    let scene = Scene::new(lab().await, "newer").await.unwrap();
    let steps = json!([{"weight": 20, "hold": "1h"}, {"weight": 50}]);
    let web = scene.workload("web", 4, &steps, &[]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    let old = web.waits_for("Hold").await.unwrap().candidate.unwrap();
    // When a newer version is asked for in mid-canary.
    web.set_image("web:v3").await.unwrap();
    // Then it starts from the first step, the old one is gone and not quarantined.
    let status = web
        .status_when(|status| match &status.candidate {
            Some(candidate)
                if candidate.version.version == "v3" && candidate.first_ready_at.is_some() =>
            {
                Ok(status.clone())
            }
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    assert_eq!(status.step_text.as_deref(), Some("1/2"));
    assert!(status.quarantine.is_empty());
    wait_for("the old canary to be gone", SOON, || async {
        let left = of_hash(&scene, &old.version.hash).await;
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?}"))
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_in_mid_promotion_ends_well_and_stable_serves_meanwhile() {
    // Given a promotion that takes a while, for its pods are slow.
    let scene = Scene::new(lab().await, "midway").await.unwrap();
    let web = scene
        .workload("web", 4, &json!([{"weight": 20}]), &[])
        .await
        .unwrap();
    web.set_image("web:v2-slow-2s").await.unwrap();
    web.is_in(Phase::Promoting).await.unwrap();
    // When a newer version is asked for in the middle of it.
    web.set_image("web:v3").await.unwrap();
    // Then the newer one ends as the stable one, un-paused and complete.
    web.settled(Phase::Healthy, "v3", SOON).await.unwrap();
    let deployment = web.deployments().get("web").await.unwrap();
    assert_ne!(deployment.spec.unwrap().paused, Some(true));
    let all = pods(&scene.client, &scene.namespace, "app=web")
        .await
        .unwrap();
    assert_eq!(all.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_to_the_stable_template_ends_the_canary_at_once() {
    let scene = Scene::new(lab().await, "revert").await.unwrap();
    let steps = json!([{"weight": 20, "hold": "1h"}]);
    let web = scene.workload("web", 3, &steps, &[]).await.unwrap();
    let before = pods(&scene.client, &scene.namespace, "app=web")
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Hold").await.unwrap();
    // When its author takes the change back.
    web.set_image("web:v1").await.unwrap();
    // Then the workload is healthy without a quarantine, un-paused, with the same pods.
    let status = web
        .settled(Phase::Healthy, "v1", SOON)
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(status.rollback.unwrap().reason, RollbackReason::Reverted);
    assert!(status.quarantine.is_empty());
    let deployment = web.deployments().get("web").await.unwrap();
    assert_ne!(deployment.spec.unwrap().paused, Some(true));
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
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_verified_before_goes_the_fast_track() {
    let scene = Scene::new(lab().await, "fast").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let web = scene
        .workload("web", 2, &json!([{"weight": 50}]), &["good"])
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    // When the workload goes back to the verified version, with a gate that never passes.
    scene
        .set_query("good", "sum(nothing_by_this_name)")
        .await
        .unwrap();
    web.set_image("web:v1").await.unwrap();
    // Then there are no steps, and the gates are on.
    let status = web
        .status_when(|status| match &status.candidate {
            Some(candidate) if status.phase == Phase::Baking => Ok(candidate.clone()),
            _ => Err(format!("{:?}", status.phase)),
        })
        .await
        .unwrap();
    assert_eq!(status.track, Track::Fast);
    scene.set_query("good", "vector(0)").await.unwrap();
    web.settled(Phase::Healthy, "v1", SOON).await.unwrap();
}

/// Reasons of the events about a Rollout.
async fn events(scene: &Scene, rollout: &str) -> Vec<String> {
    use k8s_openapi::api::events::v1::Event;
    let about = format!("regarding.kind=Rollout,regarding.name={rollout}");
    let about = kube::api::ListParams::default().fields(&about);
    let api = scene.api::<Event>();
    wait_for("the events to be written", SOON, || async {
        let list = api.list(&about).await.unwrap();
        let reasons: Vec<String> = list.into_iter().filter_map(|event| event.reason).collect();
        if reasons.iter().any(|reason| reason == "Rejected") {
            Ok(reasons)
        } else {
            Err(format!("{reasons:?}"))
        }
    })
    .await
    .unwrap()
}

async fn of_hash(scene: &Scene, hash: &str) -> BTreeSet<String> {
    let labels = format!("pod-template-hash={hash}");
    pods(&scene.client, &scene.namespace, &labels)
        .await
        .unwrap()
        .into_keys()
        .collect()
}

/// Asks for `web:v2` again, in one of several ways.
async fn reapply(web: &Workload, writer: usize) {
    let body = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"app": "web"}},
                 "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
                     "terminationGracePeriodSeconds": 1,
                     "containers": [{"name": "main", "image": "web:v2"}]}}}});
    let manager = ["kustomize-controller", "argocd-controller", "helm"][writer % 3];
    if writer.is_multiple_of(2) {
        let apply = PatchParams::apply(manager).force();
        web.deployments()
            .patch("web", &apply, &Patch::Apply(&body))
            .await
            .unwrap();
    } else {
        web.set_image("web:v2").await.unwrap();
    }
}
