//! `promotion.publish`: the verified commit as a reference that a Release of another cluster follows, on a real Git server.

use belay_engine::{condition::Truth, release::Phase};
use belay_lab::wait_for;
use belay_tests::{
    tenant::{Tenant, config_map},
    told::condition,
};
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

use super::{
    SOON, lab,
    scene::{NO_ANSWER, Named, PASSES, ask, make_gate},
};

const BRANCH: &str = "env/verified";

#[tokio::test(flavor = "multi_thread")]
async fn a_verified_commit_is_pushed_for_another_cluster_to_follow_and_nobodys_newer_one_is_lost() {
    // Given a private repository, and a Release that publishes what it has verified.
    let mut tenant = Tenant::create(lab().await, "publish").await.unwrap();
    tenant.repo = lab()
        .await
        .create_private_repo("published-shop", "writer", "open sesame")
        .await
        .unwrap();
    let login = json!({"metadata": {"name": "git"}, "stringData": {"username": "writer", "password": "open sesame"}});
    tenant.make::<Secret>(login).await.unwrap();
    make_gate(&tenant, PASSES).await;
    let commit = async |value: &str| {
        let (near, far) = (config_map("near", value), config_map("far", value));
        let files = [("near/config.yaml", &*near), ("far/config.yaml", &*far)];
        tenant.repo.commit(&files, value).await.unwrap()
    };
    let git = |reference: serde_json::Value, path: &str| json!({"git": {"url": tenant.repo.url(), "ref": reference, "path": path, "interval": "1s", "secretRef": {"name": "git"}}});
    let first = commit("one").await;
    let (near, far) = (Named(&tenant, "near"), Named(&tenant, "far"));
    let publish = json!({
        "source": git(json!({"branch": "main"}), "near"),
        "verification": {"gates": [{"template": "slo"}]},
        "promotion": {"publish": {"ref": format!("refs/heads/{BRANCH}")}},
    });
    near.create("", "", publish).await;
    // When it is verified, then a Release that follows the reference gets that commit.
    let follow = json!({"source": git(json!({"branch": BRANCH}), "far")});
    far.create("", "", follow).await;
    far.is(Phase::Verified, &first).await;
    // When the next commit is on trial, then the reference stays where it is.
    ask(&tenant, NO_ANSWER).await;
    let second = commit("two").await;
    near.is(Phase::Verifying, &second).await;
    assert_eq!(tenant.repo.resolve(BRANCH).await.unwrap(), first);
    // When it is verified, then the reference moves on.
    ask(&tenant, PASSES).await;
    far.is(Phase::Verified, &second).await;
    // When somebody else is faster, and puts a newer commit there, then that one stays, and it is said.
    ask(&tenant, NO_ANSWER).await;
    let third = commit("three").await;
    near.is(Phase::Verifying, &third).await;
    let fourth = tenant
        .repo
        .commit_on("elsewhere", &[("note", "newer")], "Newer")
        .await
        .unwrap();
    tenant.repo.reset(BRANCH, &fourth).await.unwrap();
    ask(&tenant, PASSES).await;
    let status = near
        .wait("left to somebody newer", |status| {
            let published = status.published.as_ref();
            published.is_some_and(|published| published.newer.as_ref() == Some(&fourth))
        })
        .await;
    assert_eq!(status.phase, Phase::Verified);
    assert_eq!(tenant.repo.resolve(BRANCH).await.unwrap(), fourth);
    // No secret is anywhere.
    let told = serde_json::to_string(&status).unwrap();
    assert!(!told.contains("sesame"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reference_that_nobody_may_write_is_a_condition_and_the_version_is_verified() {
    let tenant = Tenant::create(lab().await, "read-only").await.unwrap();
    let files = [("config.yaml", &*config_map("config", "one"))];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    // Given a server on which the name can't be made, for another one is in its way.
    tenant.repo.reset("env", &commit).await.unwrap();
    let shop = Named(&tenant, "shop");
    let publish = json!({"promotion": {"publish": {"ref": format!("refs/heads/{BRANCH}")}}});
    shop.create(tenant.repo.url(), "", publish).await;
    let status = shop
        .wait("said to be unpublished", |status| {
            condition(&status.conditions, "Published").is_some_and(|c| c.status == Truth::False)
        })
        .await;
    assert_eq!(status.phase, Phase::Verified);
    let ready = condition(&status.conditions, "Ready").unwrap();
    assert_eq!(ready.status, Truth::True);
    // When it is out of the way, then it is published by itself.
    let bare = tenant.repo.path();
    let removed = std::process::Command::new("git")
        .current_dir(bare)
        .args(["update-ref", "-d", "refs/heads/env"])
        .status()
        .unwrap();
    assert!(removed.success());
    wait_for("the reference to be made", SOON, || async {
        match tenant.repo.resolve(BRANCH).await {
            Ok(there) if there == commit => Ok(()),
            Ok(there) => Err(format!("it is at {there}")),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
    .unwrap();
}
