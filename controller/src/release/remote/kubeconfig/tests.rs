//! What is taken of a kubeconfig, and what is refused.

use super::*;

const SECRET: &str = "hunter2hunter2";

fn authority() -> String {
    let key = rcgen::KeyPair::generate().unwrap();
    let parameters = rcgen::CertificateParams::new(Vec::<String>::new()).unwrap();
    STANDARD.encode(parameters.self_signed(&key).unwrap().pem())
}

/// A kubeconfig with these fields of its cluster and its user beside, or instead of, the usual ones.
fn kubeconfig(cluster: &Value, user: &Value) -> Value {
    let mut base = json!({"server": "https://east.example.com:6443", "certificate-authority-data": authority()});
    let mut who = json!({"token": SECRET});
    for (into, more) in [(&mut base, cluster), (&mut who, user)] {
        let more = more.as_object().unwrap().clone();
        into.as_object_mut().unwrap().extend(more);
    }
    json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "east", "preferences": {},
        "contexts": [{"name": "east", "context": {"cluster": "east", "user": "belay", "namespace": "shop"}}],
        "clusters": [{"name": "other", "cluster": {"server": "http://other"}}, {"name": "east", "cluster": base}],
        "users": [{"name": "other", "user": {"exec": {"command": "sh"}}}, {"name": "belay", "user": who}],
    })
}

fn read(config: &Value) -> Result<Kubeconfig, String> {
    Kubeconfig::read(config.to_string().as_bytes(), Reach::Network)
}

fn refused(cluster: &Value, user: &Value) -> String {
    let why = read(&kubeconfig(cluster, user)).unwrap_err();
    assert!(
        !why.contains(SECRET) && !why.contains("east.example"),
        "{why}"
    );
    why
}

#[test]
fn a_kubeconfig_with_everything_inside_is_taken_by_its_current_context() {
    let found = read(&kubeconfig(
        &json!({"tls-server-name": "kubernetes", "extensions": [{"name": "x", "extension": {}}]}),
        &json!({"as": "system:serviceaccount:shop:deployer", "as-groups": ["tenants"]}),
    ))
    .unwrap();
    assert_eq!(found.config.cluster_url.host(), Some("east.example.com"));
    let config = &found.config;
    assert_eq!(config.root_cert.as_ref().map(Vec::len), Some(1));
    assert_eq!(config.tls_server_name.as_deref(), Some("kubernetes"));
    assert_eq!(
        config.auth_info.impersonate.as_deref(),
        Some("system:serviceaccount:shop:deployer")
    );
    // Nothing of this machine goes along.
    assert!(config.proxy_url.is_none() && config.root_cert_file.is_none());
    assert!(config.auth_info.token_file.is_none() && config.auth_info.exec.is_none());
    assert!(!config.accept_invalid_certs);
    assert!(!format!("{found:?}").contains(SECRET));
}

#[test]
fn programs_files_and_proxies_of_this_machine_are_refused() {
    for (field, value, words) in [
        (
            "exec",
            json!({"command": "sh", "apiVersion": "client.authentication.k8s.io/v1"}),
            "runs a program",
        ),
        ("auth-provider", json!({"name": "oidc"}), "auth-provider"),
        (
            "client-certificate",
            json!("/etc/passwd"),
            "client-certificate-data",
        ),
        ("client-key", json!("/etc/passwd"), "client-key-data"),
        ("tokenFile", json!("/var/run/secrets/token"), "write token"),
        ("as-uid", json!("1"), "as-uid"),
        ("as-user-extra", json!({"a": ["b"]}), "as-user-extra"),
        ("act-like", json!("admin"), "does not know"),
        ("token", json!(17), "no text"),
    ] {
        let why = refused(&json!({}), &json!({field: value}));
        assert!(why.contains(words), "{field}: {why}");
    }
    for (field, value, words) in [
        (
            "certificate-authority",
            json!("/etc/ca.pem"),
            "certificate-authority-data",
        ),
        (
            "certificate-authority-data",
            json!("bm90IGEgY2VydA=="),
            "no certificate",
        ),
        (
            "insecure-skip-tls-verify",
            json!(true),
            "certificate-authority-data",
        ),
        (
            "insecure-skip-tls-verify",
            json!("true"),
            "certificate-authority-data",
        ),
        ("proxy-url", json!("http://proxy:3128"), "without one"),
        ("server", json!("http://east.example.com"), "https"),
        (
            "server",
            json!(format!("https://admin:{SECRET}@east.example.com")),
            "user name",
        ),
        ("server", json!("east.example.com"), "no address"),
        ("server", json!(""), "no server"),
    ] {
        let why = refused(&json!({field: value}), &json!({}));
        assert!(why.contains(words), "{field}: {why}");
    }
}

#[test]
fn a_server_where_belay_runs_is_refused_unless_that_is_allowed() {
    for (server, words) in [
        ("https://127.0.0.1:6443", "--allow-loopback"),
        ("https://localhost", "--allow-loopback"),
        ("https://169.254.169.254", "link-local"),
        ("https://metadata.google.internal", "metadata"),
    ] {
        let why = refused(&json!({"server": server}), &json!({}));
        assert!(why.contains(words), "{server}: {why}");
    }
    let here = kubeconfig(&json!({"server": "https://127.0.0.1:6443"}), &json!({}));
    let text = here.to_string();
    assert!(Kubeconfig::read(text.as_bytes(), Reach::NetworkAndLoopback).is_ok());
}

#[test]
fn credentials_are_whole_and_there_are_some() {
    for (user, words) in [
        (json!({"token": null}), "no token"),
        (json!({"client-key-data": "a"}), "go together"),
        (json!({"username": "a"}), "go together"),
        (json!({"username": "a", "password": "b"}), "one of them"),
        (json!({"as-groups": ["a"]}), "goes with as"),
        (json!({"as": "a", "as-groups": "b"}), "no list"),
    ] {
        let why = refused(&json!({}), &user);
        assert!(why.contains(words), "{user}: {why}");
    }
}

#[test]
fn what_is_no_kubeconfig_is_refused_without_a_word_of_it() {
    let good = kubeconfig(&json!({}), &json!({})).to_string();
    let mut nowhere = kubeconfig(&json!({}), &json!({}));
    nowhere["current-context"] = json!(null);
    let mut lost = kubeconfig(&json!({}), &json!({}));
    lost["current-context"] = json!(SECRET);
    for (text, words) in [
        (format!("{good}\n---\n{good}\n"), "several documents"),
        (String::new(), "is empty"),
        (format!("token: [{SECRET}"), "can't be read"),
        (
            format!("{good}{}", " ".repeat(LONGEST_BYTES)),
            "longer than 64 KiB",
        ),
        (nowhere.to_string(), "no current-context"),
        (lost.to_string(), "lacks the context"),
        ("kind: Config\nusers: 1".to_owned(), "can't be read"),
    ] {
        let why = Kubeconfig::read(text.as_bytes(), Reach::Network).unwrap_err();
        assert!(why.contains(words), "{why}");
        assert!(!why.contains(SECRET), "{why}");
    }
}

#[test]
fn the_address_tells_clusters_apart_but_not_credentials() {
    let mut one = kubeconfig(&json!({}), &json!({}));
    let address = |config: &Value| read(config).unwrap().address;
    let before = address(&one);
    one["users"][1]["user"]["token"] = json!("another");
    assert_eq!(address(&one), before);
    one["clusters"][1]["cluster"]["server"] = json!("https://west.example.com:6443");
    assert_ne!(address(&one), before);
}
