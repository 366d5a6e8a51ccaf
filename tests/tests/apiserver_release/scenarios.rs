//! Situations that users of other appliers know and that no other test has as its subject.

use std::collections::BTreeMap;

use belay_engine::release::Phase;
use belay_lab::wait_for;
use belay_tests::tenant::{ACCOUNT, Tenant, config_map};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::ConfigMap,
    rbac::v1::{Role, RoleBinding},
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{SOON, lab, open};

/// Versions of the maps that a Release applied.
async fn versions(tenant: &Tenant) -> BTreeMap<String, String> {
    let ours = ListParams::default().labels("belay.dev/release=shop");
    let maps = tenant.api::<ConfigMap>().list(&ours).await.unwrap();
    let version = |map: &ConfigMap| (map.name_any(), map.resource_version().unwrap_or_default());
    maps.iter().map(version).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_edited_map_of_five_is_the_only_one_that_changes() {
    let names =
        ["a", "b", "c", "d", "e"].map(|name| (format!("{name}.yaml"), config_map(name, "one")));
    let files: Vec<(&str, &str)> = names
        .iter()
        .map(|(path, text)| (&**path, &**text))
        .collect();
    let (tenant, _) = open("one-of-five", &files, &json!({})).await;
    let before = versions(&tenant).await;
    let edited = [("c.yaml", &*config_map("c", "two"))];
    let commit = tenant.repo.commit(&edited, "Edit").await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    let after = versions(&tenant).await;
    let changed: Vec<&String> = before
        .iter()
        .filter(|(name, version)| after.get(*name) != Some(version))
        .map(|(name, _)| name)
        .collect();
    assert_eq!((after.len(), changed), (5, vec![&"c".to_owned()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_and_its_binding_come_in_one_commit_from_an_account_that_may_not_escalate() {
    // Given an account that may manage Roles, and grant what it may do itself, and nothing else.
    let tenant = Tenant::create(lab().await, "role-pair").await.unwrap();
    let rules = json!([{"op": "add", "path": "/rules/-", "value": {
        "apiGroups": ["rbac.authorization.k8s.io"], "resources": ["roles", "rolebindings"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]}}]);
    let patch = Patch::Json::<()>(serde_json::from_value(rules).unwrap());
    let api = tenant.api::<Role>();
    api.patch(ACCOUNT, &PatchParams::default(), &patch)
        .await
        .unwrap();
    let role = |resource: &str| {
        format!(
            "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata:\n  name: reader\nrules:\n- apiGroups: [\"\"]\n  \
             resources: [{resource}]\n  verbs: [get]\n"
        )
    };
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata:\n  name: a-reader\nroleRef:\n  apiGroup: \
                   rbac.authorization.k8s.io\n  kind: Role\n  name: reader\nsubjects:\n- kind: ServiceAccount\n  name: default\n";
    // When both come in one commit, then both are there.
    let files = [
        ("binding.yaml", binding),
        ("role.yaml", &*role("configmaps")),
    ];
    let commit = tenant.repo.commit(&files, "Both").await.unwrap();
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    tenant.api::<RoleBinding>().get("a-reader").await.unwrap();
    // When the Role is to grant what the account may not do itself, then it is refused, and what was granted stays.
    let more = [("role.yaml", &*role("secrets"))];
    let commit = tenant.repo.commit(&more, "More").await.unwrap();
    let status = tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("role.yaml") && message.contains(ACCOUNT),
        "{message}"
    );
    let kept = api.get("reader").await.unwrap().rules.unwrap_or_default();
    assert_eq!(
        kept[0].resources.as_deref(),
        Some(&["configmaps".to_owned()][..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_job_that_its_time_to_live_took_away_is_a_success_and_is_not_run_again() {
    let job = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: seed\nspec:\n  ttlSecondsAfterFinished: 1\n  template:\n    spec:\n      \
               restartPolicy: Never\n      containers:\n      - name: main\n        image: seed:v1\n";
    let files = [
        ("seed.yaml", job),
        ("config.yaml", &*config_map("config", "one")),
    ];
    let (tenant, _) = open("short-lived", &files, &json!({})).await;
    let jobs = tenant.api::<Job>();
    wait_for("the Job to be gone", SOON, || async {
        match jobs.get_opt("seed").await {
            Ok(None) => Ok(()),
            other => Err(format!(
                "{:?}",
                other.map(|job| job.and_then(|job| job.status))
            )),
        }
    })
    .await
    .unwrap();
    // When something else is put right, then the Job stays away, and the Release is verified.
    tenant
        .api::<ConfigMap>()
        .delete("config", &DeleteParams::default())
        .await
        .unwrap();
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
    assert!(jobs.get_opt("seed").await.unwrap().is_none());
    let shop = tenant
        .wait("verified", SOON, |status| status.phase == Phase::Verified)
        .await;
    shop.unwrap();
}
