//! Who asks, and for which repository.
//!
//! Invariant: secrets are never shown by `Debug`, never put on a command line, never into a file that outlives a run, and
//! never sent in clear text over a network unless that was asked for by name.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::SourceError;
use crate::ssh::SshKey;
use crate::text::has_control;
use crate::url::{RepositoryUrl, Transport};

/// A secret for a Git server, with the identity under which its data is cached.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    identity: Arc<str>,
    login: Login,
    secrets: Arc<[String]>,
}

/// How a server is told who asks.
#[derive(Clone, PartialEq, Eq)]
enum Login {
    /// By HTTP, the value of the `Authorization` header.
    Header(Arc<str>),
    /// By SSH.
    Key(Arc<SshKey>),
}

impl Credential {
    /// User name and password.
    ///
    /// `identity` names where the secret comes from, for example `namespace/secret`. Repositories read under different
    /// identities never share a local copy, and a changed password keeps the copy of its identity.
    pub fn basic(identity: &str, username: &str, password: &str) -> Result<Self, SourceError> {
        if username.contains(':') {
            return Err(SourceError::refused(
                "the user name",
                "it holds a colon, which HTTP does not allow",
            ));
        }
        let encoded = STANDARD.encode(format!("{username}:{password}"));
        let secrets = vec![password.to_owned(), encoded.clone()];
        Self::new(
            identity,
            format!("Basic {encoded}"),
            secrets,
            &[username, password],
        )
    }

    /// A bearer token. `identity` as for [`Credential::basic`].
    pub fn bearer(identity: &str, token: &str) -> Result<Self, SourceError> {
        Self::new(
            identity,
            format!("Bearer {token}"),
            vec![token.to_owned()],
            &[token],
        )
    }

    /// A private key for SSH, in PEM, with its passphrase if it is encrypted, and the keys of the servers that it may be used with.
    /// `identity` as for [`Credential::basic`].
    pub fn ssh(
        identity: &str,
        private_key: &str,
        passphrase: Option<&str>,
        known_hosts: &str,
    ) -> Result<Self, SourceError> {
        let key = SshKey::new(private_key, passphrase, known_hosts)?;
        let secrets = key.secrets();
        let parts: Vec<&str> = passphrase.into_iter().collect();
        Self::of(identity, Login::Key(Arc::new(key)), secrets, &parts)
    }

    fn new(
        identity: &str,
        header: String,
        secrets: Vec<String>,
        parts: &[&str],
    ) -> Result<Self, SourceError> {
        Self::of(identity, Login::Header(header.into()), secrets, parts)
    }

    fn of(
        identity: &str,
        login: Login,
        secrets: Vec<String>,
        parts: &[&str],
    ) -> Result<Self, SourceError> {
        if identity.is_empty() {
            return Err(SourceError::refused(
                "a credential without identity",
                "name the Secret it comes from",
            ));
        }
        if parts.iter().any(|part| has_control(part)) {
            let instead =
                "it holds a line break or another control character; store it without one";
            return Err(SourceError::refused("the credential", instead));
        }
        if secrets.iter().any(String::is_empty) {
            return Err(SourceError::refused(
                "the credential",
                "its password or token is empty; fill the Secret",
            ));
        }
        Ok(Self {
            identity: identity.into(),
            login,
            secrets: secrets.into(),
        })
    }

    /// Replaces every secret in foreign text.
    fn scrub(&self, text: &str) -> String {
        self.secrets.iter().fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "***")
        })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// A repository as one credential sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    url: RepositoryUrl,
    credential: Option<Credential>,
}

impl Repository {
    /// A repository that anyone may read.
    pub fn anonymous(url: RepositoryUrl) -> Self {
        Self {
            url,
            credential: None,
        }
    }

    /// A repository read with a credential, which must not travel in clear text over a network.
    pub fn with_credential(
        url: RepositoryUrl,
        credential: Credential,
    ) -> Result<Self, SourceError> {
        match (url.transport(), &credential.login) {
            (Transport::Https | Transport::HttpLoopback, Login::Header(_))
            | (Transport::Ssh, Login::Key(_)) => Ok(Self {
                url,
                credential: Some(credential),
            }),
            (Transport::Ssh, Login::Header(_)) => Err(SourceError::refused(
                format!("a password or token for {url}"),
                "SSH takes a key; put identity (a private key) and known_hosts into the Secret, or write the https address",
            )),
            (
                Transport::Https | Transport::HttpLoopback | Transport::HttpCleartext,
                Login::Key(_),
            ) => Err(SourceError::refused(
                format!("an SSH key for {url}"),
                "write the ssh address, or put a password or token into the Secret",
            )),
            (Transport::HttpCleartext, Login::Header(_)) => Err(SourceError::refused(
                format!("sending a credential to {url} in clear text"),
                "use the https address",
            )),
            (Transport::Local, _) => Err(SourceError::refused(
                format!("a credential for {url}"),
                "local directories take none; drop it",
            )),
        }
    }

    /// As [`Repository::with_credential`], and accepts that anyone on the way can read the credential.
    pub fn with_credential_in_cleartext(
        url: RepositoryUrl,
        credential: Credential,
    ) -> Result<Self, SourceError> {
        let is_header = matches!(credential.login, Login::Header(_));
        if url.transport() == Transport::HttpCleartext && is_header {
            return Ok(Self {
                url,
                credential: Some(credential),
            });
        }
        Self::with_credential(url, credential)
    }

    /// Where it is.
    pub fn url(&self) -> &RepositoryUrl {
        &self.url
    }

    /// The credential to send.
    pub(crate) fn credential(&self) -> Option<&Credential> {
        self.credential.as_ref()
    }

    /// The value of the `Authorization` header, where one is sent.
    pub(crate) fn authorization(&self) -> Option<&str> {
        match &self.credential.as_ref()?.login {
            Login::Header(header) => Some(header),
            Login::Key(_) => None,
        }
    }

    /// The key for SSH.
    pub(crate) fn ssh_key(&self) -> Option<&SshKey> {
        match &self.credential.as_ref()?.login {
            Login::Header(_) => None,
            Login::Key(key) => Some(key),
        }
    }

    /// What decides whether two repositories share a local copy and a look at the server.
    pub(crate) fn key(&self) -> RepositoryKey {
        let identity = self
            .credential
            .as_ref()
            .map(|credential| Arc::clone(&credential.identity));
        RepositoryKey {
            url: self.url.clone(),
            identity,
        }
    }

    /// Foreign text without this repository's secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.credential
            .as_ref()
            .map_or_else(|| text.to_owned(), |credential| credential.scrub(text))
    }
}

/// URL and identity of the credential.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RepositoryKey {
    pub(crate) url: RepositoryUrl,
    pub(crate) identity: Option<Arc<str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> RepositoryUrl {
        RepositoryUrl::parse(text).unwrap()
    }

    #[test]
    fn credentials_stay_off_networks_in_clear_text_unless_asked_for() {
        let secret = Credential::basic("shop/git", "bot", "hunter2").unwrap();
        let plain = url("http://git.example.com/a");
        assert!(Repository::with_credential(plain.clone(), secret.clone()).is_err());
        assert!(Repository::with_credential_in_cleartext(plain, secret.clone()).is_ok());
        for safe in ["https://git.example.com/a", "http://127.0.0.1:1/a"] {
            assert!(Repository::with_credential(url(safe), secret.clone()).is_ok());
        }
        assert!(Repository::with_credential_in_cleartext(url("/srv/git"), secret).is_err());
    }

    #[test]
    fn secrets_do_not_show() {
        let secret = Credential::basic("shop/git", "bot", "hunter2").unwrap();
        let repository =
            Repository::with_credential(url("https://git.example.com/a"), secret).unwrap();
        assert!(!format!("{repository:?}").contains("hunter2"));
        let encoded = STANDARD.encode("bot:hunter2");
        assert!(!format!("{repository:?}").contains(&encoded));
        assert_eq!(
            repository.scrub(&format!("x hunter2 y {encoded}")),
            "x *** y ***"
        );
    }

    #[test]
    fn header_injection_is_refused() {
        assert!(Credential::bearer("a/b", "token\r\nX-Evil: 1").is_err());
        assert!(Credential::basic("a/b", "us:er", "x").is_err());
        assert!(Credential::basic("a/b", "user\n", "x").is_err());
        assert!(Credential::bearer("a/b", "").is_err());
    }
}
