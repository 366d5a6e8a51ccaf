//! Releases that apply Releases.

use belay_api::Release;
use belay_engine::release::Phase;
use belay_tests::tenant::{ACCOUNT, Tenant, config_map};
use k8s_openapi::api::rbac::v1::Role;
use kube::api::PostParams;
use serde_json::json;

use super::{
    SOON, lab,
    scene::{NO_ANSWER, Named, PASSES, ask, make_gate},
};

/// A Release as a file.
fn release(url: &str, name: &str, depends_on: &str) -> String {
    format!(
        "apiVersion: belay.dev/v1alpha1\nkind: Release\nmetadata:\n  name: {name}\nspec:\n  source:\n    git:\n      url: {url}\n      \
         ref:\n        branch: main\n      path: {name}\n      interval: 1s\n  serviceAccountName: {ACCOUNT}\n{depends_on}"
    )
}

async fn may_manage_releases(tenant: &Tenant) {
    let api = tenant.api::<Role>();
    let mut role = api.get(ACCOUNT).await.unwrap();
    let rules = role.rules.as_mut().unwrap();
    let resources = rules[0].resources.get_or_insert_default();
    resources.push("releases".into());
    api.replace(ACCOUNT, &PostParams::default(), &role)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_applies_releases_is_verified_when_all_of_them_are() {
    let tenant = Tenant::create(lab().await, "nested").await.unwrap();
    may_manage_releases(&tenant).await;
    make_gate(&tenant, NO_ANSWER).await;
    let url = tenant.repo.url().to_owned();
    let judged = "  verification:\n    gates:\n    - template: slo\n";
    let files = [
        ("all/db.yaml", &*release(&url, "db", judged)),
        (
            "all/web.yaml",
            &release(&url, "web", "  dependsOn:\n  - name: db\n"),
        ),
        ("db/config.yaml", &config_map("db", "one")),
        ("web/config.yaml", &config_map("web", "one")),
    ];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    let all = Named(&tenant, "all");
    all.create(&url, "all", json!({})).await;
    // While the database takes its time, the web waits for it, and nothing has failed.
    Named(&tenant, "db").is(Phase::Verifying, &commit).await;
    Named(&tenant, "web").is(Phase::Waiting, &commit).await;
    let status = all.is(Phase::Verifying, &commit).await;
    assert_eq!(status.verified, None);
    ask(&tenant, PASSES).await;
    all.is(Phase::Verified, &commit).await;
    tenant.value_is("web", Some("one"), SOON).await.unwrap();
    // When one of them is changed by its own part of the repository, then the others do not move.
    let next = [("web/config.yaml", &*config_map("web", "two"))];
    let second = tenant.repo.commit(&next, "Two").await.unwrap();
    Named(&tenant, "web").is(Phase::Verified, &second).await;
    let releases = tenant.api::<Release>();
    let parent = releases.get("all").await.unwrap().status.unwrap();
    assert_eq!(parent.phase, Phase::Verified);
}
