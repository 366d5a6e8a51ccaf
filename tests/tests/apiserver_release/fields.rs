//! Fields that are left to others, and fields that are taken from them.

use belay_engine::{condition::Truth, release::Phase};
use belay_tests::{
    tenant::{Tenant, config_map},
    told::condition,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use super::{SOON, lab, open};

fn as_manager(name: &str) -> PatchParams {
    PatchParams {
        field_manager: Some(name.to_owned()),
        ..PatchParams::default()
    }
}

async fn change(tenant: &Tenant, map: &str, manager: &str, change: Value) {
    tenant
        .api::<ConfigMap>()
        .patch(map, &as_manager(manager), &Patch::Merge(&change))
        .await
        .expect("the change");
}

fn two_values(name: &str, value: &str, other: &str) -> String {
    format!("{}  other: {other:?}\n", config_map(name, value))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_field_is_neither_put_right_nor_sent() {
    let ignore = json!([
        {"selector": {"kind": "ConfigMap", "name": "config"}, "pointers": ["/data/value", "/data/never", "/spec/0/x"]},
        {"selector": {"kind": "Nothing"}, "pointers": ["/spec/replicas"]},
    ]);
    let files = [("config.yaml", &*two_values("config", "one", "one"))];
    let (tenant, _) = open("ignore", &files, &json!({"apply": {"ignore": ignore}})).await;
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    // When others change it, and then another field of the same object, then only that one is put right.
    change(
        &tenant,
        "config",
        "tuner",
        json!({"data": {"value": "tuned"}}),
    )
    .await;
    change(
        &tenant,
        "config",
        "kubectl-edit",
        json!({"data": {"other": "by hand"}}),
    )
    .await;
    belay_lab::wait_for("the other field", SOON, || async {
        let other = tenant.value("config", "other").await;
        match other.map_err(|error| error.to_string())? {
            Some(value) if value == "one" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("tuned")
    );
    // When the source changes both, then only the other one comes.
    let two = [("config.yaml", &*two_values("config", "two", "two"))];
    let commit = tenant.repo.commit(&two, "Two").await.unwrap();
    let status = tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    let data = tenant.api::<ConfigMap>().get("config").await.unwrap().data;
    let data = data.unwrap();
    assert_eq!((&*data["value"], &*data["other"]), ("tuned", "two"));
    assert!(
        condition(&status.conditions, "Drifted")
            .is_none_or(|drifted| drifted.status != Truth::True)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ignored_field_that_others_change_is_not_reported_either() {
    let spec = json!({"apply": {"drift": "Report", "ignore": [{"pointers": ["/data/value"]}]}});
    let files = [
        ("config.yaml", &*two_values("config", "one", "one")),
        ("next.yaml", &two_values("next", "one", "one")),
    ];
    let (tenant, _) = open("unreported", &files, &spec).await;
    change(
        &tenant,
        "config",
        "tuner",
        json!({"data": {"value": "tuned"}}),
    )
    .await;
    change(
        &tenant,
        "next",
        "kubectl-edit",
        json!({"data": {"other": "by hand"}}),
    )
    .await;
    let status = tenant
        .wait("the drift to be reported", SOON, |status| {
            condition(&status.conditions, "Drifted").is_some_and(|c| c.status == Truth::True)
        })
        .await
        .unwrap();
    let message = &condition(&status.conditions, "Drifted").unwrap().message;
    assert!(
        message.contains("/next") && !message.contains("more"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_pointer_is_refused_with_what_to_write() {
    let tenant = Tenant::create(lab().await, "pointer").await.unwrap();
    for (pointer, says) in [
        ("spec/replicas", "write JSON pointers"),
        ("/spec/~2", "write JSON pointers"),
        ("/metadata/labels", "name single labels"),
        (
            "/metadata/annotations/belay.dev~1release-uid",
            "Belay's marks",
        ),
    ] {
        let spec = json!({"apply": {"ignore": [{"pointers": [pointer]}]}});
        let refused = tenant.release(&spec).await.unwrap_err().to_string();
        assert!(refused.contains(says), "{pointer}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_kubectl_applied_and_edited_is_taken_over_with_the_fields_that_the_source_dropped() {
    let tenant = Tenant::create(lab().await, "kubectl").await.unwrap();
    // Given an object that people made with `kubectl apply`, edited, and labelled.
    let last_applied = "kubectl.kubernetes.io/last-applied-configuration";
    let made: ConfigMap = serde_json::from_value(json!({
        "metadata": {"name": "config", "labels": {"team": "old"}, "annotations": {last_applied: "{}"}},
        "data": {"value": "by hand", "dropped": "x"},
    }))
    .unwrap();
    let parameters = PostParams {
        field_manager: Some("kubectl-client-side-apply".to_owned()),
        ..PostParams::default()
    };
    let maps = tenant.api::<ConfigMap>();
    maps.create(&parameters, &made).await.unwrap();
    let edited = json!({"metadata": {"labels": {"edited": "yes"}}, "data": {"value": "edited"}});
    change(&tenant, "config", "kubectl-edit", edited).await;
    let labelled = json!({"metadata": {"labels": {"owner": "jane"}}});
    change(&tenant, "config", "kubectl-label", labelled).await;
    // When a Release applies it.
    let files = [("config.yaml", &*config_map("config", "from Git"))];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    // Then it is what the source says, and only what was put on it by a command of its own stays.
    let live = maps.get("config").await.unwrap();
    let data = live.data.unwrap();
    assert_eq!(data.len(), 1, "{data:?}");
    assert_eq!(data["value"], "from Git");
    let labels = live.metadata.labels.unwrap();
    assert_eq!(labels.get("owner").map(String::as_str), Some("jane"));
    assert!(
        !labels.contains_key("team") && !labels.contains_key("edited"),
        "{labels:?}"
    );
    assert!(
        !live
            .metadata
            .annotations
            .unwrap()
            .contains_key(last_applied)
    );
}
