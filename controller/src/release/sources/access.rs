//! The repository of a Release, with what Secrets hold for it now: login, key, certificates, and the proxy on the way.
//!
//! Invariant: no error says what a Secret holds, only what is missing in it.

use belay_source::{Credential, Proxy, Repository, RepositoryUrl, SourceError, Tls, Transport};
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};

use super::Request;
use crate::client::bounded;

impl Request {
    /// The repository, with what the Secrets hold now.
    pub(super) async fn repository(&self, client: &Client) -> Result<Repository, String> {
        let git = self.git();
        let url = RepositoryUrl::parse(&git.url).map_err(|error| error.to_string())?;
        let transport = url.transport();
        let mut repository = Repository::anonymous(url.clone());
        if let Some(reference) = &git.secret_ref {
            let needs = match transport {
                Transport::Ssh => "create it with identity (a private key) and known_hosts",
                _ => "create it with username and password, or bearerToken",
            };
            let secret = secret(client, self.namespace(), &reference.name, needs).await?;
            let identity = format!("{}/{}", self.namespace(), reference.name);
            repository = opened(url, &identity, &secret)?;
        }
        if let Some(reference) = &git.proxy_secret_ref {
            let needs = "create it with address (http://host:port), and username and password if the proxy wants them";
            let secret = secret(client, self.namespace(), &reference.name, needs).await?;
            let proxy = proxy(&secret).and_then(|proxy| repository.with_proxy(proxy));
            let name = &reference.name;
            repository =
                proxy.map_err(|error| format!("Secret {}/{name}: {error}", self.namespace()))?;
        }
        Ok(repository)
    }
}

/// A Secret by its name. `needs` says what to do when there is none.
pub(super) async fn secret(
    client: &Client,
    namespace: &str,
    name: &str,
    needs: &str,
) -> Result<Secret, String> {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    bounded("reading a Secret", api.get_opt(name))
        .await
        .map_err(|error| format!("Secret {namespace}/{name}: {error}"))?
        .ok_or_else(|| format!("Secret {namespace}/{name} does not exist; {needs}"))
}

/// A text in a Secret. A line break at its end is an editor's doing, never part of a credential.
fn value(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    let text = std::str::from_utf8(&bytes.0).ok()?;
    Some(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The repository as one who holds the Secret sees it.
fn opened(url: RepositoryUrl, identity: &str, secret: &Secret) -> Result<Repository, String> {
    let about = |error: SourceError| format!("Secret {identity}: {error}");
    let tls = tls(secret).map_err(about)?;
    let credential = credential(identity, secret, url.transport()).map_err(about)?;
    let repository = match credential {
        Some(credential) => Repository::with_credential(url, credential).map_err(about)?,
        None if tls.is_none() => return Err(nothing(identity, url.transport())),
        None => Repository::anonymous(url),
    };
    match tls {
        Some(tls) => repository.with_tls(identity, tls).map_err(about),
        None => Ok(repository),
    }
}

fn nothing(identity: &str, transport: Transport) -> String {
    if transport == Transport::Ssh {
        return format!(
            "Secret {identity} has no key for SSH; put the private key under identity, and the server's keys under known_hosts"
        );
    }
    format!(
        "Secret {identity} has neither username and password nor bearerToken (nor certificates: ca.crt, tls.crt and tls.key)"
    )
}

fn credential(
    identity: &str,
    secret: &Secret,
    transport: Transport,
) -> Result<Option<Credential>, SourceError> {
    let value = |key: &str| value(secret, key);
    if transport == Transport::Ssh {
        // The second name is that of Secrets of Kubernetes' own type for keys.
        let Some(key) = value("identity").or_else(|| value("ssh-privatekey")) else {
            return Ok(None);
        };
        let hosts = value("known_hosts").unwrap_or_default();
        return Credential::ssh(identity, &key, value("password").as_deref(), &hosts).map(Some);
    }
    match (value("bearerToken"), value("username"), value("password")) {
        (Some(token), ..) => Credential::bearer(identity, &token).map(Some),
        (None, Some(username), Some(password)) => {
            Credential::basic(identity, &username, &password).map(Some)
        }
        _ => Ok(None),
    }
}

fn tls(secret: &Secret) -> Result<Option<Tls>, SourceError> {
    let value = |key: &str| value(secret, key);
    // The second name is Flux's older one.
    let authority = value("ca.crt").or_else(|| value("caFile"));
    let client = match (value("tls.crt"), value("tls.key")) {
        (Some(own), Some(key)) => Some((own, key)),
        (None, None) => None,
        _ => {
            return Err(SourceError::Refused {
                what: "the certificate".to_owned(),
                instead: "tls.crt and tls.key go together; put both into the Secret".to_owned(),
            });
        }
    };
    if authority.is_none() && client.is_none() {
        return Ok(None);
    }
    let client = client
        .as_ref()
        .map(|(own, key)| (own.as_str(), key.as_str()));
    Tls::new(authority.as_deref(), client).map(Some)
}

fn proxy(secret: &Secret) -> Result<Proxy, SourceError> {
    let value = |key: &str| value(secret, key);
    let (username, password) = (value("username"), value("password"));
    let login = username.as_deref().zip(password.as_deref());
    Proxy::new(&value("address").unwrap_or_default(), login)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::ByteString;

    use super::*;

    fn secret(pairs: &[(&str, &str)]) -> Secret {
        let data = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), ByteString(value.as_bytes().to_vec())));
        Secret {
            data: Some(data.collect()),
            ..Secret::default()
        }
    }

    fn open(url: &str, pairs: &[(&str, &str)]) -> Result<Repository, String> {
        opened(RepositoryUrl::parse(url).unwrap(), "a/b", &secret(pairs))
    }

    #[test]
    fn a_secret_holds_a_password_or_a_token_or_certificates() {
        let https = |pairs| open("https://git.example.com/a", pairs);
        assert!(https(&[("username", "u"), ("password", "p\n")]).is_ok());
        assert!(https(&[("bearerToken", "t")]).is_ok());
        let error = https(&[("password", "hush-hush")]).unwrap_err();
        assert!(error.contains("neither") && !error.contains("hush-hush"));
        let certificate = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----";
        let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----";
        assert!(https(&[("ca.crt", certificate)]).is_ok());
        assert!(https(&[("tls.crt", certificate), ("tls.key", key)]).is_ok());
        let error = https(&[("bearerToken", "t"), ("tls.key", key)]).unwrap_err();
        assert!(error.contains("go together"), "{error}");
        let error = open("http://git.example.com/a", &[("bearerToken", "hush-hush")]).unwrap_err();
        assert!(
            error.contains("clear text") && !error.contains("hush-hush"),
            "{error}"
        );
    }

    #[test]
    fn for_ssh_a_secret_holds_a_key_and_the_servers_keys() {
        let ssh = |pairs| open("git@git.example.com:a", pairs);
        let key = "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----";
        let hosts = ("known_hosts", "git.example.com ssh-ed25519 AAAA");
        assert!(ssh(&[("identity", key), hosts]).is_ok());
        assert!(ssh(&[("ssh-privatekey", key), hosts]).is_ok());
        assert!(
            ssh(&[("identity", key)])
                .unwrap_err()
                .contains("known_hosts")
        );
        let error = ssh(&[("username", "u"), ("password", "hush-hush")]).unwrap_err();
        assert!(error.contains("identity") && !error.contains("hush-hush"));
    }

    #[test]
    fn a_proxys_secret_holds_an_address() {
        assert!(proxy(&secret(&[("address", "http://proxy:3128")])).is_ok());
        let error = proxy(&secret(&[("username", "u")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("http://host:port"), "{error}");
    }
}
