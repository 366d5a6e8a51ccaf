//! Who asks.
//!
//! Invariant: secrets are never shown by `Debug`, never put on a command line, and never into a file that outlives a run.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::SourceError;
use crate::ssh::SshKey;
use crate::text::has_control;

/// A secret for a Git server, with the identity under which its data is cached.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    pub(crate) identity: Arc<str>,
    pub(crate) login: Login,
    /// What must not be shown.
    pub(crate) secrets: Arc<[String]>,
}

/// How a server is told who asks.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Login {
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
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credential")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Repository, RepositoryUrl};

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
