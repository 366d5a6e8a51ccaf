//! Releases whose directory lies partly in another repository.

use belay_api::Release;
use belay_engine::release::Phase;
use belay_tests::tenant::{Tenant, config_map};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::{SOON, lab};

#[tokio::test(flavor = "multi_thread")]
async fn a_submodule_is_refused_until_it_may_be_fetched_and_then_comes_and_moves_with_the_repository()
 {
    // Given two private repositories of one server, one of them in the other's directory
    let lab = lab().await;
    let mut tenant = Tenant::create(lab, "submodules").await.unwrap();
    let private = async |name: &str| {
        let repo = lab.create_private_repo(name, "reader", "open sesame").await;
        repo.unwrap()
    };
    let lib = private("submodules-lib").await;
    tenant.repo = private("submodules-shop").await;
    let lib_files = [("config.yaml", &*config_map("lib", "one"))];
    let first = lib.commit(&lib_files, "Open").await.unwrap();
    let told = "[submodule \"lib\"]\n\tpath = deploy/lib\n\turl = ../submodules-lib.git\n";
    let files = [
        (".gitmodules", told),
        ("deploy/config.yaml", &*config_map("config", "one")),
    ];
    tenant.repo.commit(&files, "Open").await.unwrap();
    let commit = tenant.repo.pin("deploy/lib", &first).await.unwrap();
    let login = json!({"metadata": {"name": "git"}, "stringData": {"username": "reader", "password": "open sesame"}});
    tenant.make::<Secret>(login).await.unwrap();
    let source = json!({"source": {"git": {"secretRef": {"name": "git"}, "path": "deploy"}}});
    // when nothing is said about submodules, then the version is refused, with what to write.
    tenant.release(&source).await.unwrap();
    let status = tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(message.contains("deploy/lib: a Git submodule"), "{message}");
    assert!(
        message.contains("source.git.submodules: Fetch"),
        "{message}"
    );
    tenant.value_is("config", None, SOON).await.unwrap();
    // When they may be fetched, then all comes.
    let fetch = json!({"spec": {"source": {"git": {"submodules": "Fetch"}}}});
    let (releases, how) = (tenant.api::<Release>(), PatchParams::default());
    let patched = releases.patch("shop", &how, &Patch::Merge(&fetch)).await;
    patched.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    tenant.value_is("lib", Some("one"), SOON).await.unwrap();
    // When the repository names another commit of the submodule, then that comes.
    let lib_files = [("config.yaml", &*config_map("lib", "two"))];
    let second = lib.commit(&lib_files, "Two").await.unwrap();
    let commit = tenant.repo.pin("deploy/lib", &second).await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    tenant.value_is("lib", Some("two"), SOON).await.unwrap();
    // When it names one that nobody has pushed, then that is said, what runs stays, and it comes once it is pushed.
    let later = "5".repeat(40);
    let commit = tenant.repo.pin("deploy/lib", &later).await.unwrap();
    let missed = |status: &belay_engine::release::ReleaseStatus| {
        let source = status.source.as_ref();
        source.is_some_and(|source| source.message.contains("has no commit 5555"))
    };
    let status = tenant
        .wait("the commit to be missed", SOON, missed)
        .await
        .unwrap();
    let message = status.source.unwrap().message;
    assert!(
        message.contains("the submodule deploy/lib"),
        "{message} at {commit}"
    );
    tenant.value_is("lib", Some("two"), SOON).await.unwrap();
    let commit = tenant.repo.pin("deploy/lib", &first).await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    tenant.value_is("lib", Some("one"), SOON).await.unwrap();
}
