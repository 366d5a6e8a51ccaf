//! Releases from artifacts of a real OCI registry.

use belay_api::Release;
use belay_engine::release::{Phase, ReleaseStatus, status::FailureReason};
use belay_lab::Part;
use belay_tests::{
    registry::{Artifact, Registry},
    tenant::{ACCOUNT, Tenant, config_map, deployment},
};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::RwLock;

use super::{SOON, lab, rollback::image};

/// Held by whoever needs the registry; alone by whoever stops it.
pub(super) static RUNS: RwLock<()> = RwLock::const_new(());

/// A tenant with the login of the registry in a Secret, and a repository of its own in the registry.
async fn tenant(name: &str) -> (Tenant, Registry) {
    let tenant = Tenant::create(lab().await, name).await.unwrap();
    let (user, password) = lab().await.registry_login();
    tenant.make::<Secret>(secret(user, password)).await.unwrap();
    (tenant, Registry::of(lab().await).unwrap())
}

fn secret(user: &str, password: &str) -> Value {
    json!({"metadata": {"name": "registry"}, "stringData": {"username": user, "password": password}})
}

/// What goes into the spec of a Release that follows `reference` of the tenant's repository.
fn source(tenant: &Tenant, registry: &Registry, reference: &Value) -> Value {
    json!({"source": {"git": null, "oci": {
        "url": registry.url(&tenant.namespace), "ref": reference, "path": "deploy", "interval": "1s",
        "secretRef": {"name": "registry"},
    }}})
}

fn config(value: &str, revision: &str) -> Artifact {
    let files = [
        ("deploy/config.yaml", &*config_map("config", value)),
        ("other/config.yaml", &config_map("elsewhere", value)),
    ];
    Artifact::flux(&files, revision).unwrap()
}

fn revision(status: &ReleaseStatus) -> &str {
    &status.asked.as_ref().unwrap().revision
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tag_of_a_private_registry_is_followed_wherever_it_moves() {
    let _runs = RUNS.read().await;
    // Given an artifact, and a Release whose login is wrong.
    let (tenant, registry) = tenant("oci-tag").await;
    let repository = &tenant.namespace;
    let first = config("one", "main@sha1:1f0c9ab");
    let first = registry.push(repository, "stable", &first).await.unwrap();
    let patch = async |password: &str| {
        let patch = secret(lab().await.registry_login().0, password);
        let secrets = tenant.api::<Secret>();
        let parameters = PatchParams::default();
        secrets
            .patch("registry", &parameters, &Patch::Merge(&patch))
            .await
            .unwrap();
    };
    patch("shut sesame").await;
    let follow = source(&tenant, &registry, &json!({"tag": "stable"}));
    tenant.release(&follow).await.unwrap();
    // Then it says that the login is refused, and shows it nowhere.
    let status = tenant
        .wait("the login to be refused", SOON, |status| {
            status.source.is_some()
        })
        .await
        .unwrap();
    let shown = serde_json::to_string(&status).unwrap();
    assert!(!shown.contains("shut sesame"), "{shown}");
    let message = &status.source.as_ref().unwrap().message;
    assert!(message.contains("source.oci.secretRef"), "{message}");
    // When the Secret is put right, then the Release goes on by itself.
    patch(lab().await.registry_login().1).await;
    let status = tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    assert_eq!(revision(&status), format!("stable@{first}"));
    let asked = status.asked.as_ref().unwrap();
    assert_eq!(asked.subject.as_deref(), Some("main@sha1:1f0c9ab"));
    assert_eq!(status.source, None);
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    // Only what is below the path is applied.
    tenant.value_is("elsewhere", None, SOON).await.unwrap();
    // When the tag moves, then what it is at now is brought in.
    let second = config("two", "main@sha1:2f0c9ab");
    let second = registry.push(repository, "stable", &second).await.unwrap();
    let status = tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    assert_eq!(revision(&status), format!("stable@{second}"));
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
    // When the tag moves to something that is no artifact of files, then that is said and what runs stays.
    let image = Artifact::image(&[("app", "binary")]).unwrap();
    let image = registry.push(repository, "stable", &image).await.unwrap();
    let status = tenant.phase(Phase::Refused, &image, SOON).await.unwrap();
    let refused = status.refused.unwrap().message;
    assert!(refused.contains("image for containers"), "{refused}");
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
    // When the tag vanishes, then that is said.
    registry.untag(repository, "stable").await.unwrap();
    let gone = |status: &ReleaseStatus| {
        let source = status.source.as_ref();
        source.is_some_and(|source| source.message.contains("does not have"))
    };
    tenant.wait("the tag to be gone", SOON, gone).await.unwrap();
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_range_takes_the_highest_version_and_a_digest_stays() {
    let _runs = RUNS.read().await;
    // Given tags of several versions, one of them a prerelease, pushed by other means.
    let (tenant, registry) = tenant("oci-range").await;
    let repository = &tenant.namespace;
    let push = async |tag: &str| {
        let files = [("deploy/config.yaml", &*config_map("config", tag))];
        let artifact = Artifact::oras(&files).unwrap();
        registry.push(repository, tag, &artifact).await.unwrap()
    };
    for tag in ["v1.2.0", "latest", "1.11.0-rc.1"] {
        push(tag).await;
    }
    let highest = push("v1.10.0").await;
    let range = source(&tenant, &registry, &json!({"semver": "1.x"}));
    tenant.release(&range).await.unwrap();
    let status = tenant.phase(Phase::Verified, &highest, SOON).await.unwrap();
    assert_eq!(revision(&status), format!("v1.10.0@{highest}"));
    // When a higher one comes, then it is brought in.
    let higher = push("1.10.1").await;
    tenant.phase(Phase::Verified, &higher, SOON).await.unwrap();
    tenant
        .value_is("config", Some("1.10.1"), SOON)
        .await
        .unwrap();
    // When a digest is named, then it is that artifact, whatever is pushed.
    let pinned = json!({"semver": null, "digest": highest});
    super::patch_spec(&tenant, &source(&tenant, &registry, &pinned)).await;
    let status = tenant.phase(Phase::Verified, &highest, SOON).await.unwrap();
    assert_eq!(revision(&status), highest);
    push("1.12.0").await;
    tenant
        .value_is("config", Some("v1.10.0"), SOON)
        .await
        .unwrap();
    // When nothing is in the range, then the prerelease that would be is named.
    let none = json!({"semver": "~1.11", "digest": null});
    super::patch_spec(&tenant, &source(&tenant, &registry, &none)).await;
    let hint = |status: &ReleaseStatus| {
        let source = status.source.as_ref();
        source.is_some_and(|source| source.message.contains("1.11.0-rc.1"))
    };
    tenant.wait("the hint", SOON, hint).await.unwrap();
    tenant
        .value_is("config", Some("v1.10.0"), SOON)
        .await
        .unwrap();
}

fn web(version: &str) -> Artifact {
    let name = format!("web:{version}");
    let files = [
        ("deploy/config.yaml", &*config_map("config", version)),
        ("deploy/web.yaml", &deployment("web", &name, 1, "config")),
    ];
    Artifact::flux(&files, version).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_goes_back_to_the_artifact_before_also_while_the_registry_is_away() {
    let _alone = RUNS.write().await;
    // Given a verified artifact.
    let (tenant, registry) = tenant("oci-outage").await;
    let repository = &tenant.namespace;
    let push = async |version: &str| {
        let artifact = web(version);
        let pushed = registry.push(repository, "stable", &artifact).await;
        pushed.unwrap()
    };
    let first = push("v1").await;
    let mut spec = source(&tenant, &registry, &json!({"tag": "stable"}));
    spec["verification"] = json!({"timeout": "20s"});
    tenant.release(&spec).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // When the registry is away, then that is said, and nothing else changes.
    let lab = lab().await;
    lab.stop(Part::Registry).await.unwrap();
    let status = tenant
        .wait("the outage to be told", SOON, |status| {
            status.source.is_some()
        })
        .await
        .unwrap();
    let message = status.source.unwrap().message;
    assert!(message.contains("can't be reached"), "{message}");
    assert_eq!((status.phase, status.refused), (Phase::Verified, None));
    assert_eq!(image(&tenant, "web").await, "web:v1");
    // When it is back, then the Release goes on by itself.
    lab.start(Part::Registry).await.unwrap();
    let second = push("v2").await;
    let status = tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    assert_eq!(status.source, None);
    // When a version comes that never gets ready, and the registry goes away with it, then it goes back all the same.
    let third = push("v3-neverready").await;
    tenant.phase(Phase::Verifying, &third, SOON).await.unwrap();
    lab.stop(Part::Registry).await.unwrap();
    let went_back = |status: &ReleaseStatus| status.phase == Phase::Rejected;
    let status = tenant.wait("v2 again", SOON, went_back).await.unwrap();
    lab.start(Part::Registry).await.unwrap();
    let rollback = status.rollback.unwrap();
    assert_eq!(rollback.reason, FailureReason::DeadlineExceeded);
    assert_eq!(image(&tenant, "web").await, "web:v2");
    let verified = status.verified.unwrap().content.revision;
    assert_eq!(verified, format!("stable@{second}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_goes_on_to_the_next_release_when_the_one_before_has_verified_it() {
    let _runs = RUNS.read().await;
    // Given two Releases of one tag, of which the second waits for the first.
    let (tenant, registry) = tenant("oci-promote").await;
    let artifact = |version: &str| {
        let web = deployment("web", &format!("web:{version}"), 1, "config");
        let files = [
            ("deploy/config.yaml", &*config_map("config", version)),
            ("deploy/web.yaml", &web),
            ("next/config.yaml", &config_map("elsewhere", version)),
        ];
        Artifact::flux(&files, version).unwrap()
    };
    let push = async |version: &str| {
        let artifact = artifact(version);
        let pushed = registry.push(&tenant.namespace, "stable", &artifact).await;
        pushed.unwrap()
    };
    let first = push("v1").await;
    let mut spec = source(&tenant, &registry, &json!({"tag": "stable"}));
    spec["verification"] = json!({"timeout": "20s"});
    tenant.release(&spec).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    let mut next = spec["source"].clone();
    next["oci"]["path"] = json!("next");
    let next = json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "next"},
        "spec": {
            "source": next, "serviceAccountName": ACCOUNT, "promotion": {"after": [{"release": "shop"}]},
        },
    });
    tenant.make::<Release>(next).await.unwrap();
    let goes_on = async |version: &str| {
        let value = tenant.value_is("elsewhere", Some(version), SOON);
        value.await.unwrap();
    };
    goes_on("v1").await;
    // When an artifact fails in the first, then the second does not get it, and gets the one after that.
    let bad = push("v2-neverready").await;
    tenant.phase(Phase::Rejected, &bad, SOON).await.unwrap();
    goes_on("v1").await;
    push("v3").await;
    goes_on("v3").await;
}
