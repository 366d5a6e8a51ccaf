//! What is taken out of the cluster, what is not, and who has a say in it.

use belay_engine::release::Phase;
use belay_lab::{wait_for, wait_for_object};
use belay_tests::tenant::{Tenant, config_map, deployment};
use k8s_openapi::api::{
    admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding},
    apps::v1::Deployment,
    core::v1::{ConfigMap, PersistentVolumeClaim},
};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::{SOON, lab, open, patch_spec};

/// Waits until the Release waits for `reason`, and gives the sentence.
async fn waits(tenant: &Tenant, reason: &str) -> String {
    let status = tenant
        .wait(reason, SOON, |status| {
            status
                .waiting_for
                .as_ref()
                .is_some_and(|waiting| waiting.reason == reason)
        })
        .await
        .expect("it waits");
    status.waiting_for.expect("it waits").message
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_source_prunes_nothing_unless_that_is_meant() {
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("README.md", "Nothing to apply.\n"),
    ];
    let (tenant, _) = open("empty", &files, &json!({})).await;
    // When the last object leaves the source, then it is refused and everything stays.
    let commit = tenant
        .repo
        .remove(&["config.yaml"], "Remove all")
        .await
        .unwrap();
    tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("one")
    );
    // When that is what is meant, then it goes.
    patch_spec(&tenant, &json!({"apply": {"allowEmpty": true}})).await;
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    tenant.value_is("config", None, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_the_budget_goes_only_when_a_person_approves() {
    let maps: Vec<(String, String)> = (0..4)
        .map(|n| {
            (
                format!("map-{n}.yaml"),
                config_map(&format!("map-{n}"), "x"),
            )
        })
        .collect();
    let config = config_map("config", "one");
    let mut files: Vec<(&str, &str)> = maps.iter().map(|(f, t)| (&**f, &**t)).collect();
    files.push(("config.yaml", &config));
    let more = json!({"apply": {"pruneBudget": {"objects": 1, "percent": 20}}});
    let (tenant, _) = open("budget", &files, &more).await;
    // When one object leaves the source, then it goes by itself.
    tenant.repo.remove(&["map-0.yaml"], "One").await.unwrap();
    tenant.value_is("map-0", None, SOON).await.unwrap();
    // When three of four leave it, then they stay, and one sentence says how many and which.
    let gone = ["map-1.yaml", "map-2.yaml", "map-3.yaml"];
    let commit = tenant.repo.remove(&gone, "Many").await.unwrap();
    let status = tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    assert_eq!(
        status.verified.unwrap().content.revision,
        status.asked.unwrap().revision
    );
    let message = waits(&tenant, "PruneApproval").await;
    assert!(
        message.contains("3 of 4 objects")
            && message.contains(&format!("ConfigMap {}/map-2", tenant.namespace)),
        "{message}"
    );
    for map in ["map-1", "map-2", "map-3"] {
        assert!(tenant.value(map, "value").await.unwrap().is_some(), "{map}");
    }
    // When a person approves, then they go.
    tenant.act("Approve").await.unwrap();
    for map in ["map-1", "map-2", "map-3"] {
        tenant.value_is(map, None, SOON).await.unwrap();
    }
    tenant
        .wait("at rest", SOON, |status| {
            status.waiting_for.is_none() && status.large_prune.is_none()
        })
        .await
        .unwrap();
}

/// A policy that lets nobody delete the ConfigMap `kept` of this namespace.
async fn forbid_deletion(tenant: &Tenant) -> String {
    let name = format!("{}-keep", tenant.namespace);
    let policy: ValidatingAdmissionPolicy = serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": {
            "matchConstraints": {"resourceRules": [
                {"apiGroups": [""], "apiVersions": ["v1"], "resources": ["configmaps"], "operations": ["DELETE"]}]},
            "validations": [{"expression": "oldObject.metadata.name != 'kept'", "message": "it is still needed"}],
        },
    }))
    .expect("a policy");
    let binding: ValidatingAdmissionPolicyBinding = serde_json::from_value(json!({
        "metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": tenant.namespace}}}},
    }))
    .expect("a binding");
    let parameters = PostParams::default();
    Api::all(tenant.client.clone())
        .create(&parameters, &policy)
        .await
        .expect("the policy");
    Api::all(tenant.client.clone())
        .create(&parameters, &binding)
        .await
        .expect("the binding");
    let maps = tenant.api::<ConfigMap>();
    let dry_run = DeleteParams {
        dry_run: true,
        ..DeleteParams::default()
    };
    wait_for("the policy to be in force", SOON, || async {
        match maps.delete("kept", &dry_run).await {
            Ok(_) => Err("it may be deleted".to_owned()),
            Err(_) => Ok(()),
        }
    })
    .await
    .expect("it is in force");
    name
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_deletion_is_told_and_tried_again_until_it_works() {
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("kept.yaml", &config_map("kept", "x")),
    ];
    let (tenant, _) = open("denied", &files, &json!({})).await;
    let policy = forbid_deletion(&tenant).await;
    // When it leaves the source, then it stays, and it is said who does not let it go.
    let commit = tenant.repo.remove(&["kept.yaml"], "Drop").await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    wait_for("the reason to be told", SOON, || async {
        let message = waits(&tenant, "Pruning").await;
        if message.contains("still needed") {
            Ok(())
        } else {
            Err(message)
        }
    })
    .await
    .unwrap();
    assert!(tenant.value("kept", "value").await.unwrap().is_some());
    // When the policy goes, then it goes, too.
    let policies: Api<ValidatingAdmissionPolicyBinding> = Api::all(tenant.client.clone());
    policies
        .delete(&policy, &DeleteParams::default())
        .await
        .unwrap();
    tenant.value_is("kept", None, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_need_is_deleted_after_they_are_gone() {
    // Given a Deployment that a finalizer holds, and the configuration of its pods.
    let web = deployment("web", "web:v1", 1, "config").replacen(
        "  name: web\n",
        "  name: web\n  finalizers: [example.com/slow]\n",
        1,
    );
    let files = [
        ("rest.yaml", &*config_map("rest", "one")),
        ("config.yaml", &config_map("config", "one")),
        ("web.yaml", &web),
    ];
    let (tenant, _) = open("order", &files, &json!({})).await;
    // When both leave the source.
    let gone = ["config.yaml", "web.yaml"];
    let commit = tenant.repo.remove(&gone, "Drop").await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    // Then the configuration waits until the Deployment is gone.
    let deployments = tenant.api::<Deployment>();
    wait_for_object(&deployments, "web", SOON, |web: Option<&Deployment>| {
        let dying = web.and_then(|web| web.metadata.deletion_timestamp.clone());
        dying
            .map(drop)
            .ok_or_else(|| "it is not being deleted".to_owned())
    })
    .await
    .unwrap();
    wait_for("the blocker to be named", SOON, || async {
        let message = waits(&tenant, "Pruning").await;
        if message.contains("example.com/slow") || message.contains("until Deployment") {
            Ok(())
        } else {
            Err(message)
        }
    })
    .await
    .unwrap();
    assert!(tenant.value("config", "value").await.unwrap().is_some());
    let off = json!({"metadata": {"finalizers": null}});
    deployments
        .patch("web", &PatchParams::default(), &Patch::Merge(&off))
        .await
        .unwrap();
    tenant.value_is("config", None, SOON).await.unwrap();
    assert!(deployments.get_opt("web").await.unwrap().is_none());
}

fn claim(name: &str, annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata:\n  name: {name}\n{annotations}spec:\n  accessModes: [ReadWriteOnce]\n  \
         resources:\n    requests:\n      storage: 1Mi\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_volume_is_pruned_only_on_its_own_word() {
    let tenant = Tenant::create(lab().await, "volume").await.unwrap();
    let all = json!([{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["*"]}]);
    tenant.allow_cluster(&all).await.unwrap();
    let word = "  annotations:\n    belay.dev/prune: Allowed\n";
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("data.yaml", &claim("data", "")),
        ("scratch.yaml", &claim("scratch", word)),
    ];
    let first = tenant.repo.commit(&files, "Open").await.unwrap();
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // When both leave the source.
    let gone = ["data.yaml", "scratch.yaml"];
    let commit = tenant.repo.remove(&gone, "Drop").await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    // Then the one that says so is deleted, and the other one is given up: another Release may have it.
    let claims = tenant.api::<PersistentVolumeClaim>();
    wait_for("the scratch volume to be gone", SOON, || async {
        match claims.get_opt("scratch").await {
            Ok(None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
    wait_for("the data to be given up", SOON, || async {
        let data = claims
            .get("data")
            .await
            .map_err(|error| error.to_string())?;
        let labels = data.metadata.labels.unwrap_or_default();
        if labels.contains_key("belay.dev/release") {
            Err(format!("{labels:?}"))
        } else {
            Ok(())
        }
    })
    .await
    .unwrap();
}
