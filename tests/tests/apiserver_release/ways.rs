//! Ways to a repository: SSH, an authority of one's own with mutual TLS, a proxy, a GitHub App. Each Release goes its way end to end,
//! and follows what is pushed. Ways that lead nowhere are in `faults_release/secrets`.

use belay_api::Release;
use belay_engine::release::{Phase, ReleaseStatus};
use belay_lab::Lab;
use belay_servers::{
    github::{self, GitHub},
    proxy::proxy,
    ssh::{SshServer, make_key},
    tls::{authority, client, front},
};
use belay_tests::tenant::{Tenant, config_map};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{SOON, lab};

/// A tenant with one commit, whose Release is still to be made.
async fn tenant(name: &str) -> (Tenant, String) {
    let tenant = Tenant::create(lab().await, name).await.unwrap();
    let commit = commit(&tenant, "one").await;
    (tenant, commit)
}

async fn commit(tenant: &Tenant, value: &str) -> String {
    let files = [("config.yaml", &*config_map("config", value))];
    tenant.repo.commit(&files, value).await.unwrap()
}

async fn secret(tenant: &Tenant, name: &str, data: Value) {
    let secret = json!({"metadata": {"name": name}, "stringData": data});
    tenant.make::<Secret>(secret).await.unwrap();
}

async fn change(tenant: &Tenant, name: &str, data: Value) {
    let change = json!({ "stringData": data });
    let secrets = tenant.api::<Secret>();
    secrets
        .patch(name, &PatchParams::default(), &Patch::Merge(&change))
        .await
        .unwrap();
}

/// The Release is away with these words in its status, and without these others.
async fn away(tenant: &Tenant, words: &str, secret: &str) {
    let says = |status: &ReleaseStatus| {
        let source = status.source.as_ref();
        source.is_some_and(|source| source.message.contains(words))
    };
    let status = tenant.wait(words, SOON, says).await.unwrap();
    let shown = serde_json::to_string(&status).unwrap();
    assert!(!shown.contains(secret), "{shown}");
}

/// The Release came this way to its first commit, and now follows to another.
async fn follows(tenant: &Tenant, first: &str) {
    tenant.phase(Phase::Verified, first, SOON).await.unwrap();
    let second = commit(tenant, "two").await;
    let status = tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    assert_eq!(status.source, None);
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
}

/// Name of the tenant's repository in the folder of all.
fn folder(tenant: &Tenant) -> String {
    let name = tenant.repo.path().file_name().unwrap();
    name.to_string_lossy().into_owned()
}

/// `HOST:PORT` of the lab's repositories.
fn plain(lab: &Lab) -> String {
    let url = lab.git_url().unwrap();
    url.trim_start_matches("http://").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_followed_over_ssh_with_an_encrypted_key_and_a_known_host() {
    // Given a server that lets one key in.
    let keys = tempfile::tempdir().unwrap();
    for (name, passphrase) in [("host", ""), ("key", "open sesame"), ("other", "")] {
        make_key(&keys.path().join(name), passphrase);
    }
    let read = |name: &str| std::fs::read_to_string(keys.path().join(name)).unwrap();
    let (host, key) = (keys.path().join("host"), keys.path().join("key.pub"));
    let root = lab().await.git_dir().unwrap();
    let server = SshServer::start(root, &host, &key).await;
    let (tenant, first) = tenant("ssh").await;
    // When the key is another one, then it is told which Secret is to blame, and nothing of it is shown.
    let hosts = server.known_hosts();
    secret(
        &tenant,
        "git",
        json!({"identity": read("other"), "known_hosts": hosts}),
    )
    .await;
    let git = json!({"url": server.url(&folder(&tenant)), "secretRef": {"name": "git"}});
    tenant
        .release(&json!({"source": {"git": git}}))
        .await
        .unwrap();
    let line = read("other").lines().nth(1).unwrap().to_owned();
    away(&tenant, "refuses the credential", &line).await;
    // When it is the right one with its passphrase, then the Release follows.
    change(
        &tenant,
        "git",
        json!({"identity": read("key"), "password": "open sesame"}),
    )
    .await;
    follows(&tenant, &first).await;
    assert!(
        server
            .seen()
            .contains(&format!("git-upload-pack '/{}'", folder(&tenant)))
    );
    // When the host shows another key than the known one, then it gets nothing, and what runs stays.
    let unknown = hosts.rsplit_once(' ').unwrap().0.to_owned()
        + " "
        + read("other.pub").split(' ').nth(1).unwrap();
    change(&tenant, "git", json!({"known_hosts": unknown})).await;
    commit(&tenant, "three").await;
    away(&tenant, "known_hosts", "open sesame").await;
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_followed_over_mutual_tls_with_an_authority_of_its_own() {
    // Given a server with a certificate of its own authority, which wants one of its clients.
    let (servers, clients) = (authority(), authority());
    let port = front(&servers, Some(&clients), plain(lab().await)).await;
    let (tenant, first) = tenant("tls").await;
    let (certificate, key) = client(&clients);
    secret(&tenant, "git", json!({"ca.crt": servers.pem()})).await;
    let url = format!("https://localhost:{port}/{}", folder(&tenant));
    let git = json!({"url": url, "secretRef": {"name": "git"}});
    tenant
        .release(&json!({"source": {"git": git}}))
        .await
        .unwrap();
    // Then without that certificate it is not let in,
    let line = key.lines().nth(1).unwrap();
    away(&tenant, "localhost", line).await;
    // and with it, it follows.
    change(
        &tenant,
        "git",
        json!({"tls.crt": certificate, "tls.key": key}),
    )
    .await;
    follows(&tenant, &first).await;
    // When another authority is believed, then the server is not, and what runs stays.
    change(&tenant, "git", json!({"ca.crt": authority().pem()})).await;
    commit(&tenant, "three").await;
    away(&tenant, "ca.crt", line).await;
    tenant.value_is("config", Some("two"), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_followed_through_a_proxy_that_wants_a_login() {
    // Given a server behind TLS, and a proxy on the way to it.
    let servers = authority();
    let port = front(&servers, None, plain(lab().await)).await;
    let (way, targets) = proxy("bot", "p@ss/word").await;
    let (tenant, first) = tenant("proxy").await;
    secret(&tenant, "git", json!({"ca.crt": servers.pem()})).await;
    let address = format!("http://127.0.0.1:{way}");
    secret(
        &tenant,
        "proxy",
        json!({"address": address, "username": "bot", "password": "let-me-in"}),
    )
    .await;
    let url = format!("https://localhost:{port}/{}", folder(&tenant));
    let git =
        json!({"url": url, "secretRef": {"name": "git"}, "proxySecretRef": {"name": "proxy"}});
    tenant
        .release(&json!({"source": {"git": git}}))
        .await
        .unwrap();
    // Then a wrong login is told, and a right one leads through.
    away(&tenant, "proxy wants another", "let-me-in").await;
    assert!(targets.lock().unwrap().is_empty());
    change(&tenant, "proxy", json!({"password": "p@ss/word"})).await;
    follows(&tenant, &first).await;
    let led = targets.lock().unwrap().clone();
    let target = format!("localhost:{port}");
    assert!(
        !led.is_empty() && led.iter().all(|led| *led == target),
        "{led:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_followed_with_the_tokens_of_a_github_app() {
    // Given a repository that wants the token which the App is given.
    let key = github::make_key();
    let (base, github) = GitHub::start(&key, SignedDuration::from_hours(1)).await;
    let mut tenant = Tenant::create(lab().await, "app").await.unwrap();
    let name = format!("{}-app", tenant.namespace);
    let repo = lab()
        .await
        .create_private_repo(&name, "x-access-token", "token-1");
    tenant.repo = repo.await.unwrap();
    let first = commit(&tenant, "one").await;
    let other = github::make_key();
    let app = json!({"githubAppID": "7", "githubAppInstallationID": "42", "githubAppBaseURL": base, "githubAppPrivateKey": other});
    secret(&tenant, "git", app).await;
    // When it signs with a foreign key, then it is refused, without a word of the key or of what GitHub said.
    let git = json!({"secretRef": {"name": "git"}});
    let release: Release = tenant
        .release(&json!({"source": {"git": git}}))
        .await
        .unwrap();
    assert_eq!(release.spec.source.url(), tenant.repo.url());
    let line = other.lines().nth(1).unwrap();
    away(&tenant, "githubAppPrivateKey", line).await;
    // When it signs with its own, then one token opens the repository for every look.
    change(&tenant, "git", json!({"githubAppPrivateKey": key})).await;
    follows(&tenant, &first).await;
    assert_eq!(github.asked(), 1);
    let status = tenant.phase(Phase::Verified, "", SOON).await.unwrap();
    assert!(!serde_json::to_string(&status).unwrap().contains("token-1"));
}
