//! What a Secret holds for a registry.
//!
//! Invariant: no error says what a Secret holds, only what is missing in it.

use std::collections::HashMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use k8s_openapi::api::core::v1::Secret;
use reqwest::Url;
use serde::Deserialize;

use super::super::{
    access::value,
    web::{Login, host},
};

/// The key of Secrets of the type `kubernetes.io/dockerconfigjson`.
const DOCKER_CONFIG: &str = ".dockerconfigjson";
/// What logins for Docker's own registry are filed under.
const DOCKER_HUB: &str = "index.docker.io";

/// What a Secret holds.
pub(super) struct Held {
    pub(super) login: Option<Login>,
    /// In PEM, trusted instead of the system's.
    pub(super) authorities: Option<String>,
}

#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: HashMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    username: Option<String>,
    password: Option<String>,
    auth: Option<String>,
}

/// What the Secret holds for this registry.
pub(super) fn held(secret: &Secret, registry: &Url) -> Result<Held, String> {
    let authorities = value(secret, "ca.crt");
    let login = match (value(secret, "username"), value(secret, "password")) {
        (Some(username), Some(password)) => Some(Login { username, password }),
        _ => match value(secret, DOCKER_CONFIG) {
            Some(config) => Some(filed(&config, registry)?),
            None => None,
        },
    };
    if login.is_none() && authorities.is_none() {
        return Err(format!(
            "it has neither username and password nor {DOCKER_CONFIG} (nor ca.crt)"
        ));
    }
    Ok(Held { login, authorities })
}

fn filed(config: &str, registry: &Url) -> Result<Login, String> {
    let config: DockerConfig = serde_json::from_str(config).map_err(|_| {
        format!("{DOCKER_CONFIG} can't be read; make it with kubectl create secret docker-registry")
    })?;
    let host = match host(registry) {
        hub if hub == "registry-1.docker.io" => DOCKER_HUB.to_owned(),
        host => host,
    };
    let mut entries = config.auths.into_iter();
    let found = entries.find(|(address, _)| authority(address) == host);
    found
        .and_then(|(_, entry)| login(entry))
        .ok_or_else(|| format!("{DOCKER_CONFIG} has no login for {host}"))
}

/// Host and port of an address as Docker files it: `https://index.docker.io/v1/` or `registry.example.com`.
fn authority(address: &str) -> &str {
    let bare = address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
        .unwrap_or(address);
    let bare = bare.split('/').next().unwrap_or_default();
    if bare == "docker.io" {
        DOCKER_HUB
    } else {
        bare
    }
}

fn login(entry: Entry) -> Option<Login> {
    if let (Some(username), Some(password)) = (entry.username, entry.password) {
        return Some(Login { username, password });
    }
    let both = STANDARD.decode(entry.auth?).ok()?;
    let both = String::from_utf8(both).ok()?;
    let (username, password) = both.split_once(':')?;
    Some(Login {
        username: username.to_owned(),
        password: password.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;
    use serde_json::json;

    use super::*;

    fn read(pairs: &[(&str, &str)], registry: &str) -> Result<Option<String>, String> {
        let data = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        let secret = Secret {
            data: Some(data.collect()),
            ..Secret::default()
        };
        let held = held(&secret, &Url::parse(registry).unwrap())?;
        Ok(held
            .login
            .map(|login| format!("{}:{}", login.username, login.password)))
    }

    #[test]
    fn a_secret_holds_a_login_or_a_file_of_logins() {
        let registry = "https://registry.example.com:5000/";
        let plain = [("username", "u"), ("password", "p\n")];
        assert_eq!(read(&plain, registry).unwrap().as_deref(), Some("u:p"));
        assert_eq!(read(&[("ca.crt", "x")], registry).unwrap(), None);
        let config = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": STANDARD.encode("hub:a:b")},
            "registry.example.com:5000": {"username": "bot", "password": "hush-hush"},
            "broken.example.com": {"auth": "hush-hush"},
        }})
        .to_string();
        let filed = [(DOCKER_CONFIG, config.as_str())];
        for (registry, expected) in [
            (registry, Ok("bot:hush-hush")),
            ("https://registry-1.docker.io/", Ok("hub:a:b")),
            (
                "https://broken.example.com/",
                Err("no login for broken.example.com"),
            ),
            (
                "https://registry.example.com/",
                Err("no login for registry.example.com"),
            ),
        ] {
            match (read(&filed, registry), expected) {
                (Ok(found), expected) => assert_eq!(found.as_deref(), expected.ok()),
                (Err(error), Err(words)) => {
                    assert!(error.contains(words) && !error.contains("hush"), "{error}");
                }
                (Err(error), Ok(_)) => panic!("{registry}: {error}"),
            }
        }
        for pairs in [[(DOCKER_CONFIG, "hush-hush")], [("password", "hush-hush")]] {
            let error = read(&pairs, registry).unwrap_err();
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
