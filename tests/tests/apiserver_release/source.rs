//! Where Releases come from: private repositories, tags, commits; and sources that can't be had.

use belay_api::Release;
use belay_engine::{
    condition::Truth,
    release::{Phase, ReleaseStatus},
};
use belay_tests::{
    tenant::{ACCOUNT, Tenant, config_map},
    told::condition,
};
use k8s_openapi::api::{core::v1::Secret, rbac::v1::Role};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{SOON, lab, open, patch_spec};

#[tokio::test(flavor = "multi_thread")]
async fn a_private_repository_is_read_with_the_credential_of_a_secret() {
    // Given a repository that asks for a login, and a Release without one.
    let mut tenant = Tenant::create(lab().await, "private").await.unwrap();
    tenant.repo = lab()
        .await
        .create_private_repo("private-shop", "reader", "open sesame")
        .await
        .unwrap();
    let commit = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "one"))], "Open")
        .await
        .unwrap();
    tenant.release(&json!({})).await.unwrap();
    // Then it says what it needs.
    let status = tenant
        .wait("the source to be refused", SOON, |status| {
            status.source.is_some()
        })
        .await
        .unwrap();
    let message = status.source.unwrap().message;
    assert!(message.contains("credential"), "{message}");
    // When the credential is named, wrong at first, then it is asked for a valid one and shown nowhere.
    let secret = |password: &str| json!({"metadata": {"name": "git"}, "stringData": {"username": "reader", "password": password}});
    tenant.make::<Secret>(secret("shut sesame")).await.unwrap();
    patch_spec(
        &tenant,
        &json!({"source": {"git": {"secretRef": {"name": "git"}}}}),
    )
    .await;
    let status = tenant
        .wait("the credential to be refused", SOON, |status| {
            status
                .source
                .as_ref()
                .is_some_and(|source| source.message.contains("refuses the credential"))
        })
        .await
        .unwrap();
    assert!(
        !serde_json::to_string(&status)
            .unwrap()
            .contains("shut sesame")
    );
    // When the Secret is put right, then the Release goes on by itself.
    let right = secret("open sesame");
    tenant
        .api::<Secret>()
        .patch("git", &PatchParams::default(), &Patch::Merge(&right))
        .await
        .unwrap();
    let status = tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    assert_eq!(status.source, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn tags_and_commits_are_followed_as_well_as_branches() {
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, first) = open("refs", &files, &json!({})).await;
    let second = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "two"))], "Two")
        .await
        .unwrap();
    tenant.repo.tag("v1", &first).await.unwrap();
    let follow = |reference: Value| {
        let tenant = &tenant;
        async move {
            let all =
                json!({"source": {"git": {"ref": {"branch": null, "tag": null, "commit": null}}}});
            let mut spec = all;
            spec["source"]["git"]["ref"]
                .as_object_mut()
                .expect("an object")
                .extend(reference.as_object().expect("an object").clone());
            patch_spec(tenant, &spec).await;
        }
    };
    follow(json!({"tag": "v1"})).await;
    // Its commit was verified already, so the name alone changes.
    let tagged = |status: &ReleaseStatus| {
        let asked = status.asked.as_ref();
        status.phase == Phase::Verified && asked.is_some_and(|asked| asked.short.starts_with("v1@"))
    };
    let status = tenant.wait("at v1", SOON, tagged).await.unwrap();
    assert!(status.asked.unwrap().revision.ends_with(&first));
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    follow(json!({ "commit": second })).await;
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
    // A branch that does not exist is said to be missing, and nothing changes.
    follow(json!({"branch": "nowhere"})).await;
    let status = tenant
        .wait("the branch to be missing", SOON, |status| {
            status.source.is_some()
        })
        .await
        .unwrap();
    assert!(status.source.unwrap().message.contains("nowhere"));
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_does_not_let_belay_in_is_named_in_the_status() {
    let tenant = Tenant::create(lab().await, "locked").await.unwrap();
    let bindings = tenant.api::<k8s_openapi::api::rbac::v1::RoleBinding>();
    bindings
        .delete("belay", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "one"))], "Open")
        .await
        .unwrap();
    tenant.release(&json!({})).await.unwrap();
    let status = tenant
        .wait("the refusal", SOON, |status| {
            condition(&status.conditions, "Stalled").is_some_and(|c| c.status == Truth::True)
        })
        .await
        .unwrap();
    let stalled = condition(&status.conditions, "Stalled").unwrap();
    assert!(
        stalled.message.contains("does not let Belay in"),
        "{}",
        stalled.message
    );
    // It does not keep the Release from being deleted.
    let releases = tenant.api::<Release>();
    releases
        .delete("shop", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    belay_lab::wait_for("the Release to be gone", SOON, || async {
        match releases.get_opt("shop").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is there".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_watch_is_told_that_drift_is_not_seen() {
    // Given an account that may read and write ConfigMaps, and not watch them.
    let tenant = Tenant::create(lab().await, "blind").await.unwrap();
    let api = tenant.api::<Role>();
    let mut role = api.get(ACCOUNT).await.unwrap();
    let rules = role.rules.as_mut().unwrap();
    rules[0].verbs.retain(|verb| verb != "watch");
    api.replace(ACCOUNT, &kube::api::PostParams::default(), &role)
        .await
        .unwrap();
    let commit = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "one"))], "Open")
        .await
        .unwrap();
    tenant.release(&json!({})).await.unwrap();
    // Then its Release works, and says what is missing.
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    let status = tenant
        .wait("the missing right to be told", SOON, |status| {
            condition(&status.conditions, "Drifted").is_some_and(|c| c.status == Truth::Unknown)
        })
        .await
        .unwrap();
    let drifted = condition(&status.conditions, "Drifted").unwrap();
    assert!(
        drifted.message.contains("configmaps"),
        "{}",
        drifted.message
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_highest_version_of_a_range_is_followed() {
    // Given a Release that follows a range, in a repository with one tag in it.
    let tenant = Tenant::create(lab().await, "range").await.unwrap();
    let set = |value: &'static str| {
        let tenant = &tenant;
        async move {
            let config = config_map("config", value);
            let commit = tenant.repo.commit(&[("config.yaml", &config)], value).await;
            commit.expect("a commit")
        }
    };
    let first = set("one").await;
    tenant.repo.tag("shop-v1.0.0", &first).await.unwrap();
    let reference = json!({"branch": null, "semver": ">=1.0.0 <2.0.0", "tagPrefix": "shop-"});
    tenant
        .release(&json!({"source": {"git": {"ref": reference}}}))
        .await
        .unwrap();
    let status = tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    let revision = status.asked.unwrap().revision;
    assert!(revision.starts_with("shop-v1.0.0@sha1:"), "{revision}");
    // When other tags come, beyond the range, before it, of another part, and one that is higher and in it.
    let beyond = set("two").await;
    for tag in [
        "shop-v2.0.0",
        "shop-v0.9.0",
        "shop-v1.5.0-rc.1",
        "web-v1.9.0",
    ] {
        tenant.repo.tag(tag, &beyond).await.unwrap();
    }
    let second = set("three").await;
    tenant.repo.tag("shop-v1.10.0", &second).await.unwrap();
    // Then that one is followed.
    let status = tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    let history: Vec<String> = status
        .history
        .iter()
        .map(|kept| kept.content.revision.clone())
        .collect();
    assert!(
        !history.iter().any(|revision| revision.ends_with(&beyond)),
        "{history:?}"
    );
    tenant
        .value_is("config", Some("three"), SOON)
        .await
        .unwrap();
    // When the range fits no tag, then that is said, and nothing changes.
    let none = json!({"source": {"git": {"ref": {"semver": "^7"}}}});
    patch_spec(&tenant, &none).await;
    let status = tenant
        .wait("no tag to be found", SOON, |status| status.source.is_some())
        .await
        .unwrap();
    let message = status.source.unwrap().message;
    assert!(message.contains("^7"), "{message}");
    tenant
        .value_is("config", Some("three"), SOON)
        .await
        .unwrap();
    // When the range is none, then it says how to write one.
    let wrong = json!({"source": {"git": {"ref": {"semver": "latest"}}}});
    patch_spec(&tenant, &wrong).await;
    tenant
        .wait("the range to be refused", SOON, |status| {
            let source = status.source.as_ref();
            source.is_some_and(|source| source.message.contains("write for example"))
        })
        .await
        .unwrap();
}
