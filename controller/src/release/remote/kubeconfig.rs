//! A kubeconfig as it may come from a tenant.
//!
//! Invariants: only what stands in it counts: it names no program, no file and no proxy of the machine that Belay runs on, and nothing
//! of Belay's own environment goes into what is made of it. What is not known is refused, for leaving it out could mean more rights
//! than were given. No message repeats what is in it.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use belay_engine::digest::Digest;
use kube::config::AuthInfo;
use reqwest::Url;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::runtime::Reach;

/// Longest kubeconfig.
const LONGEST_BYTES: usize = 64 * 1024;

const CLUSTER_FIELDS: [&str; 6] = [
    "server",
    "certificate-authority-data",
    "tls-server-name",
    "insecure-skip-tls-verify",
    "disable-compression",
    "extensions",
];

const USER_FIELDS: [&str; 8] = [
    "token",
    "client-certificate-data",
    "client-key-data",
    "username",
    "password",
    "as",
    "as-groups",
    "extensions",
];

/// Fields that are known and refused, and what to write instead.
const REFUSED: [(&str, &str); 9] = [
    (
        "exec",
        "it runs a program (exec); write a token or a client certificate into it",
    ),
    (
        "auth-provider",
        "it uses auth-provider; write a token or a client certificate into it",
    ),
    (
        "certificate-authority",
        "it names a file (certificate-authority); write certificate-authority-data",
    ),
    (
        "client-certificate",
        "it names a file (client-certificate); write client-certificate-data",
    ),
    (
        "client-key",
        "it names a file (client-key); write client-key-data",
    ),
    ("tokenFile", "it names a file (tokenFile); write token"),
    (
        "proxy-url",
        "it names a proxy (proxy-url); Belay connects to API servers without one",
    ),
    ("as-uid", "as-uid is not supported; write as and as-groups"),
    (
        "as-user-extra",
        "as-user-extra is not supported; write as and as-groups",
    ),
];

/// What a kubeconfig says of its current context.
pub(super) struct Kubeconfig {
    /// For a client.
    pub(super) config: kube::Config,
    /// Digest of where its API server is, and of the authority of its certificate.
    pub(super) address: String,
}

impl fmt::Debug for Kubeconfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kubeconfig")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

type Fields = Map<String, Value>;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "current-context", default)]
    current_context: Option<String>,
    #[serde(default)]
    contexts: Option<Vec<Fields>>,
    #[serde(default)]
    clusters: Option<Vec<Fields>>,
    #[serde(default)]
    users: Option<Vec<Fields>>,
}

impl Kubeconfig {
    /// Reads a kubeconfig, or says what to write instead. An address that `reach` leaves out is refused.
    pub(super) fn read(text: &[u8], reach: Reach) -> Result<Self, String> {
        if text.len() > LONGEST_BYTES {
            return Err(format!("it is longer than {} KiB", LONGEST_BYTES / 1024));
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not text".to_owned())?;
        // What the parser says may quote it.
        let mut documents = serde_saphyr::from_multiple::<File>(text).map_err(|_| {
            "it can't be read; write YAML as kubectl config view --raw --flatten does".to_owned()
        })?;
        let file = match (documents.pop(), documents.is_empty()) {
            (Some(file), true) => file,
            (None, _) => return Err("it is empty".to_owned()),
            (Some(_), false) => return Err("it has several documents; write one".to_owned()),
        };
        let context = file
            .current_context
            .filter(|name| !name.is_empty())
            .ok_or("it has no current-context; name one of its contexts there")?;
        let context = named(file.contexts, "context", &context)
            .ok_or("it lacks the context that current-context names")?;
        let part = |field: &str| string(&context, field).unwrap_or_default();
        let cluster = named(file.clusters, "cluster", &part("cluster"))
            .ok_or("it lacks the cluster of its current context")?;
        let user = named(file.users, "user", &part("user"))
            .ok_or("it lacks the user of its current context")?;
        checked(&cluster, &CLUSTER_FIELDS)?;
        checked(&user, &USER_FIELDS)?;
        Self::of(&cluster, auth(&user)?, reach)
    }

    fn of(cluster: &Fields, auth_info: AuthInfo, reach: Reach) -> Result<Self, String> {
        if cluster.get("insecure-skip-tls-verify").is_some_and(is_set) {
            return Err("it does not look at the server's certificate (insecure-skip-tls-verify); write certificate-authority-data".to_owned());
        }
        let server = string(cluster, "server").ok_or("its cluster has no server")?;
        let url = address(&server)?;
        let judged = reach.check(&url);
        judged.map_err(|refused| format!("its server may not be asked: {}", refused.reason()))?;
        let uri = url.as_str().parse().map_err(|_| NO_ADDRESS.to_owned())?;
        let authority = string(cluster, "certificate-authority-data");
        let authority = authority.map(|data| certificates(&data)).transpose()?;
        let address = Digest::of(&json!([url.as_str(), authority])).to_string();
        let mut config = kube::Config::new(uri);
        config.root_cert = authority;
        config.tls_server_name = string(cluster, "tls-server-name");
        config.auth_info = auth_info;
        config.default_retry = false;
        Ok(Self { config, address })
    }
}

const NO_ADDRESS: &str = "its server is no address; write https://host:port";

fn address(server: &str) -> Result<Url, String> {
    let url = Url::parse(server).map_err(|_| NO_ADDRESS.to_owned())?;
    if url.scheme() != "https" {
        return Err("its server is not reached by https; write https://host:port".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("its server has a user name or password in it; write token, or username and password of the user".to_owned());
    }
    if url.host_str().is_none() || url.query().is_some() || url.fragment().is_some() {
        return Err(NO_ADDRESS.to_owned());
    }
    Ok(url)
}

/// The certificates in PEM, in base64 as kubeconfigs have them.
fn certificates(data: &str) -> Result<Vec<Vec<u8>>, String> {
    let broken =
        || "certificate-authority-data is no certificate in PEM, encoded in base64".to_owned();
    let pem = STANDARD.decode(data.trim()).map_err(|_| broken())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let found = found.map_err(|_| broken())?;
    if found.is_empty() {
        return Err(broken());
    }
    Ok(found.into_iter().map(|one| one.to_vec()).collect())
}

/// Who asks, from what stands in the kubeconfig alone.
fn auth(user: &Fields) -> Result<AuthInfo, String> {
    let text = |field: &str| string(user, field).map(|text| text.trim().to_owned());
    let (token, username, password) = (text("token"), text("username"), string(user, "password"));
    let (certificate, key) = (text("client-certificate-data"), text("client-key-data"));
    if certificate.is_some() != key.is_some() {
        return Err("client-certificate-data and client-key-data go together".to_owned());
    }
    if username.is_some() != password.is_some() {
        return Err("username and password go together".to_owned());
    }
    if token.is_some() && username.is_some() {
        return Err("its user has a token and a password; write one of them".to_owned());
    }
    if token.is_none() && certificate.is_none() && username.is_none() {
        return Err("its user has no token, client certificate or password".to_owned());
    }
    let acts_as = text("as");
    let groups = groups(user)?;
    if acts_as.is_none() && groups.is_some() {
        return Err("as-groups goes with as".to_owned());
    }
    Ok(AuthInfo {
        token: token.map(Into::into),
        username,
        password: password.map(Into::into),
        client_certificate_data: certificate,
        client_key_data: key.map(Into::into),
        impersonate: acts_as,
        impersonate_groups: groups,
        ..AuthInfo::default()
    })
}

fn groups(user: &Fields) -> Result<Option<Vec<String>>, String> {
    let Some(groups) = user.get("as-groups").filter(|value| is_set(value)) else {
        return Ok(None);
    };
    let groups = serde_json::from_value(groups.clone());
    groups.map_err(|_| "as-groups is no list of names".to_owned())
}

/// The part of the entry with this name.
fn named(entries: Option<Vec<Fields>>, part: &str, name: &str) -> Option<Fields> {
    let mut entries = entries.into_iter().flatten();
    let mut entry =
        entries.find(|entry| entry.get("name").and_then(Value::as_str) == Some(name))?;
    match entry.remove(part) {
        Some(Value::Object(fields)) => Some(fields),
        _ => None,
    }
}

/// Refuses what a kubeconfig may not have, and what is not known or not of its kind.
fn checked(fields: &Fields, known: &[&str]) -> Result<(), String> {
    for (field, value) in fields.iter().filter(|(_, value)| is_set(value)) {
        if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| refused == field) {
            return Err((*why).to_owned());
        }
        if !known.contains(&field.as_str()) {
            return Err(format!(
                "it has a field that Belay does not know beside these: {}",
                known.join(", ")
            ));
        }
        let is_text = ![
            "extensions",
            "as-groups",
            "insecure-skip-tls-verify",
            "disable-compression",
        ]
        .contains(&field.as_str());
        if is_text && !value.is_string() {
            return Err(format!("{field} is no text; put it in quotes"));
        }
    }
    Ok(())
}

/// Whether a field says anything.
fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    }
}

fn string(fields: &Fields, field: &str) -> Option<String> {
    let text = fields.get(field).and_then(Value::as_str)?;
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests;
