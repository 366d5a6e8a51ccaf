//! The repository of a Release, with what Secrets hold for it now: login, key, certificates, and the proxy on the way.
//!
//! Invariant: no error says what a Secret holds, only what is missing in it.

use belay_api::release::Git;
use belay_source::{Credential, Proxy, Repository, RepositoryUrl, SourceError, Tls, Transport};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, ResourceExt as _};

use super::{
    Request, Tools,
    app::{App, Token, Way},
    secrets::{Changes, Read},
    trouble::Trouble,
};
use crate::client::bounded;

/// A repository, and until when what was read for it is good.
pub(super) struct Opened {
    pub(super) repository: Repository,
    /// Whose token the login is.
    pub(super) app: Option<App>,
    /// Set for a login that ends.
    pub(super) until: Option<Timestamp>,
    /// The Secrets that it was read from.
    pub(super) read: Vec<Read>,
}

impl Tools {
    /// The repository, with what the Secrets hold now.
    pub(super) async fn repository(&self, request: &Request) -> Result<Repository, Trouble> {
        self.open(request).await.map(|opened| opened.repository)
    }

    /// The repository, and until when its login is good.
    pub(super) async fn open(&self, request: &Request) -> Result<Opened, Trouble> {
        let opened = self.opened(request.git()?, request.namespace()).await;
        opened.map_err(Trouble::unavailable)
    }

    async fn opened(&self, git: &Git, namespace: &str) -> Result<Opened, String> {
        let url = RepositoryUrl::parse(&git.url).map_err(|error| error.to_string())?;
        let way = match &git.proxy_secret_ref {
            Some(reference) => Some(self.way(namespace, &reference.name).await?),
            None => None,
        };
        let mut opened = Opened {
            repository: Repository::anonymous(url.clone()),
            app: None,
            until: None,
            read: way.iter().map(|(_, _, read)| read.clone()).collect(),
        };
        if let Some(reference) = &git.secret_ref {
            let needs = match url.transport() {
                Transport::Ssh => "create it with identity (a private key) and known_hosts",
                _ => "create it with username and password, or bearerToken",
            };
            let secret = secret(&self.client, namespace, &reference.name, needs).await?;
            let identity = format!("{namespace}/{}", reference.name);
            let about = |why| format!("Secret {identity}: {why}");
            let app = App::of(&secret).map_err(about)?;
            opened.app = app.map(|app| app.through(way.as_ref().map(|(way, ..)| way.clone())));
            let token = match &opened.app {
                Some(app) => Some(self.apps.token(app).await.map_err(about)?),
                None => None,
            };
            opened.read.push(read(&secret));
            opened.until = token.as_ref().map(|token| token.until);
            opened.repository = enter(url, &identity, &secret, token.as_ref())?;
        }
        if let Some((_, proxy, _)) = way {
            let led = opened.repository.with_proxy(proxy);
            opened.repository = led.map_err(|error| error.to_string())?;
        }
        Ok(opened)
    }

    async fn way(&self, namespace: &str, name: &str) -> Result<(Way, Proxy, Read), String> {
        let needs = "create it with address (http://host:port), and username and password if the proxy wants them";
        let secret = secret(&self.client, namespace, name, needs).await?;
        let (way, proxy) =
            proxy(&secret).map_err(|error| format!("Secret {namespace}/{name}: {error}"))?;
        Ok((way, proxy, read(&secret)))
    }

    /// Word of changes of the Secrets on the way to the repository.
    pub(super) fn way_changes(&self, request: &Request) -> Changes {
        let git = request.git().ok();
        let secrets = git.map(|git| [&git.secret_ref, &git.proxy_secret_ref]);
        let secrets = secrets.into_iter().flatten().flatten();
        let names = secrets.map(|reference| &*reference.name);
        self.secrets.changes(request.namespace(), names)
    }
}

fn read(secret: &Secret) -> Read {
    Read {
        name: secret.name_any(),
        version: secret.resource_version().unwrap_or_default(),
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
pub(super) fn value(secret: &Secret, key: &str) -> Option<String> {
    let bytes = secret.data.as_ref()?.get(key)?;
    let text = std::str::from_utf8(&bytes.0).ok()?;
    Some(text.trim_end_matches(['\n', '\r']).to_owned())
}

/// The repository as one who holds the Secret, and an App's token if it is about one, sees it.
fn enter(
    url: RepositoryUrl,
    identity: &str,
    secret: &Secret,
    token: Option<&Token>,
) -> Result<Repository, String> {
    let about = |error: SourceError| format!("Secret {identity}: {error}");
    let tls = tls(secret).map_err(about)?;
    let credential = match token {
        // The name is GitHub's word for it.
        Some(token) => Credential::basic(identity, "x-access-token", &token.text).map(Some),
        None => credential(identity, secret, url.transport()),
    };
    let credential = credential.map_err(about)?;
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
        "Secret {identity} has neither username and password nor bearerToken (nor a GitHub App, nor certificates: ca.crt, tls.crt and tls.key)"
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

fn proxy(secret: &Secret) -> Result<(Way, Proxy), SourceError> {
    let value = |key: &str| value(secret, key);
    let way = Way {
        address: value("address").unwrap_or_default(),
        login: value("username").zip(value("password")),
    };
    let login = way
        .login
        .as_ref()
        .map(|(user, password)| (user.as_str(), password.as_str()));
    let proxy = Proxy::new(&way.address, login)?;
    Ok((way, proxy))
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
        enter(
            RepositoryUrl::parse(url).unwrap(),
            "a/b",
            &secret(pairs),
            None,
        )
    }

    #[test]
    fn a_secret_holds_a_password_or_a_token_or_certificates() {
        let https = |pairs: &[(&str, &str)]| open("https://git.example.com/a", pairs);
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
        let ssh = |pairs: &[(&str, &str)]| open("git@git.example.com:a", pairs);
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
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("http://host:port"), "{error}");
    }
}
