//! Health, gates of the Release's own, and what is kept of a verified version.

use belay_api::AnalysisTemplate;
use belay_engine::{
    condition::Truth,
    release::{Phase, status::FailureReason},
};
use belay_lab::wait_for;
use belay_tests::{
    tenant::{Tenant, config_map, deployment},
    told::condition,
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use serde_json::json;

use super::{SOON, lab, rollback::image};

#[tokio::test(flavor = "multi_thread")]
async fn without_rollouts_a_release_is_judged_by_health_and_its_own_gates() {
    let lab = lab().await;
    let tenant = Tenant::create(lab, "plain").await.unwrap();
    let template = serde_json::from_value::<AnalysisTemplate>(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "slo"},
        "spec": {"gates": [{"name": "value", "interval": "1s", "successCount": 2,
            "prometheus": {"query": "vector(0)", "threshold": {"max": 0.5}}}]},
    }))
    .unwrap();
    let templates = tenant.api::<AnalysisTemplate>();
    templates
        .create(&kube::api::PostParams::default(), &template)
        .await
        .unwrap();
    let config = config_map("config", "v1");
    let files = [
        ("web.yaml", &*deployment("web", "web:v1", 2, "config")),
        ("config.yaml", &config),
    ];
    let first = tenant.repo.commit(&files, "v1").await.unwrap();
    let more = json!({"verification": {"timeout": "10s", "gates": [{"template": "slo"}]}});
    tenant.release(&more).await.unwrap();
    let status = tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    assert_eq!(status.gates.len(), 1);
    // When a version never becomes ready, then it is taken back after the timeout.
    let second = tenant
        .repo
        .commit(
            &[(
                "web.yaml",
                &deployment("web", "web:v2-neverready", 2, "config"),
            )],
            "v2",
        )
        .await
        .unwrap();
    let status = tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    assert_eq!(
        status.rollback.unwrap().reason,
        FailureReason::DeadlineExceeded
    );
    assert_eq!(image(&tenant, "web").await, "web:v1");
    // When a gate fails, then the version is taken back.
    let failing = json!({"spec": {"gates": [{"name": "value", "interval": "1s",
        "prometheus": {"query": "vector(1)", "threshold": {"max": 0.5}}}]}});
    let patch = kube::api::Patch::Merge(&failing);
    templates
        .patch("slo", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    let third = tenant
        .repo
        .commit(
            &[("web.yaml", &deployment("web", "web:v3", 2, "config"))],
            "v3",
        )
        .await
        .unwrap();
    let status = tenant.phase(Phase::Rejected, &third, SOON).await.unwrap();
    assert_eq!(status.rollback.unwrap().reason, FailureReason::GateFailed);
    assert_eq!(image(&tenant, "web").await, "web:v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_compares_two_versions_is_refused_for_a_release_until_it_asks_something_else() {
    // Given a Release with a gate that compares pods of two versions.
    let tenant = Tenant::create(lab().await, "compares").await.unwrap();
    let compare = json!({"bad": "failed_total", "total": "requests_total"});
    let template = json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors"},
        "spec": {"gates": [{"name": "compared", "interval": "1s", "prometheus": {"compare": compare}}]},
    });
    tenant.make::<AnalysisTemplate>(template).await.unwrap();
    let config = config_map("config", "v1");
    let files = [("config.yaml", config.as_str())];
    let first = tenant.repo.commit(&files, "v1").await.unwrap();
    let more = json!({"verification": {"gates": [{"template": "errors"}]}});
    tenant.release(&more).await.unwrap();
    // Then it is told where such a gate belongs, and nothing is applied.
    let status = tenant
        .wait("the refusal", SOON, |status| {
            condition(&status.conditions, "Stalled").is_some_and(|c| c.status == Truth::True)
        })
        .await
        .unwrap();
    let why = &condition(&status.conditions, "Stalled").unwrap().message;
    assert!(
        why.contains("gate errors/compared compares pods of two versions, and a Release has none of its own: put it into the Rollouts"),
        "{why}"
    );
    assert_eq!(tenant.value("config", "value").await.unwrap(), None);
    // When it asks for one number, then the Release is brought in.
    let number = json!({"spec": {"gates": [{"name": "compared", "interval": "1s",
        "prometheus": {"query": "vector(0)", "threshold": {"max": 0.5}}}]}});
    let templates = tenant.api::<AnalysisTemplate>();
    let parameters = kube::api::PatchParams::default();
    let patch = kube::api::Patch::Merge(&number);
    templates
        .patch("errors", &parameters, &patch)
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn renders_are_kept_in_secrets_up_to_the_history_asked_for() {
    let tenant = Tenant::create(lab().await, "history").await.unwrap();
    let more = json!({"rollback": {"history": 2}});
    let mut released = false;
    for value in ["one", "two", "three"] {
        let commit = tenant
            .repo
            .commit(&[("config.yaml", &config_map("config", value))], value)
            .await
            .unwrap();
        if !released {
            tenant.release(&more).await.unwrap();
            released = true;
        }
        tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    }
    let secrets = tenant.api::<Secret>();
    let kept = ListParams::default().labels("belay.dev/kept-for=shop");
    wait_for("two renders to be kept", SOON, || async {
        match secrets.list(&kept).await {
            Ok(list) if list.items.len() == 2 => Ok(()),
            Ok(list) => Err(format!("{} are kept", list.items.len())),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
    .unwrap();
    for secret in secrets.list(&kept).await.unwrap() {
        let owner = secret.metadata.owner_references.unwrap().pop().unwrap();
        assert_eq!(
            (owner.kind.as_str(), owner.name.as_str()),
            ("Release", "shop")
        );
    }
}
