//! Releases whose objects are in another cluster, which a kubeconfig in a Secret leads to.

use belay_api::{
    Release,
    names::{RELEASE_LABEL, RELEASE_UID_ANNOTATION},
};
use belay_engine::{
    condition::Truth,
    release::{Phase, ReleaseStatus},
};
use belay_lab::{Lab, Part, SharedLab, wait_for};
use belay_tests::{
    abroad::{Abroad, token_of},
    tenant::{Tenant, config_map, rollout},
    told::condition,
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use super::{SOON, lab, open, patch_spec};

static EAST: SharedLab = SharedLab::new();

async fn east() -> &'static Lab {
    EAST.get(|| Lab::builder().bare()).await.unwrap()
}

/// A tenant whose Release brings two ConfigMaps into the cluster `other`, by the account `one` there.
async fn settled<'a>(name: &str, other: &'a Lab) -> (Tenant, Abroad<'a>, String) {
    let (tenant, abroad, commit, _) = settled_by(name, other).await;
    (tenant, abroad, commit)
}

/// The same, with the kubeconfig.
async fn settled_by<'a>(name: &str, other: &'a Lab) -> (Tenant, Abroad<'a>, String, String) {
    let tenant = Tenant::create(lab().await, name).await.unwrap();
    let abroad = Abroad::open(other, &tenant).await.unwrap();
    let kubeconfig = abroad.kubeconfig("one").await.unwrap();
    tenant.keep_kubeconfig("east", &kubeconfig).await.unwrap();
    let (config, extra) = (config_map("config", "one"), config_map("extra", "one"));
    let files = [("config.yaml", &*config), ("extra.yaml", &*extra)];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    tenant.release(&leads_to("east")).await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    (tenant, abroad, commit, kubeconfig)
}

fn leads_to(secret: &str) -> Value {
    json!({"kubeConfig": {"secretRef": {"name": secret}}})
}

async fn commit(tenant: &Tenant, value: &str) -> String {
    let config = config_map("config", value);
    let files = [("config.yaml", &*config)];
    tenant.repo.commit(&files, value).await.unwrap()
}

/// Waits until the Release waits for `reason` with these words, and gives its status.
async fn waits(tenant: &Tenant, reason: &str, words: &str) -> ReleaseStatus {
    let says = |status: &ReleaseStatus| {
        let waiting = status.waiting_for.as_ref();
        waiting.is_some_and(|w| w.reason == reason && w.message.contains(words))
    };
    tenant
        .wait(&format!("{reason}: {words}"), SOON, says)
        .await
        .unwrap()
}

async fn is_gone(tenant: &Tenant) {
    let releases = tenant.api::<Release>();
    wait_for("the Release to be gone", SOON, || async {
        match releases.get_opt("shop").await {
            Ok(None) => Ok(()),
            found => Err(format!("{found:?}")),
        }
    })
    .await
    .unwrap();
}

/// Waits until this commit is verified, in a cluster that answers. A phase alone may be that of the version before.
async fn verifies(tenant: &Tenant, commit: &str) -> ReleaseStatus {
    let is_there = |status: &ReleaseStatus| {
        let verified = status.verified.as_ref();
        let is_verified = verified.is_some_and(|v| v.content.revision.ends_with(commit));
        is_verified && status.phase == Phase::Verified && status.unreachable.is_none()
    };
    let what = format!("{commit} verified");
    tenant.wait(&what, SOON, is_there).await.unwrap()
}

fn truth(status: &ReleaseStatus, kind: &str) -> Option<Truth> {
    condition(&status.conditions, kind).map(|condition| condition.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_into_another_cluster_are_put_right_there_and_go_there() {
    // Given a Release that leads to another cluster, then its objects are there, and not here.
    let (tenant, abroad, _) = settled("abroad", east().await).await;
    let (here, there) = ("value", "config");
    assert_eq!(abroad.value(there).await.unwrap().as_deref(), Some("one"));
    assert_eq!(tenant.value(there, here).await.unwrap(), None);
    let status = tenant.phase(Phase::Verified, "", SOON).await.unwrap();
    assert_eq!(status.cluster.unwrap().uid, abroad.uid().await.unwrap());
    // When somebody changes one there, then it is put right.
    let patch = json!({"data": {"value": "changed"}});
    let maps = abroad.api::<ConfigMap>();
    maps.patch(there, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    abroad.value_is(there, Some("one"), SOON).await.unwrap();
    // When an object there is another Release's, of a cluster that is not known here, then it is not taken.
    let marks = json!({"name": "taken", "labels": {RELEASE_LABEL: "theirs"}, "annotations": {RELEASE_UID_ANNOTATION: "u-1"}});
    let taken = json!({"metadata": marks, "data": {"value": "theirs"}});
    abroad.make::<ConfigMap>(taken).await.unwrap();
    let files = [("taken.yaml", &*config_map("taken", "ours"))];
    let refused = tenant.repo.commit(&files, "Take").await.unwrap();
    let status = tenant.phase(Phase::Refused, &refused, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("not known in this cluster: theirs"),
        "{message}"
    );
    let value = abroad.value("taken").await.unwrap();
    assert_eq!(value.as_deref(), Some("theirs"));
    tenant.repo.remove(&["taken.yaml"], "Leave").await.unwrap();
    // When one leaves the source, then it goes there.
    let removed = tenant.repo.remove(&["extra.yaml"], "Remove").await.unwrap();
    verifies(&tenant, &removed).await;
    abroad.value_is("extra", None, SOON).await.unwrap();
    // When a Rollout comes, then it is refused: its verdict would not be heard here.
    let files = [("rollout.yaml", &*rollout("web", "errors"))];
    let moved = tenant.repo.commit(&files, "Rollout").await.unwrap();
    let status = tenant.phase(Phase::Refused, &moved, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("a Rollout can't be brought into another cluster"),
        "{message}"
    );
    // When the Release is deleted with its objects, then they go there.
    patch_spec(&tenant, &json!({"deletionPolicy": "Delete"})).await;
    let releases = tenant.api::<Release>();
    releases
        .delete("shop", &DeleteParams::default())
        .await
        .unwrap();
    abroad.value_is(there, None, SOON).await.unwrap();
    is_gone(&tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_other_cluster_is_away_nothing_is_rolled_back_or_pruned_and_others_go_on() {
    // Given objects in another cluster, and a neighbour that has its own here.
    let west = Lab::builder().bare().start().await.unwrap();
    let (tenant, abroad, first) = settled("outage", &west).await;
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (neighbour, _) = open("neighbour", &files, &json!({})).await;
    // When its API server goes away, then that is told although nothing was asked of it.
    west.stop(Part::ApiServer).await.unwrap();
    let status = waits(&tenant, "ClusterUnreachable", "can't be reached").await;
    assert_eq!(truth(&status, "Ready"), Some(Truth::Unknown));
    assert_eq!(truth(&status, "ClusterReachable"), Some(Truth::False));
    // And when a version without one of the objects comes meanwhile, then it waits, and the neighbour does not.
    let removed = tenant.repo.remove(&["extra.yaml"], "Remove").await.unwrap();
    let second = commit(&neighbour, "two").await;
    neighbour
        .phase(Phase::Verified, &second, SOON)
        .await
        .unwrap();
    let asked = |status: &ReleaseStatus| {
        let asked = status.asked.as_ref();
        asked.is_some_and(|asked| asked.revision.ends_with(&removed))
    };
    let status = tenant
        .wait("the new commit is seen", SOON, asked)
        .await
        .unwrap();
    let verified = status.verified.as_ref().unwrap();
    assert!(verified.content.revision.ends_with(&first));
    assert!(status.quarantine.is_empty() && status.rollback.is_none());
    // When it is back, then it goes on where it was.
    west.start(Part::ApiServer).await.unwrap();
    let status = verifies(&tenant, &removed).await;
    assert!(status.quarantine.is_empty() && status.rollback.is_none());
    abroad.value_is("extra", None, SOON).await.unwrap();
    assert_eq!(
        abroad.value("config").await.unwrap().as_deref(),
        Some("one")
    );
    // When it hangs, so that whoever asks gets no answer, then that is told, too, and holds nobody up.
    west.freeze(Part::ApiServer).unwrap();
    let third = commit(&tenant, "three").await;
    waits(&tenant, "ClusterUnreachable", "does not answer within 5 s").await;
    let fourth = commit(&neighbour, "four").await;
    let last = neighbour.phase(Phase::Verified, &fourth, SOON).await;
    last.unwrap();
    west.thaw(Part::ApiServer).unwrap();
    let status = verifies(&tenant, &third).await;
    assert!(status.quarantine.is_empty() && status.rollback.is_none());
    // When it is gone for ever, then the Release can be deleted once it says that its objects may stay.
    west.stop(Part::ApiServer).await.unwrap();
    patch_spec(&tenant, &json!({"deletionPolicy": "Delete"})).await;
    let releases = tenant.api::<Release>();
    let parameters = DeleteParams::default();
    releases.delete("shop", &parameters).await.unwrap();
    waits(&tenant, "Terminating", "deletionPolicy: Orphan").await;
    patch_spec(&tenant, &json!({"deletionPolicy": "Orphan"})).await;
    is_gone(&tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_credential_is_used_at_once_and_one_that_runs_a_program_never() {
    // Given objects in another cluster, and a credential that is revoked.
    let (tenant, abroad, _, former) = settled_by("rotated", east().await).await;
    let token = token_of(&former).unwrap();
    abroad.revoke("one", &token, SOON).await.unwrap();
    // When a new version comes, then it is told that the credential is refused, and nothing is taken back.
    let second = commit(&tenant, "two").await;
    let status = waits(&tenant, "ClusterUnreachable", "(401)").await;
    assert!(status.quarantine.is_empty() && status.rollback.is_none());
    // When somebody puts a kubeconfig there that runs a program, or names a file, then it is not used, and not quoted.
    let fresh = abroad.kubeconfig("two").await.unwrap();
    let mut config: Value = serde_saphyr::from_str(&fresh).unwrap();
    let token = token_of(&fresh).unwrap();
    for (field, value, words) in [
        (
            "exec",
            json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": ["/tmp/x"]}),
            "runs a program",
        ),
        (
            "tokenFile",
            json!("/etc/hostname"),
            "names a file (tokenFile)",
        ),
    ] {
        config["users"][0]["user"] = json!({"token": token, field: value});
        let text = config.to_string();
        tenant.change_kubeconfig("east", &text).await.unwrap();
        let status = waits(&tenant, "ClusterUnreachable", words).await;
        assert!(!json!(status).to_string().contains(&token));
    }
    // When it is one of another account with a token, then it goes on, by that.
    tenant.change_kubeconfig("east", &fresh).await.unwrap();
    let status = verifies(&tenant, &second).await;
    assert!(!json!(status).to_string().contains(&token));
    abroad.value_is("config", Some("two"), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_with_objects_in_one_cluster_is_not_led_to_another() {
    // Given objects in another cluster, and a kubeconfig that leads here.
    let (tenant, abroad, first) = settled("switched", east().await).await;
    let token = lab()
        .await
        .service_account_token(&tenant.namespace, "deployer")
        .await
        .unwrap();
    let file = lab()
        .await
        .kubeconfig_for_token(&tenant.namespace, &token)
        .unwrap();
    let here = std::fs::read_to_string(file).unwrap();
    tenant.keep_kubeconfig("here", &here).await.unwrap();
    // When the Release is to have its objects elsewhere, by a Secret or without, then that is refused.
    let elsewhere = [
        ("two", leads_to("here")),
        ("three", json!({"kubeConfig": null})),
    ];
    for (value, spec) in elsewhere {
        patch_spec(&tenant, &spec).await;
        let status = waits(&tenant, "ClusterChanged", "Change it back").await;
        assert_eq!(truth(&status, "Stalled"), Some(Truth::True));
        // And nothing was written there or here, not even a newer version.
        let asked = commit(&tenant, value).await;
        let seen = |status: &ReleaseStatus| {
            let of = status.asked.as_ref();
            of.is_some_and(|of| of.revision.ends_with(&asked))
        };
        let status = tenant
            .wait("the new commit is seen", SOON, seen)
            .await
            .unwrap();
        assert!(status.verified.unwrap().content.revision.ends_with(&first));
        assert_eq!(
            abroad.value("config").await.unwrap().as_deref(),
            Some("one")
        );
        assert_eq!(abroad.value("extra").await.unwrap().as_deref(), Some("one"));
        assert_eq!(tenant.value("config", "value").await.unwrap(), None);
    }
    // When it is changed back, then it goes on.
    let last = commit(&tenant, "four").await;
    patch_spec(&tenant, &leads_to("east")).await;
    verifies(&tenant, &last).await;
    abroad.value_is("config", Some("four"), SOON).await.unwrap();
}
