//! Objects that can't simply be changed: with immutable fields, or of other tools.

use belay_engine::release::Phase;
use belay_tests::tenant::{Tenant, config_map};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    ResourceExt as _,
    api::{Patch, PatchParams},
};
use serde_json::json;

use super::{SOON, open, patch_spec};

fn fixed(value: &str, more: &str) -> String {
    format!("{}{more}immutable: true\n", config_map("fixed", value))
}

async fn uid(tenant: &Tenant) -> String {
    let map = tenant.api::<ConfigMap>().get("fixed").await;
    map.expect("it is there").uid().expect("a UID")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_made_anew_for_an_immutable_field_only_when_allowed_and_for_nothing_else() {
    let (tenant, _) = open(
        "immutable",
        &[("fixed.yaml", &*fixed("one", ""))],
        &json!({}),
    )
    .await;
    let first = uid(&tenant).await;
    // When the source changes what can't be changed, then it is refused, and it is said what would help.
    let two = [("fixed.yaml", &*fixed("two", ""))];
    let commit = tenant.repo.commit(&two, "Two").await.unwrap();
    let status = tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("immutable") && message.contains("apply.onImmutable: Replace"),
        "{message}"
    );
    assert_eq!(uid(&tenant).await, first);
    // When that is allowed, then the object is made anew.
    patch_spec(&tenant, &json!({"apply": {"onImmutable": "Replace"}})).await;
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    assert_eq!(
        tenant.value("fixed", "value").await.unwrap().as_deref(),
        Some("two")
    );
    let second = uid(&tenant).await;
    assert_ne!(second, first);
    // When something else is wrong with it, too, then it is refused and the object stays.
    let wrong = [("fixed.yaml", &*fixed("three", "  \"not a key!\": x\n"))];
    let commit = tenant.repo.commit(&wrong, "Wrong").await.unwrap();
    tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    assert_eq!(uid(&tenant).await, second);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_is_made_anew_after_it_is_gone_with_its_finalizers() {
    let held = fixed("one", "").replacen(
        "  name: fixed\n",
        "  name: fixed\n  finalizers: [example.com/slow]\n  annotations:\n    belay.dev/replace: Allowed\n",
        1,
    );
    let (tenant, _) = open("slow", &[("fixed.yaml", &*held)], &json!({})).await;
    let first = uid(&tenant).await;
    let two = [("fixed.yaml", &*held.replacen("one", "two", 1))];
    let commit = tenant.repo.commit(&two, "Two").await.unwrap();
    // Then it is being deleted, and the attempt waits.
    let maps = tenant.api::<ConfigMap>();
    belay_lab::wait_for_object(&maps, "fixed", SOON, |map: Option<&ConfigMap>| {
        let dying = map.and_then(|map| map.metadata.deletion_timestamp.clone());
        dying
            .map(drop)
            .ok_or_else(|| "it is not being deleted".to_owned())
    })
    .await
    .unwrap();
    assert_eq!(uid(&tenant).await, first);
    let off = json!({"metadata": {"finalizers": null}});
    maps.patch("fixed", &PatchParams::default(), &Patch::Merge(&off))
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    assert_ne!(uid(&tenant).await, first);
    assert_eq!(
        tenant.value("fixed", "value").await.unwrap().as_deref(),
        Some("two")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tools_object_is_refused_by_its_name_and_adopted_on_an_explicit_word() {
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, _) = open("flux", &files, &json!({})).await;
    // Given an object that Flux applies.
    let theirs = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"value": "theirs"}, "metadata": {"name": "shared",
        "labels": {"kustomize.toolkit.fluxcd.io/name": "apps", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}}});
    tenant
        .api::<ConfigMap>()
        .patch(
            "shared",
            &PatchParams::apply("kustomize-controller").force(),
            &Patch::Apply(&theirs),
        )
        .await
        .unwrap();
    // When the source has it, too, then the version is refused.
    let shared = config_map("shared", "ours");
    let commit = tenant
        .repo
        .commit(&[("shared.yaml", &shared)], "Share")
        .await
        .unwrap();
    let status = tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("Flux Kustomization flux-system/apps")
            && message.contains("belay.dev/adopt"),
        "{message}"
    );
    assert_eq!(
        tenant.value("shared", "value").await.unwrap().as_deref(),
        Some("theirs")
    );
    // When the source says that Belay is to have it, then it has.
    let adopt = shared.replacen(
        "  name: shared\n",
        "  name: shared\n  annotations:\n    belay.dev/adopt: Allowed\n",
        1,
    );
    let commit = tenant
        .repo
        .commit(&[("shared.yaml", &adopt)], "Adopt")
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    assert_eq!(
        tenant.value("shared", "value").await.unwrap().as_deref(),
        Some("ours")
    );
}
