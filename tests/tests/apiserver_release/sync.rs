//! Releases on a real control plane, from real Git repositories: synced, verified, pruned, refused.
#![allow(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]
use super::SOON;
use belay_engine::{condition::Truth, release::Phase};
use belay_tests::{
    tenant::{ACCOUNT, Tenant, config_map, deployment},
    told::condition,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use serde_json::{Value, json};

/// A tenant whose first commit, a ConfigMap `config` and the given files, is verified.
async fn open(name: &str, files: &[(&str, &str)], more: &Value) -> (Tenant, String) {
    let config = config_map("config", "one");
    let mut all = vec![("config.yaml", config.as_str())];
    all.extend_from_slice(files);
    super::open(name, &all, more).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_synced_verified_and_what_it_dropped_is_pruned() {
    // Given a repository with two ConfigMaps and a Deployment, followed by a Release.
    let web = deployment("web", "web:v1", 2, "config");
    let files = [("old.yaml", &*config_map("old", "x")), ("web.yaml", &web)];
    let (tenant, _) = open("sync", &files, &json!({})).await;
    // Then everything is there, carries Belay's marks, and the Release is ready.
    let live = tenant.api::<Deployment>().get("web").await.unwrap();
    assert_eq!(live.status.unwrap().available_replicas, Some(2));
    assert_eq!(live.metadata.labels.unwrap()["belay.dev/release"], "shop");
    let status = tenant
        .wait("at rest", SOON, |s| s.waiting_for.is_none())
        .await
        .unwrap();
    let ready = condition(&status.conditions, "Ready").unwrap();
    assert_eq!(ready.status, Truth::True);
    assert_eq!(status.history.len(), 1);
    // When the next commits drop one and change another.
    tenant.repo.remove(&["old.yaml"], "Drop").await.unwrap();
    let second = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "two"))], "Change")
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    // Then the cluster is what the commit says.
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
    tenant.value_is("old", None, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn kustomize_builds_what_has_a_kustomization() {
    let kustomization = "resources: [config.yaml]\nnamePrefix: prod-\nconfigMapGenerator:\n- name: made\n  literals: [value=yes]\n";
    let files = [("kustomization.yaml", kustomization)];
    let (tenant, _) = open("kustomize", &files, &json!({})).await;
    tenant
        .value_is("prod-config", Some("one"), SOON)
        .await
        .unwrap();
    let maps = tenant
        .api::<ConfigMap>()
        .list(&kube::api::ListParams::default())
        .await
        .unwrap();
    let made = maps.iter().filter_map(|map| map.metadata.name.as_deref());
    assert_eq!(
        made.filter(|name| name.starts_with("prod-made-")).count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_can_do_what_its_account_can_and_nothing_more() {
    // Given a verified Release, and a commit with a Secret, which the tenant's account may not create.
    let (tenant, first) = open("rbac", &[], &json!({})).await;
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: s\nstringData:\n  password: hunter2\n";
    let files = [
        ("secret.yaml", secret),
        ("config.yaml", &*config_map("config", "two")),
    ];
    let second = tenant.repo.commit(&files, "Add a secret").await.unwrap();
    // Then nothing changes, and the refusal names account, file and object, and no secret.
    let status = tenant.phase(Phase::Refused, &second, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(
        message.contains("secret.yaml") && message.contains("Secret"),
        "{message}"
    );
    assert!(
        message.contains(&format!("{}:{ACCOUNT}", tenant.namespace)),
        "{message}"
    );
    assert!(!message.contains("hunter2"), "{message}");
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("one")
    );
    assert!(status.verified.unwrap().content.revision.ends_with(&first));
    // When the right is granted, then the same commit goes through by itself.
    let api = tenant.api::<k8s_openapi::api::rbac::v1::Role>();
    let mut role = api.get(ACCOUNT).await.unwrap();
    let rules = role.rules.as_mut().unwrap();
    rules[0]
        .resources
        .get_or_insert_default()
        .push("secrets".to_owned());
    api.replace(ACCOUNT, &kube::api::PostParams::default(), &role)
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_commit_changes_nothing_and_is_reported_with_file_and_reason() {
    // Given a verified Release with a Deployment.
    let web = deployment("web", "web:v1", 1, "config");
    let (tenant, first) = open("broken", &[("web.yaml", &web)], &json!({})).await;
    let other_selector = web.replace("app: web", "app: other");
    let cases: [(&str, &str, &str, &str); 7] = [
        ("bad YAML", "a.yaml", "kind: ConfigMap\n  bad: [", "a.yaml"),
        (
            "an unknown kind",
            "b.yaml",
            "apiVersion: example.com/v1\nkind: Wonder\nmetadata: {name: w}\n",
            "kind Wonder",
        ),
        (
            "an unknown field",
            "c.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndatta: {}\n",
            "datta",
        ),
        (
            "an immutable field",
            "web.yaml",
            &other_selector,
            "spec.selector is immutable",
        ),
        (
            "an invalid value",
            "d.yaml",
            "apiVersion: v1\nkind: Service\nmetadata: {name: d}\nspec: {ports: [{port: 99999}]}\n",
            "spec.ports[0].port",
        ),
        (
            "a duplicate",
            "e.yaml",
            &config_map("config", "other"),
            "config.yaml",
        ),
        (
            "another's namespace",
            "f.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: f, namespace: kube-system}\n",
            "forbidden",
        ),
    ];
    for (what, file, text, reason) in cases {
        // When a commit brings it, beside a change that would work.
        let two = config_map("config", "two");
        let files = [(file, text), ("config.yaml", &*two)];
        let commit = tenant.repo.commit(&files, what).await.unwrap();
        // Then it is refused with file and reason, and the change that would work is not made either.
        let status = tenant.phase(Phase::Refused, &commit, SOON).await.unwrap();
        let message = status.refused.clone().unwrap().message;
        assert!(
            message.contains(file) && message.contains(reason),
            "{what}: {message}"
        );
        assert_eq!(
            tenant.value("config", "value").await.unwrap().as_deref(),
            Some("one"),
            "{what}"
        );
        assert!(status.verified.unwrap().content.revision.ends_with(&first));
        tenant.repo.reset("main", &first).await.unwrap();
    }
    // When the source is as it was, then the Release is ready again.
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn definitions_and_what_they_define_come_in_one_commit() {
    // Given an account that may manage definitions and what they define.
    let (tenant, _) = open("define", &[], &json!({})).await;
    let kind = format!("Wonder{}", tenant.namespace.rsplit('-').next().unwrap());
    let plural = kind.to_lowercase();
    let group = "define.example.com";
    tenant.allow_cluster(&json!([
        {"apiGroups": ["apiextensions.k8s.io"], "resources": ["customresourcedefinitions"], "verbs": ["*"]},
        {"apiGroups": [group], "resources": [plural], "verbs": ["*"]},
    ])).await.unwrap();
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {"group": group, "scope": "Namespaced", "names": {"kind": kind, "plural": plural},
            "versions": [{"name": "v1", "served": true, "storage": true,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]},
    });
    let object =
        json!({"apiVersion": format!("{group}/v1"), "kind": kind, "metadata": {"name": "first"}});
    let files = [
        ("a-object.json", &*object.to_string()),
        ("z-definition.json", &definition.to_string()),
    ];
    // When one commit brings both.
    let commit = tenant.repo.commit(&files, "Define").await.unwrap();
    // Then both are there.
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    // When the next commit drops both, then the object goes and the definition stays.
    tenant
        .repo
        .remove(&["a-object.json", "z-definition.json"], "Drop")
        .await
        .unwrap();
    let resource = kube::api::ApiResource {
        group: group.to_owned(),
        version: "v1".to_owned(),
        api_version: format!("{group}/v1"),
        kind: kind.clone(),
        plural: plural.clone(),
    };
    let api: kube::Api<kube::api::DynamicObject> =
        kube::Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &resource);
    belay_lab::wait_for("the object to be pruned", SOON, || async {
        match api.get_opt("first").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err("it is there".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn helm_builds_a_chart_with_the_values_of_the_release() {
    // Given a repository with a chart, and values for production beside it.
    let tenant = Tenant::create(super::lab().await, "chart").await.unwrap();
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-config}\n\
                    data: {value: {{ .Values.value }}, tier: {{ .Values.tier }}, kubernetes: {{ .Capabilities.KubeVersion.Version }}}\n";
    let files = [
        (
            "charts/web/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        ),
        ("charts/web/values.yaml", "value: chart\ntier: chart\n"),
        ("charts/web/templates/config.yaml", template),
        ("env/prod.yaml", "tier: gold\n"),
    ];
    let first = tenant.repo.commit(&files, "Chart").await.unwrap();
    // When a Release follows it.
    let more = json!({
        "source": {"git": {"path": "charts/web"}},
        "render": {"helm": {"valuesFiles": ["env/prod.yaml"], "values": {"value": "one"}}},
    });
    tenant.release(&more).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // Then the chart's objects are there, with the values of file and Release and the version of the cluster.
    let name = "shop-config";
    assert_eq!(
        tenant.value(name, "value").await.unwrap().as_deref(),
        Some("one")
    );
    assert_eq!(
        tenant.value(name, "tier").await.unwrap().as_deref(),
        Some("gold")
    );
    let version = tenant.client.apiserver_version().await.unwrap();
    let minor = format!("v{}.{}.0", version.major, version.minor);
    assert_eq!(tenant.value(name, "kubernetes").await.unwrap(), Some(minor));
    // When a commit breaks the chart, then the reason is told and nothing changes.
    let broken = [(
        "charts/web/templates/config.yaml",
        "{{ required \"a color is needed\" .Values.color }}",
    )];
    let second = tenant.repo.commit(&broken, "Break").await.unwrap();
    let status = tenant.phase(Phase::Refused, &second, SOON).await.unwrap();
    let message = status.refused.unwrap().message;
    assert!(message.contains("a color is needed"), "{message}");
    assert_eq!(
        tenant.value(name, "value").await.unwrap().as_deref(),
        Some("one")
    );
    // When the commit is taken back and the Release gives another value, then the chart is rendered with it.
    let give = json!({"spec": {"render": {"helm": {"values": {"value": "two"}}}}});
    let patch = kube::api::Patch::Merge(&give);
    let api = tenant.api::<belay_api::Release>();
    api.patch("shop", &kube::api::PatchParams::default(), &patch)
        .await
        .unwrap();
    tenant.repo.reset("main", &first).await.unwrap();
    tenant.value_is(name, Some("two"), SOON).await.unwrap();
}
