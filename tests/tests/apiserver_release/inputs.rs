//! Renders that read ConfigMaps and Secrets of the cluster.

use belay_api::Release;
use belay_engine::release::{Phase, ReleaseStatus};
use belay_tests::{
    sealed::{KEY, sealed},
    tenant::{ACCOUNT, Tenant, config_map},
};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Secret},
    rbac::v1::{Role, RoleBinding},
};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{SOON, lab};

/// Lets the tenant's account read this one Secret, and nothing else of its kind.
pub(super) async fn allow_secret(tenant: &Tenant, secret: &str) {
    let name = format!("read-{secret}");
    let rules = json!([{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["get", "list", "watch"]}]);
    let role = json!({"metadata": {"name": name}, "rules": rules});
    tenant.make::<Role>(role).await.unwrap();
    let binding = json!({"metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": tenant.namespace}]});
    tenant.make::<RoleBinding>(binding).await.unwrap();
}

/// What the source's trouble or the refusal says, once it says this.
async fn told(tenant: &Tenant, words: &str) -> ReleaseStatus {
    let says = |status: &ReleaseStatus| {
        let source = status.source.as_ref().map(|source| source.message.as_str());
        let refused = status
            .refused
            .as_ref()
            .map(|refused| refused.message.as_str());
        source.is_some_and(|message| message.contains(words))
            || refused.is_some_and(|message| message.contains(words))
    };
    tenant.wait(words, SOON, says).await.unwrap()
}

async fn set_data(tenant: &Tenant, name: &str, data: &Value) {
    let patch = json!({ "data": data });
    tenant
        .api::<ConfigMap>()
        .patch(name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
}

/// A look per hour: whatever happens sooner is not found by looking.
fn seldom(render: &Value) -> Value {
    json!({"source": {"git": {"interval": "1h"}}, "render": render})
}

const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: config\ndata:\n  value: ${color} ${size:=small}\n";

#[tokio::test(flavor = "multi_thread")]
async fn variables_come_from_the_cluster_and_their_changes_are_rendered_at_once() {
    // Given objects with variables, whose values are in a ConfigMap and in a Secret that the account may not read.
    let tenant = Tenant::create(lab().await, "variables").await.unwrap();
    let deployment = "apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: ${replicas}\n  selector:\n    matchLabels: {app: web}\n  \
                      template:\n    metadata: {labels: {app: web}}\n    spec:\n      containers:\n      - name: main\n        image: web:1\n        env:\n        \
                      - name: TOKEN\n          value: ${token}\n";
    let files = [("config.yaml", CONFIG), ("web.yaml", deployment)];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    let env = json!({"metadata": {"name": "env"}, "data": {"color": "red\n", "replicas": "0"}});
    tenant.make::<ConfigMap>(env).await.unwrap();
    let token = json!({"metadata": {"name": "token"}, "stringData": {"token": "open sesame"}});
    tenant.make::<Secret>(token).await.unwrap();
    let from = json!([{"kind": "ConfigMap", "name": "env"}, {"kind": "Secret", "name": "token"}, {"kind": "ConfigMap", "name": "more", "optional": true}]);
    tenant
        .release(&seldom(&json!({"substitute": {"from": from}})))
        .await
        .unwrap();
    // Then it is told what it lacks, and goes on when the account may read that one Secret.
    told(&tenant, "deployer may not read Secret").await;
    allow_secret(&tenant, "token").await;
    let first = tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    tenant
        .value_is("config", Some("red small"), SOON)
        .await
        .unwrap();
    // When the ConfigMap changes, and the one that was missing comes, then the same commit is other content.
    set_data(&tenant, "env", &json!({"color": "blue"})).await;
    tenant
        .value_is("config", Some("blue small"), SOON)
        .await
        .unwrap();
    let more = json!({"metadata": {"name": "more"}, "data": {"size": "large"}});
    tenant.make::<ConfigMap>(more).await.unwrap();
    tenant
        .value_is("config", Some("blue large"), SOON)
        .await
        .unwrap();
    let digest =
        |status: &ReleaseStatus| status.verified.as_ref().map(|v| v.content.digest.clone());
    let other = |status: &ReleaseStatus| {
        status.phase == Phase::Verified && digest(status) != digest(&first)
    };
    let status = tenant.wait("other content", SOON, other).await.unwrap();
    assert!(status.asked.unwrap().revision.ends_with(&commit));
    // When a variable loses its value, then the version is refused by name and file, and what runs stays.
    set_data(&tenant, "env", &json!({"color": null})).await;
    let status = told(&tenant, "${color} has no value").await;
    let message = status.refused.unwrap().message;
    assert!(message.contains("config.yaml, document 1"), "{message}");
    tenant
        .value_is("config", Some("blue large"), SOON)
        .await
        .unwrap();
    set_data(&tenant, "env", &json!({"color": "green"})).await;
    tenant
        .value_is("config", Some("green large"), SOON)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_value_of_a_secret_is_not_repeated_by_what_the_api_server_says() {
    // Given a Service whose type is the value of a Secret, by mistake.
    let tenant = Tenant::create(lab().await, "hush").await.unwrap();
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  type: ${token}\n  ports: [{port: 80}]\n";
    tenant
        .repo
        .commit(&[("web.yaml", service)], "Open")
        .await
        .unwrap();
    let token = json!({"metadata": {"name": "token"}, "stringData": {"token": "canary-4711"}});
    tenant.make::<Secret>(token).await.unwrap();
    allow_secret(&tenant, "token").await;
    let from = json!([{"kind": "Secret", "name": "token"}]);
    tenant
        .release(&seldom(&json!({"substitute": {"from": from}})))
        .await
        .unwrap();
    // Then it is refused by the name of the field, and its value is nowhere in the Release.
    told(&tenant, "spec.type").await;
    let release = tenant.api::<Release>().get("shop").await.unwrap();
    let shown = serde_json::to_string(&release).unwrap();
    assert!(!shown.contains("canary-4711"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chart_takes_values_from_config_maps_and_secrets() {
    // Given a chart, values in a ConfigMap, one text in a Secret, and values of the Release.
    let tenant = Tenant::create(lab().await, "values").await.unwrap();
    let chart = "apiVersion: v2\nname: shop\nversion: 1.0.0\n";
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: config}\ndata:\n  value: {{ .Values.a }} {{ .Values.b }} {{ .Values.c }} {{ .Values.deep.token }}\n";
    let defaults = "a: chart\nb: chart\nc: chart\ndeep: {token: chart}\n";
    let files = [
        ("Chart.yaml", chart),
        ("values.yaml", defaults),
        ("templates/config.yaml", template),
    ];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    let env = json!({"metadata": {"name": "env"}, "data": {"values.yaml": "b: map\nc: map\n"}});
    tenant.make::<ConfigMap>(env).await.unwrap();
    let token = json!({"metadata": {"name": "token"}, "stringData": {"t": "secret\n"}});
    tenant.make::<Secret>(token).await.unwrap();
    allow_secret(&tenant, "token").await;
    let from = json!([
        {"kind": "ConfigMap", "name": "env"},
        {"kind": "Secret", "name": "token", "key": "t", "targetPath": "deep.token"},
        {"kind": "ConfigMap", "name": "none", "optional": true},
    ]);
    let helm = json!({"helm": {"valuesFrom": from, "values": {"c": "release"}}});
    tenant.release(&seldom(&helm)).await.unwrap();
    // Then the later ones win.
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    let told_by = |text: &'static str| tenant.value_is("config", Some(text), SOON);
    told_by("chart map release secret").await.unwrap();
    // When one changes, then the chart is rendered anew.
    set_data(&tenant, "env", &json!({"values.yaml": "a: new\n"})).await;
    told_by("new chart release secret").await.unwrap();
    // When the key is gone, then that is said, and what runs stays.
    set_data(&tenant, "env", &json!({"values.yaml": null})).await;
    told(&tenant, "has no key \"values.yaml\"").await;
    told_by("new chart release secret").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn encrypted_files_are_opened_with_the_key_of_a_secret() {
    // Given an encrypted ConfigMap, and a Release that names no key.
    let tenant = Tenant::create(lab().await, "encrypted").await.unwrap();
    let clear = config_map("config", "canary-4711");
    let encrypted = sealed(&clear).await.unwrap();
    let files = [("config.yaml", encrypted.as_str())];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    tenant
        .release(&seldom(&json!({"plain": {}})))
        .await
        .unwrap();
    // Then the version is refused, and says what to do.
    told(&tenant, "name the Secret with the age key").await;
    // When the key is named, and the account may read it, then the file is what it was.
    let key =
        json!({"metadata": {"name": "age"}, "stringData": {"shop.agekey": KEY, "README": "ours"}});
    tenant.make::<Secret>(key).await.unwrap();
    allow_secret(&tenant, "age").await;
    let patch = json!({"spec": {"decryption": {"sops": {"secretRef": {"name": "age"}}}}});
    let releases = tenant.api::<Release>();
    releases
        .patch("shop", &PatchParams::default(), &Patch::Merge(&patch))
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    let found = tenant.value_is("config", Some("canary-4711"), SOON).await;
    found.unwrap();
    let release = releases.get("shop").await.unwrap();
    let shown = serde_json::to_string(&release).unwrap();
    assert!(!shown.contains("canary-4711") && !shown.contains("AGE-SECRET"));
}
