//! Releases with files in Git LFS, by the real git-lfs.

use belay_api::Release;
use belay_engine::release::{Phase, ReleaseStatus};
use belay_tests::tenant::{Tenant, config_map};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{SOON, lab};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_in_lfs_is_refused_until_it_may_be_fetched_and_an_object_that_is_gone_changes_nothing()
 {
    // Given a private repository with one manifest in Git and one in LFS
    let lab = lab().await;
    let mut tenant = Tenant::create(lab, "lfs").await.unwrap();
    let private = lab.create_private_repo("lfs-shop", "reader", "open sesame");
    tenant.repo = private.await.unwrap();
    let pointer = tenant.repo.store(config_map("far", "one").as_bytes()).await;
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("far.yaml", &*pointer.unwrap()),
    ];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    let login = json!({"metadata": {"name": "git"}, "stringData": {"username": "reader", "password": "open sesame"}});
    tenant.make::<Secret>(login).await.unwrap();
    // when nothing is said about LFS, then the version is refused, with what to write.
    let source = json!({"source": {"git": {"secretRef": {"name": "git"}}}});
    tenant.release(&source).await.unwrap();
    let status = tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("far.yaml: a pointer to Git LFS"),
        "{message}"
    );
    assert!(message.contains("source.git.lfs: Fetch"), "{message}");
    tenant.value_is("config", None, SOON).await.unwrap();
    // When it may be fetched, then all comes.
    let fetch = json!({"spec": {"source": {"git": {"lfs": "Fetch"}}}});
    let (releases, how) = (tenant.api::<Release>(), PatchParams::default());
    let patched = releases.patch("shop", &how, &Patch::Merge(&fetch)).await;
    patched.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    tenant.value_is("far", Some("one"), SOON).await.unwrap();
    // When a pointer leads to nothing on the server, then that is said, and what runs stays.
    let nowhere = format!(
        "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 5\n",
        "5".repeat(64)
    );
    tenant
        .repo
        .commit(&[("far.yaml", &*nowhere)], "Gone")
        .await
        .unwrap();
    let missed = |status: &ReleaseStatus| {
        let source = status.source.as_ref();
        source.is_some_and(|source| source.message.contains("has no object 5555"))
    };
    let status = tenant
        .wait("the object to be missed", SOON, missed)
        .await
        .unwrap();
    let message = status.source.unwrap().message;
    assert!(message.contains("the file far.yaml"), "{message}");
    tenant.value_is("far", Some("one"), SOON).await.unwrap();
    // When the next one is there, then it comes.
    let pointer = tenant.repo.store(config_map("far", "two").as_bytes()).await;
    let files = [("far.yaml", &*pointer.unwrap())];
    let commit = tenant.repo.commit(&files, "Two").await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    tenant.value_is("far", Some("two"), SOON).await.unwrap();
}
