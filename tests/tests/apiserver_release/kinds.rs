//! Releases with governed workloads of other kinds than Deployments, on a real control plane.

use super::{SOON, open};
use belay_api::Rollout;
use belay_engine::{
    release::{Phase, status::FailureReason},
    rollout::status::Phase as RolloutPhase,
};
use belay_lab::wait_for_object;
use belay_tests::tenant::{Tenant, config_map, deployment, gate, rollout};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use serde_json::{Value, json};

/// A StatefulSet and a Deployment of the same name; the StatefulSet is governed, with a gate that gives `value`.
fn store(version: &str, value: &str) -> Vec<(&'static str, String)> {
    let pods = json!({
        "metadata": {"labels": {"app": "store-db"}},
        "spec": {"terminationGracePeriodSeconds": 1, "containers": [{"name": "main", "image": format!("db:{version}")}]},
    });
    let set = json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "store"},
        "spec": {
            "replicas": 2, "serviceName": "store", "selector": {"matchLabels": {"app": "store-db"}}, "template": pods,
        },
    });
    let governs = rollout("store", "store")
        .replace("workloadRef:\n", "workloadRef:\n    kind: StatefulSet\n");
    vec![
        ("set.yaml", set.to_string()),
        (
            "deployment.yaml",
            deployment("store", "store:v1", 1, "config"),
        ),
        ("config.yaml", config_map("config", "v1")),
        ("rollout.yaml", governs),
        ("gate.yaml", gate("store", value)),
    ]
}

async fn commit(tenant: &Tenant, version: &str, value: &str) -> String {
    let files = store(version, value);
    let files: Vec<(&str, &str)> = files.iter().map(|(p, text)| (*p, text.as_str())).collect();
    tenant
        .repo
        .commit(&files, "Another version")
        .await
        .expect("a commit")
}

/// Waits until the StatefulSet asks for this version, and its Rollout rests at it.
async fn rests_at(tenant: &Tenant, version: &str) {
    let rests = |rollout: Option<&Rollout>| {
        let status = rollout.and_then(|r| r.status.clone()).unwrap_or_default();
        match &status.stable {
            Some(stable) if stable.version == version && status.phase == RolloutPhase::Healthy => {
                Ok(())
            }
            stable => Err(format!("{:?} at {stable:?}", status.phase)),
        }
    };
    wait_for_object(&tenant.api::<Rollout>(), "store", SOON, rests)
        .await
        .expect("the Rollout gets there");
    let set = tenant.api::<StatefulSet>().get("store").await;
    let pods = set.expect("a set").spec.expect("a spec").template.spec;
    let image = pods.and_then(|pods| pods.containers.into_iter().next()?.image);
    assert_eq!(image, Some(format!("db:{version}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_is_verified_and_taken_back_by_its_rollout_and_a_deployment_of_its_name_is_not()
 {
    // Given a Release with a StatefulSet that has a Rollout and a Deployment of the same name that has none.
    let files = store("v1", "vector(0)");
    let files: Vec<(&str, &str)> = files.iter().map(|(p, text)| (*p, text.as_str())).collect();
    let (tenant, _) = open("kinds", &files, &json!({})).await;
    rests_at(&tenant, "v1").await;
    // When a version comes that its gate likes, then the Release is verified by it.
    let second = commit(&tenant, "v2", "vector(0)").await;
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    rests_at(&tenant, "v2").await;
    // When one comes that it does not like, then the Release goes back because of it.
    let third = commit(&tenant, "v3", "vector(1)").await;
    let status = tenant.phase(Phase::Rejected, &third, SOON).await.unwrap();
    let rollback = status.rollback.expect("a rollback");
    assert_eq!(rollback.reason, FailureReason::RolloutRejected);
    rests_at(&tenant, "v2").await;
    // Then the Deployment was never touched by any of it: nobody paused it, and no Rollout has its mark on it.
    let plain = tenant.api::<Deployment>().get("store").await.unwrap();
    assert_eq!(plain.spec.unwrap().paused, None);
    let kinds: Vec<Value> = status
        .workloads
        .iter()
        .map(|known| json!(known.kind))
        .collect();
    assert_eq!(kinds.len(), 2, "{kinds:?}");
    assert!(kinds.contains(&json!("StatefulSet")) && kinds.contains(&json!("Deployment")));
}
