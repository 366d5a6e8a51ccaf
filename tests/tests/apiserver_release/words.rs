//! What annotations on objects say about how Belay treats them.

use belay_engine::release::Phase;
use belay_lab::wait_for;
use belay_tests::tenant::{Tenant, config_map, deployment};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{SOON, open};

async fn change_map(tenant: &Tenant, map: &str, change: serde_json::Value) {
    let parameters = PatchParams {
        field_manager: Some("kubectl-edit".to_owned()),
        ..PatchParams::default()
    };
    tenant
        .api::<ConfigMap>()
        .patch(map, &parameters, &Patch::Merge(&change))
        .await
        .expect("the change");
}

fn annotated(name: &str, value: &str, annotation: &str) -> String {
    let metadata = format!("  name: {name}\n");
    let with = format!("{metadata}  annotations:\n    {annotation}\n");
    config_map(name, value).replacen(&metadata, &with, 1)
}

async fn at_rest(tenant: &Tenant, commit: &str) {
    tenant.phase(Phase::Verified, commit, SOON).await.unwrap();
    tenant
        .wait("at rest", SOON, |status| status.waiting_for.is_none())
        .await
        .unwrap();
}

/// Waits until a ConfigMap is there and belongs to nobody.
async fn given_up(tenant: &Tenant, map: &str) {
    let maps = tenant.api::<ConfigMap>();
    wait_for("the object to be given up", SOON, || async {
        let live = maps.get(map).await.map_err(|error| error.to_string())?;
        let labels = live.metadata.labels.unwrap_or_default();
        if labels.contains_key("belay.dev/release") {
            Err(format!("{labels:?}"))
        } else {
            Ok(())
        }
    })
    .await
    .expect("it is given up");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_object_whose_annotation_says_so_is_left_alone() {
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("other.yaml", &config_map("other", "one")),
    ];
    let (tenant, _) = open("disabled", &files, &json!({})).await;
    // Given an object that a person took into their own hands and changed.
    let hands_off = json!({"metadata": {"annotations": {"belay.dev/reconcile": "disabled"}}, "data": {"value": "by hand"}});
    change_map(&tenant, "config", hands_off).await;
    // When another one drifts, then that one is put right and this one is not.
    change_map(&tenant, "other", json!({"data": {"value": "by hand"}})).await;
    tenant.value_is("other", Some("one"), SOON).await.unwrap();
    // When the source changes both, then the same.
    let both = [
        ("config.yaml", &*config_map("config", "two")),
        ("other.yaml", &config_map("other", "two")),
    ];
    let commit = tenant.repo.commit(&both, "Two").await.unwrap();
    at_rest(&tenant, &commit).await;
    tenant.value_is("other", Some("two"), SOON).await.unwrap();
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("by hand")
    );
    // When the annotation goes, then what the source says by now comes.
    let hands_on = json!({"metadata": {"annotations": {"belay.dev/reconcile": null}}});
    change_map(&tenant, "config", hands_on).await;
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
    // When it comes back and the object leaves the source, then the object stays and belongs to nobody.
    let hands_off = json!({"metadata": {"annotations": {"belay.dev/reconcile": "Disabled"}}});
    change_map(&tenant, "config", hands_off).await;
    let commit = tenant.repo.remove(&["config.yaml"], "Drop").await.unwrap();
    at_rest(&tenant, &commit).await;
    given_up(&tenant, "config").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_looks_after_is_not_waited_for() {
    // Given a Deployment whose pods never become ready, and which the source says not to look after.
    let web = deployment("web", "web:v1", 1, "config")
        .replacen(
            "  name: web\n",
            "  name: web\n  annotations:\n    belay.dev/reconcile: Disabled\n",
            1,
        )
        .replacen(
            "    spec:\n      containers:",
            "    spec:\n      nodeSelector: {nowhere: here}\n      containers:",
            1,
        );
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("web.yaml", &web),
    ];
    // Then the version is verified all the same.
    let (tenant, _) = open("unawaited", &files, &json!({})).await;
    let live = tenant.api::<Deployment>().get("web").await.unwrap();
    assert_eq!(
        live.status.and_then(|status| status.available_replicas),
        None
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_to_be_applied_once_is_made_and_then_left_to_others() {
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        (
            "seed.yaml",
            &annotated("seed", "one", "belay.dev/apply: Once"),
        ),
    ];
    let (tenant, _) = open("once", &files, &json!({})).await;
    tenant.value_is("seed", Some("one"), SOON).await.unwrap();
    // When others and the source change it, then the others' value stays.
    change_map(&tenant, "seed", json!({"data": {"value": "grown"}})).await;
    let commit = tenant
        .repo
        .commit(
            &[
                ("config.yaml", &*config_map("config", "two")),
                (
                    "seed.yaml",
                    &annotated("seed", "two", "belay.dev/apply: Once"),
                ),
            ],
            "Two",
        )
        .await
        .unwrap();
    at_rest(&tenant, &commit).await;
    assert_eq!(
        tenant.value("seed", "value").await.unwrap().as_deref(),
        Some("grown")
    );
    // When it vanishes, then it is made anew.
    tenant
        .api::<ConfigMap>()
        .delete("seed", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    tenant.value_is("seed", Some("two"), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_says_so_stays_when_it_leaves_the_source() {
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        (
            "kept.yaml",
            &annotated("kept", "one", "belay.dev/prune: Disabled"),
        ),
        ("usual.yaml", &config_map("usual", "one")),
    ];
    let (tenant, _) = open("stays", &files, &json!({})).await;
    let gone = ["kept.yaml", "usual.yaml"];
    let commit = tenant.repo.remove(&gone, "Drop").await.unwrap();
    at_rest(&tenant, &commit).await;
    tenant.value_is("usual", None, SOON).await.unwrap();
    given_up(&tenant, "kept").await;
    // A word that means nothing is refused, and says what to write.
    let odd = [(
        "odd.yaml",
        &*annotated("odd", "one", "belay.dev/prune: maybe"),
    )];
    let commit = tenant.repo.commit(&odd, "Odd").await.unwrap();
    let status = tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("odd.yaml") && message.contains("write Disabled or Allowed"),
        "{message}"
    );
}
