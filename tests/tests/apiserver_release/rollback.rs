//! Releases that fail on a real control plane: everything goes back together, from what the cluster keeps, and stays back.

use std::time::Duration;

use super::SOON;
use belay_api::Rollout;
use belay_engine::{
    condition::Truth,
    release::{Phase, status::FailureReason},
    rollout::status::Phase as RolloutPhase,
};
use belay_lab::wait_for_object;
use belay_tests::{
    tenant::{Tenant, config_map, deployment, gate, rollout},
    told::condition,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::api::{ListParams, WatchEvent, WatchParams};
use serde_json::{Value, json};

/// Files of three governed workloads that use `config`, at image `version`. The gate of each asks the query of its own template.
fn shop(version: &str, config: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for name in ["web", "api", "worker"] {
        files.push((
            format!("{name}.yaml"),
            deployment(name, &format!("{name}:{version}"), 2, config),
        ));
        files.push((format!("{name}-rollout.yaml"), rollout(name, name)));
        files.push((format!("{name}-gate.yaml"), gate(name, "vector(0)")));
    }
    files.push(("config.yaml".to_owned(), config_map(config, version)));
    files
}

fn borrowed(files: &[(String, String)]) -> Vec<(&str, &str)> {
    files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect()
}

/// A tenant with three workloads at v1, verified.
async fn open(name: &str, more: &Value) -> (Tenant, String) {
    super::open(name, &borrowed(&shop("v1", "config-v1")), more).await
}

/// Commits v2 of everything, with another ConfigMap, in which the gate of `api` gives `value`.
async fn commit_v2(tenant: &Tenant, value: &str) -> String {
    let mut files = shop("v2", "config-v2");
    let bad = gate("api", value);
    for (path, text) in &mut files {
        if path == "api-gate.yaml" {
            text.clone_from(&bad);
        }
    }
    files.retain(|(path, _)| path != "config.yaml");
    files.push(("config2.yaml".to_owned(), config_map("config-v2", "v2")));
    // In one commit: between two of them Belay might take up the first.
    tenant
        .repo
        .change(&["config.yaml"], &borrowed(&files), "v2")
        .await
        .expect("a commit")
}

pub(super) async fn image(tenant: &Tenant, name: &str) -> String {
    let live = tenant
        .api::<Deployment>()
        .get(name)
        .await
        .expect("the Deployment");
    let containers = live
        .spec
        .and_then(|s| s.template.spec)
        .map(|s| s.containers);
    containers
        .and_then(|mut containers| containers.pop()?.image)
        .expect("an image")
}

async fn rollout_is(tenant: &Tenant, name: &str, phase: RolloutPhase, version: &str) {
    let wanted = |rollout: Option<&Rollout>| {
        let status = rollout.and_then(|r| r.status.clone()).unwrap_or_default();
        let stable = status
            .stable
            .map(|stable| stable.version)
            .unwrap_or_default();
        if status.phase == phase && stable == version {
            Ok(())
        } else {
            Err(format!(
                "{:?} at {stable}: {:?}",
                status.phase, status.waiting_for
            ))
        }
    };
    wait_for_object(&tenant.api::<Rollout>(), name, SOON, wanted)
        .await
        .expect("the Rollout gets there");
}

/// Says whether the ConfigMap was deleted at any time since `version` of the list.
async fn was_deleted(tenant: &Tenant, name: &str, version: &str) -> bool {
    use futures::StreamExt as _;
    let parameters = WatchParams::default()
        .fields(&format!("metadata.name={name}"))
        .timeout(1);
    let events = tenant
        .api::<ConfigMap>()
        .watch(&parameters, version)
        .await
        .expect("a watch");
    events
        .any(|event| std::future::ready(matches!(event, Ok(WatchEvent::Deleted(_)))))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_one_canary_fails_all_workloads_go_back_and_the_old_config_was_there_throughout() {
    // Given three workloads and a ConfigMap at v1.
    let (tenant, first) = open("three", &json!({})).await;
    let maps = tenant.api::<ConfigMap>();
    let version = maps
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata
        .resource_version
        .unwrap();
    // When v2 of all of them is asked for, with another ConfigMap, and the canary of one fails.
    let second = commit_v2(&tenant, "vector(1)").await;
    let status = tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    // Then everything is back at v1, and the failure is told with its evidence.
    let rollback = status.rollback.clone().unwrap();
    assert_eq!(rollback.reason, FailureReason::RolloutRejected);
    assert!(
        rollback.message.contains("api") && rollback.message.contains("above the maximum"),
        "{}",
        rollback.message
    );
    assert!(
        status
            .verified
            .as_ref()
            .unwrap()
            .content
            .revision
            .ends_with(&first)
    );
    for name in ["web", "api", "worker"] {
        assert_eq!(image(&tenant, name).await, format!("{name}:v1"));
        rollout_is(&tenant, name, RolloutPhase::Healthy, "v1").await;
    }
    assert!(
        !was_deleted(&tenant, "config-v1", &version).await,
        "the old pods had their ConfigMap all the time"
    );
    tenant
        .value_is("config-v1", Some("v1"), SOON)
        .await
        .unwrap();
    tenant.value_is("config-v2", None, SOON).await.unwrap();
    let stalled = condition(&status.conditions, "Stalled").unwrap();
    assert_eq!(stalled.status, Truth::True);

    // When the same content comes with another commit, then nothing changes.
    let again = tenant
        .repo
        .commit(&[("README.md", "again")], "Again")
        .await
        .unwrap();
    let status = tenant.phase(Phase::Rejected, &again, SOON).await.unwrap();
    assert_eq!(status.rollback.unwrap().at, rollback.at);
    assert_eq!(image(&tenant, "web").await, "web:v1");

    // When a fixing commit comes, then it goes through.
    let mut fixed = shop("v3", "config-v2");
    fixed.retain(|(path, _)| path != "config.yaml");
    let third = tenant.repo.commit(&borrowed(&fixed), "v3").await.unwrap();
    tenant.phase(Phase::Verified, &third, SOON).await.unwrap();
    for name in ["web", "api", "worker"] {
        rollout_is(&tenant, name, RolloutPhase::Healthy, "v3").await;
    }
    tenant.value_is("config-v1", None, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn together_nothing_is_promoted_before_everything_is_verified() {
    // Given workloads that promote together, one of which fails.
    let (tenant, _) = open(
        "together",
        &json!({"verification": {"promotion": "Together"}}),
    )
    .await;
    let second = commit_v2(&tenant, "vector(1)").await;
    // Then none of them was promoted: the stable versions were never left.
    let promoted = |tenant: &Tenant| {
        let rollouts = tenant.api::<Rollout>();
        async move {
            let all = rollouts.list(&ListParams::default()).await.expect("a list");
            all.iter()
                .filter_map(|rollout| rollout.status.as_ref()?.stable.clone())
                .any(|stable| stable.version == "v2")
        }
    };
    let watch = async {
        loop {
            assert!(
                !promoted(&tenant).await,
                "promoted although another one failed"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        status = tenant.phase(Phase::Rejected, &second, SOON) => drop(status.unwrap()),
        () = watch => {}
    }
    // When a good version comes, then all are promoted.
    let mut fixed = shop("v3", "config-v2");
    fixed.retain(|(path, _)| path != "config.yaml");
    let third = tenant.repo.commit(&borrowed(&fixed), "v3").await.unwrap();
    tenant.phase(Phase::Verified, &third, SOON).await.unwrap();
    for name in ["web", "api", "worker"] {
        rollout_is(&tenant, name, RolloutPhase::Healthy, "v3").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retried_release_has_its_rollouts_try_again_and_undo_goes_back() {
    // Given a Release whose v2 was rejected, for a reason that is gone now.
    let (tenant, first) = open("retry", &json!({})).await;
    let second = commit_v2(&tenant, "vector(time() < bool 0)").await;
    let verified = tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    assert_eq!(verified.history.len(), 2);
    // When a person undoes v2, then v1 comes back and stays, although Git asks for v2.
    tenant.act("Undo").await.unwrap();
    let status = tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    assert_eq!(status.rollback.unwrap().reason, FailureReason::Undone);
    assert!(status.verified.unwrap().content.revision.ends_with(&first));
    for name in ["web", "api", "worker"] {
        rollout_is(&tenant, name, RolloutPhase::Healthy, "v1").await;
    }
    // When a person retries v2, then it is verified again.
    tenant.act("Retry").await.unwrap();
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    for name in ["web", "api", "worker"] {
        rollout_is(&tenant, name, RolloutPhase::Healthy, "v2").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_lifts_the_quarantine_of_its_rollouts_too() {
    // Given a Release whose v2 was rejected by a gate.
    let (tenant, _) = open("lift", &json!({})).await;
    let second = commit_v2(&tenant, "vector(1)").await;
    tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    // When it is retried, then its Rollout tries again, too (and fails again for the same reason).
    let before = tenant
        .wait("status", SOON, |_| true)
        .await
        .unwrap()
        .rollback
        .unwrap()
        .at;
    tenant.act("Retry").await.unwrap();
    tenant
        .wait("a second rollback", SOON, |status| {
            status.phase == Phase::Rejected
                && status.rollback.as_ref().is_some_and(|r| r.at > before)
        })
        .await
        .unwrap();
    let api = tenant.api::<Rollout>().get("api").await.unwrap();
    let retried = api.status.unwrap().actions;
    assert!(
        retried
            .iter()
            .any(|receipt| receipt.actor.contains("belay")),
        "{retried:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantined_version_is_tried_again_with_its_rollout_when_its_time_is_over() {
    // Given a Release whose v2 was rejected, for a reason that is mended since, outside of what it is made of.
    let spec = json!({"rollback": {"quarantineEndsAfter": "1m"}});
    let (tenant, _) = open("over", &spec).await;
    let mended = jiff::Timestamp::now() + Duration::from_mins(1);
    let query = format!("vector(time() < bool {})", mended.as_second());
    let second = commit_v2(&tenant, &query).await;
    let status = tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    let ready = condition(&status.conditions, "Ready").unwrap();
    assert!(ready.message.contains(", or until "), "{}", ready.message);
    // When its time is over, then it is tried again, with the Rollout that had rejected it.
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    for name in ["web", "api", "worker"] {
        rollout_is(&tenant, name, RolloutPhase::Healthy, "v2").await;
    }
    let api = tenant.api::<Rollout>().get("api").await.unwrap();
    let retried = api.status.unwrap().actions;
    assert!(
        retried
            .iter()
            .any(|receipt| receipt.actor.contains("belay")),
        "{retried:?}"
    );
}
