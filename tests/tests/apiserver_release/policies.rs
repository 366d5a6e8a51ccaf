//! Policies of the cluster that change on the way in what a Release applies.

use belay_api::Release;
use belay_engine::{
    condition::Truth,
    release::{Phase, ReleaseStatus},
};
use belay_lab::wait_for;
use belay_tests::{
    tenant::{Tenant, config_map, deployment},
    told::condition,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use super::{SOON, lab, open};

async fn create(tenant: &Tenant, kind: &str, object: Value) {
    let kind = GroupVersionKind::gvk("admissionregistration.k8s.io", "v1", kind);
    let api: Api<DynamicObject> =
        Api::all_with(tenant.client.clone(), &ApiResource::from_gvk(&kind));
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
}

/// A policy for Deployments of the tenant's namespace: one replica, a label of its own, and a sidecar.
async fn policy(tenant: &Tenant) {
    let name = format!("one-replica.{}", tenant.namespace);
    let change = r#"Object{metadata: Object.metadata{labels: {"cost-centre": "none"}}, spec: Object.spec{replicas: 1,
        template: Object.spec.template{spec: Object.spec.template.spec{containers: [
            Object.spec.template.spec.containers{name: "proxy", image: "proxy:v1"}]}}}}"#;
    let selector = json!({"matchLabels": {"kubernetes.io/metadata.name": tenant.namespace}});
    create(tenant, "MutatingAdmissionPolicy", json!({"metadata": {"name": name}, "spec": {
        "failurePolicy": "Fail", "reinvocationPolicy": "Never",
        "matchConstraints": {"namespaceSelector": selector, "resourceRules": [
            {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}]},
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": change}}],
    }})).await;
    create(
        tenant,
        "MutatingAdmissionPolicyBinding",
        json!({"metadata": {"name": name}, "spec": {"policyName": name}}),
    )
    .await;
    let probe: Deployment =
        serde_saphyr::from_str(&deployment("probe", "web:v1", 3, "probe")).unwrap();
    let dry_run = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    wait_for("the policy to be in force", SOON, || async {
        let made = tenant.api::<Deployment>().create(&dry_run, &probe).await;
        match made
            .map_err(|error| error.to_string())?
            .spec
            .and_then(|spec| spec.replicas)
        {
            Some(1) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await
    .unwrap();
}

fn told(status: &ReleaseStatus) -> Option<String> {
    let drifted = condition(&status.conditions, "Drifted")?;
    (drifted.status == Truth::True && drifted.reason == "Altered").then(|| drifted.message.clone())
}

async fn web(tenant: &Tenant) -> Deployment {
    tenant.api::<Deployment>().get("web").await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_changes_a_field_of_the_source_is_told_and_not_fought() {
    // Given a policy that adds a sidecar, and sets one replica where the source says three.
    let tenant = Tenant::create(lab().await, "altered").await.unwrap();
    policy(&tenant).await;
    let files = [
        ("web.yaml", &*deployment("web", "web:v1", 3, "web")),
        ("config.yaml", &config_map("config", "one")),
    ];
    let first = tenant.repo.commit(&files, "Open").await.unwrap();
    // When a Release brings it, then it runs, and it is told which field isn't what the source says.
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    let status = tenant
        .wait("the change to be told", SOON, |status| {
            told(status).is_some()
        })
        .await
        .unwrap();
    let message = told(&status).unwrap();
    assert!(
        message.contains("Deployment") && message.contains("/spec/replicas"),
        "{message}"
    );
    // What it adds is none of the source's.
    assert!(
        !message.contains("containers") && !message.contains("cost-centre"),
        "{message}"
    );
    let before = web(&tenant).await;
    assert_eq!(before.spec.as_ref().unwrap().replicas, Some(1));
    // When ten other commits come, then nothing is written to it,
    for round in 0..10 {
        let next = tenant
            .repo
            .commit(
                &[(
                    "config.yaml",
                    &config_map("config", &format!("round {round}")),
                )],
                "Next",
            )
            .await
            .unwrap();
        tenant.phase(Phase::Verified, &next, SOON).await.unwrap();
    }
    let after = web(&tenant).await;
    assert_eq!(after.metadata.generation, before.metadata.generation);
    assert_eq!(after.managed_fields(), before.managed_fields());
    // and a map that somebody edits is put right beside it all the same.
    let change = json!({"data": {"value": "by hand"}});
    let maps = tenant.api::<ConfigMap>();
    maps.patch("config", &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap();
    tenant
        .value_is("config", Some("round 9"), SOON)
        .await
        .unwrap();
    // When the source agrees with the policy, then there is nothing to tell any more.
    let agreed = tenant
        .repo
        .commit(
            &[("web.yaml", &deployment("web", "web:v1", 1, "web"))],
            "Agree",
        )
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &agreed, SOON).await.unwrap();
    tenant
        .wait("no change to be told", SOON, |status| {
            condition(&status.conditions, "Drifted").is_none()
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_and_other_spellings_of_a_value_are_no_change() {
    // Given values that the API server writes in another way, or completes.
    let text = "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: quota}\nspec: {hard: {cpu: '1000m', memory: 1024Mi, pods: '1e2'}}\n";
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: web}, ports: [{port: 80}]}\n";
    let web = deployment("web", "web:v1", 1, "web");
    let limits = "resources: {limits: {cpu: '2000m', memory: 2048Mi}}";
    let web = web.replacen(
        "image: web:v1",
        &format!("image: web:v1\n        {limits}"),
        1,
    );
    let files = [("service.yaml", service), ("web.yaml", &*web)];
    let (tenant, _) = open("spelled", &files, &json!({})).await;
    let quota = [("quota.yaml", text)];
    tenant
        .allow_cluster(
            &json!([{"apiGroups": [""], "resources": ["resourcequotas"], "verbs": ["*"]}]),
        )
        .await
        .unwrap();
    let next = tenant.repo.commit(&quota, "Quota").await.unwrap();
    let status = tenant.phase(Phase::Verified, &next, SOON).await.unwrap();
    assert_eq!(
        condition(&status.conditions, "Drifted").map(|told| &*told.message),
        None
    );
    let release = tenant.api::<Release>().get("shop").await.unwrap();
    assert!(release.status.is_some());
}
