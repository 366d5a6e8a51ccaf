//! Secrets of every sort that a Release can have, in every place where one can be named, and what is shown when all goes well and when
//! it fails. Left out: gates and probes, and configuration of workloads, whose secrets have tests of their own.

use belay_api::Release;
use belay_engine::release::{Phase, ReleaseStatus};
use belay_lab::Lab;
use belay_tests::{
    installed::Controller,
    plugin::Plugin,
    scene::Scene,
    sealed::{KEY, sealed},
    shown::everything_shown,
    tenant::{ACCOUNT, Tenant, deployment},
};
use k8s_openapi::api::{core::v1::Secret, rbac::v1::Role};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{SOON, turn};

/// Part of every secret value of this test.
const CANARY: &str = "canary-7f3a";

fn canary(name: &str) -> String {
    format!("{CANARY}-{name}")
}

async fn secret(tenant: &Tenant, name: &str, data: Value) {
    let secret = json!({"metadata": {"name": name}, "stringData": data});
    tenant.make::<Secret>(secret).await.unwrap();
}

/// A tenant whose account may manage Secrets.
async fn keeper(lab: &Lab, name: &str) -> Tenant {
    let tenant = Tenant::create(lab, name).await.unwrap();
    let rules = json!({"rules": [{"apiGroups": ["", "apps"], "resources": ["secrets", "configmaps", "services", "deployments"],
        "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]}]});
    let api = tenant.api::<Role>();
    api.patch(ACCOUNT, &PatchParams::default(), &Patch::Merge(&rules))
        .await
        .unwrap();
    tenant
}

/// Waits until the status has these words.
async fn told(tenant: &Tenant, words: &str) {
    let says = |status: &ReleaseStatus| {
        let shown = serde_json::to_string(status).unwrap_or_default();
        shown.contains(words)
    };
    tenant.wait(words, SOON, says).await.unwrap();
}

fn secret_manifest(name: &str, value: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\nstringData:\n  password: {value}\n"
    )
}

async fn value_of(tenant: &Tenant, name: &str) -> String {
    let secret = tenant.api::<Secret>().get(name).await.unwrap();
    let data = secret.data.unwrap_or_default();
    String::from_utf8(data.get("password").unwrap().0.clone()).unwrap()
}

/// A private repository with Secrets in the open, encrypted, and made of variables; then everything of it fails.
async fn manifests(lab: &Lab) -> Tenant {
    let mut tenant = keeper(lab, "shown-plain").await;
    let password = canary("git");
    let repo = lab.create_private_repo("shown-plain", "reader", &password);
    tenant.repo = repo.await.unwrap();
    secret(
        &tenant,
        "git",
        json!({"username": "reader", "password": password}),
    )
    .await;
    secret(&tenant, "age", json!({"shop.agekey": KEY})).await;
    secret(&tenant, "values", json!({"token": canary("variable")})).await;
    secret(&tenant, "hook", json!({"token": canary("hook")})).await;
    let sealed = sealed(&secret_manifest("sealed", &canary("sealed")))
        .await
        .unwrap();
    let files = [
        ("open.yaml", &*secret_manifest("open", &canary("open"))),
        ("sealed.yaml", &sealed),
        ("made.yaml", &secret_manifest("made", "${token}")),
        ("web.yaml", &deployment("web", "web:v1", 1, "web")),
    ];
    let first = tenant.repo.commit(&files, "Open").await.unwrap();
    let webhook = json!({"sender": "Generic", "secretRef": {"name": "hook"}});
    let spec = json!({
        "source": {"git": {"secretRef": {"name": "git"}, "webhook": webhook}},
        "render": {"substitute": {"from": [{"kind": "Secret", "name": "values"}]}},
        "decryption": {"sops": {"secretRef": {"name": "age"}}},
    });
    tenant.release(&spec).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // They arrive where they belong.
    for (name, value) in [("open", "open"), ("sealed", "sealed"), ("made", "variable")] {
        assert_eq!(value_of(&tenant, name).await, canary(value));
    }
    tenant
}

async fn fail_manifests(tenant: &Tenant) {
    // Values where the API server takes none, and repeats what it got.
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  type: ${token}\n  ports: [{port: 80}]\n";
    let commit = |files: Vec<(&'static str, String)>, message: &'static str| async move {
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        tenant.repo.commit(&files, message).await.unwrap()
    };
    commit(vec![("service.yaml", service.to_owned())], "Service").await;
    told(tenant, "spec.type").await;
    // A Secret that the API server refuses, and one that is no YAML.
    let broken = format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: open\ndata:\n  password: {}!\n",
        canary("no-base64")
    );
    commit(
        vec![("service.yaml", "---\n".to_owned()), ("open.yaml", broken)],
        "No base64",
    )
    .await;
    told(tenant, "details are withheld").await;
    let broken = format!(
        "apiVersion: v1\nkind: Secret\nstringData: {{password: {}",
        canary("syntax")
    );
    commit(vec![("open.yaml", broken)], "No YAML").await;
    told(tenant, "open.yaml").await;
    // A credential that the server refuses.
    let wrong = json!({"stringData": {"password": canary("wrong")}});
    let secrets = tenant.api::<Secret>();
    secrets
        .patch("git", &PatchParams::default(), &Patch::Merge(&wrong))
        .await
        .unwrap();
    told(tenant, "refuses the credential").await;
}

/// A chart with values from a Secret, which then fails with them.
async fn chart(lab: &Lab) -> Tenant {
    let tenant = keeper(lab, "shown-chart").await;
    let template = secret_manifest("login", "{{ .Values.token }}");
    let files = [
        ("Chart.yaml", "apiVersion: v2\nname: shop\nversion: 1.0.0\n"),
        ("templates/login.yaml", &template),
    ];
    let first = tenant.repo.commit(&files, "Open").await.unwrap();
    secret(&tenant, "token", json!({"t": canary("chart")})).await;
    let from = json!([{"kind": "Secret", "name": "token", "key": "t", "targetPath": "token"}]);
    let spec = json!({"render": {"helm": {"valuesFrom": from}}});
    tenant.release(&spec).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    assert_eq!(value_of(&tenant, "login").await, canary("chart"));
    let failing = [("templates/fail.yaml", "{{ fail .Values.token }}\n")];
    tenant.repo.commit(&failing, "Fail").await.unwrap();
    told(&tenant, "helm can't build").await;
    tenant
}

/// A Secret in the open, which the plugin can compare with another.
async fn simple(lab: &Lab) -> Tenant {
    let tenant = keeper(lab, "shown-simple").await;
    let files = [("open.yaml", &*secret_manifest("open", &canary("simple")))];
    let first = tenant.repo.commit(&files, "Open").await.unwrap();
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    tenant
}

/// Ways to a repository, a registry or a cluster that lead nowhere, each with a credential.
async fn ways(lab: &Lab) -> Vec<Tenant> {
    let git =
        |url: &str, field: &str| json!({"source": {"git": {"url": url, field: {"name": "way"}}}});
    let https = |field: &str| git("https://127.0.0.1:1/shop.git", field);
    let ssh = git("ssh://git@127.0.0.1:1/shop.git", "secretRef");
    let oci = json!({"source": {"git": null, "oci": {"url": "oci://127.0.0.1:1/shop", "ref": {"tag": "v1"}, "secretRef": {"name": "way"}}}});
    let app = json!({"githubAppID": "1", "githubAppInstallationID": "2", "githubAppPrivateKey": canary("app"),
        "githubAppBaseURL": "https://127.0.0.1:1/api/v3"});
    let pair = json!({"tls.crt": canary("certificate"), "tls.key": canary("tls-key")});
    let proxy =
        json!({"address": "http://127.0.0.1:1", "username": "reader", "password": canary("proxy")});
    let key = json!({"identity": canary("identity"), "password": canary("passphrase"), "known_hosts": "127.0.0.1 ssh-ed25519 AAAA"});
    let login = json!({"username": "reader", "password": canary("registry")});
    let docker =
        json!({"auths": {"127.0.0.1:1": {"username": "reader", "password": canary("docker")}}});
    let docker = json!({".dockerconfigjson": docker.to_string()});
    let bearer = json!({"bearerToken": canary("bearer")});
    let ways = [
        ("shown-bearer", https("secretRef"), bearer),
        ("shown-app", https("secretRef"), app),
        ("shown-tls", https("secretRef"), pair),
        ("shown-proxy", https("proxySecretRef"), proxy),
        ("shown-ssh", ssh, key),
        ("shown-oci", oci.clone(), login),
        ("shown-docker", oci, docker),
    ];
    let mut tenants = Vec::new();
    for (name, spec, data) in ways {
        let tenant = Tenant::create(lab, name).await.unwrap();
        secret(&tenant, "way", data).await;
        tenant.release(&spec).await.unwrap();
        let away = |status: &ReleaseStatus| status.source.is_some();
        tenant
            .wait("the source to be away", SOON, away)
            .await
            .unwrap();
        tenants.push(tenant);
    }
    tenants.push(abroad(lab).await);
    tenants
}

/// A Release for a cluster that is nowhere, by kubeconfigs of which one is refused.
async fn abroad(lab: &Lab) -> Tenant {
    let tenant = keeper(lab, "shown-abroad").await;
    let manifest = secret_manifest("open", &canary("abroad"));
    let files = [("open.yaml", &*manifest)];
    tenant.repo.commit(&files, "Open").await.unwrap();
    let kubeconfig = |user: Value| {
        json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}], "users": [{"name": "u", "user": user}]})
        .to_string()
    };
    let exec = json!({"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": canary("exec")}, "token": canary("exec-token")});
    secret(&tenant, "way", json!({ "value": kubeconfig(exec) })).await;
    let spec = json!({"kubeConfig": {"secretRef": {"name": "way"}}});
    tenant.release(&spec).await.unwrap();
    told(&tenant, "runs a program").await;
    let text = kubeconfig(json!({"token": canary("cluster-token")}));
    let change = json!({"stringData": {"value": text}});
    let secrets = tenant.api::<Secret>();
    secrets
        .patch("way", &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap();
    let is_read = |status: &ReleaseStatus| {
        let waiting = status.waiting_for.as_ref();
        waiting.is_some_and(|w| w.reason == "ClusterUnreachable" && !w.message.contains("program"))
    };
    tenant
        .wait("the other kubeconfig to be read", SOON, is_read)
        .await
        .unwrap();
    tenant
}

/// What the plugin says of a Release, in words and as JSON.
async fn told_by_plugin(lab: &Lab, tenant: &Tenant) -> String {
    let plugin = Plugin::build(lab).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_string_lossy().into_owned();
    let changed = secret_manifest("open", &canary("changed"));
    std::fs::write(folder.path().join("open.yaml"), changed).unwrap();
    let namespace = &*tenant.namespace;
    let calls: [&[&str]; 8] = [
        &["status", "release/shop"],
        &["status", "release/shop", "-o", "json"],
        &["list"],
        &["tree", "release/shop"],
        &["tree", "release/shop", "-o", "json"],
        &["history", "release/shop"],
        &["diff", "release/shop", "--path", &path],
        &["trace", "secret/open"],
    ];
    let mut shown = String::new();
    for call in calls {
        let ended = plugin
            .call(&[call, &["-n", namespace]].concat())
            .await
            .unwrap();
        println!("{call:?} ended with {}: {}", ended.code, ended.err);
        shown += &ended.out;
        shown += &ended.err;
    }
    shown
}

async fn shown(tenant: &Tenant, controller: &Controller) -> String {
    let scene = Scene {
        client: tenant.client.clone(),
        namespace: tenant.namespace.clone(),
    };
    everything_shown(&scene, controller).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_release_is_found_in_any_status_event_log_metric_or_diff() {
    let turn = turn().await;
    let controller = turn.acting("shown").await.unwrap();
    // Given secrets in all places, of which some arrive and some are of no use.
    let (plain, chart) = (manifests(turn.lab).await, chart(turn.lab).await);
    let simple = simple(turn.lab).await;
    let mut said = told_by_plugin(turn.lab, &plain).await;
    said += &told_by_plugin(turn.lab, &simple).await;
    fail_manifests(&plain).await;
    said += &told_by_plugin(turn.lab, &plain).await;
    let ways = ways(turn.lab).await;
    // And an address with a password, which is not even taken.
    let refused = patch_url(
        &ways,
        &format!("https://reader:{}@git.example.com/shop.git", canary("url")),
    )
    .await;
    said += &refused;
    // When everything that people may read is read,
    for tenant in ways.iter().chain([&plain, &chart, &simple]) {
        said += &shown(tenant, &controller).await;
    }
    // then all of it is told of,
    for words in [
        "spec.type",
        "refuses the credential",
        "helm can't build",
        "belay_api_requests_total",
        "/open in the cluster",
    ] {
        assert!(
            said.contains(words),
            "{words} is not in what is looked through"
        );
    }
    // and no secret, plain or as Kubernetes writes it.
    let encoded = k8s_openapi::ByteString(CANARY.as_bytes()[..9].to_vec());
    let encoded = serde_json::to_string(&encoded).unwrap();
    for line in said.lines() {
        let found = [CANARY, "AGE-SECRET", encoded.trim_matches('"')]
            .iter()
            .any(|secret| line.contains(secret));
        assert!(!found, "{line}");
    }
    controller.terminate().await.unwrap();
}

/// What the API server says to this address.
async fn patch_url(ways: &[Tenant], url: &str) -> String {
    let patch = json!({"spec": {"source": {"git": {"url": url}}}});
    let releases = ways.first().unwrap().api::<Release>();
    let refused = releases
        .patch("shop", &PatchParams::default(), &Patch::Merge(&patch))
        .await;
    refused.unwrap_err().to_string()
}
