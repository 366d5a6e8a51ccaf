//! A repository as one credential sees it, and the way to it.
//!
//! Invariant: a login is never sent in clear text over a network unless that was asked for by name.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::SourceError;
use crate::credential::{Credential, Login};
use crate::ssh::SshKey;
use crate::text::hex;
use crate::tls::{Proxy, Tls};
use crate::url::{RepositoryUrl, Transport};

/// A repository as one credential sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    url: RepositoryUrl,
    credential: Option<Credential>,
    /// With the name of the Secret it is from.
    tls: Option<(Arc<str>, Arc<Tls>)>,
    proxy: Option<Arc<Proxy>>,
    /// Who sees artifacts of a registry: the name of the Secret with the login.
    visitor: Option<Arc<str>>,
}

impl Repository {
    /// A repository that anyone may read.
    pub fn anonymous(url: RepositoryUrl) -> Self {
        Self {
            url,
            credential: None,
            tls: None,
            proxy: None,
            visitor: None,
        }
    }

    /// Artifacts of a registry, as one login sees them. `identity` as for [`Credential::basic`]; none for everybody.
    pub fn artifacts(url: RepositoryUrl, identity: Option<&str>) -> Result<Self, SourceError> {
        if url.transport() != Transport::Registry {
            return Err(SourceError::refused(
                format!("reading {url} as artifacts"),
                "write oci://host/path",
            ));
        }
        Ok(Self {
            visitor: identity.map(Into::into),
            ..Self::anonymous(url)
        })
    }

    /// A repository read with a credential, which must not travel in clear text over a network.
    pub fn with_credential(
        url: RepositoryUrl,
        credential: Credential,
    ) -> Result<Self, SourceError> {
        match (url.transport(), &credential.login) {
            (Transport::Https | Transport::HttpLoopback, Login::Header(_))
            | (Transport::Ssh, Login::Key(_)) => Ok(Self {
                credential: Some(credential),
                ..Self::anonymous(url)
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
            (Transport::Registry, _) => Err(SourceError::refused(
                format!("a credential of git for {url}"),
                "registries have their own",
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
                credential: Some(credential),
                ..Self::anonymous(url)
            });
        }
        Self::with_credential(url, credential)
    }

    /// As it is, with certificates. `identity` as for [`Credential::basic`].
    pub fn with_tls(self, identity: &str, tls: Tls) -> Result<Self, SourceError> {
        if self.url.transport() != Transport::Https {
            return Err(SourceError::refused(
                format!("certificates for {}", self.url),
                "only https addresses have any; write the https address, or take ca.crt, tls.crt and tls.key out of the Secret",
            ));
        }
        Ok(Self {
            tls: Some((identity.into(), Arc::new(tls))),
            ..self
        })
    }

    /// As it is, reached through a proxy.
    pub fn with_proxy(self, proxy: Proxy) -> Result<Self, SourceError> {
        if matches!(
            self.url.transport(),
            Transport::Ssh | Transport::Local | Transport::Registry
        ) {
            return Err(SourceError::refused(
                format!("a proxy for {}", self.url),
                "only https addresses are reached through one; write the https address, or drop the proxy",
            ));
        }
        Ok(Self {
            proxy: Some(Arc::new(proxy)),
            ..self
        })
    }

    /// Another repository of the same server, as the same credential sees it. The caller has checked that it is the same.
    pub(crate) fn at(&self, url: RepositoryUrl) -> Self {
        Self {
            url,
            ..self.clone()
        }
    }

    /// A repository of another server, as anyone sees it, reached the same way.
    pub(crate) fn elsewhere(&self, url: RepositoryUrl) -> Self {
        let is_by_http = !matches!(url.transport(), Transport::Ssh | Transport::Local);
        Self {
            proxy: self.proxy.clone().filter(|_| is_by_http),
            ..Self::anonymous(url)
        }
    }

    /// Where it is.
    pub fn url(&self) -> &RepositoryUrl {
        &self.url
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

    /// The certificates.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref().map(|(_, tls)| &**tls)
    }

    /// The proxy on the way.
    pub(crate) fn proxy(&self) -> Option<&Proxy> {
        self.proxy.as_deref()
    }

    /// Whether a request tells who asks, so that it may go to this server alone.
    pub(crate) fn identifies(&self) -> bool {
        self.credential.is_some() || self.tls().is_some_and(Tls::identifies)
    }

    /// What decides whether two repositories share a local copy and a look at the server.
    pub(crate) fn key(&self) -> RepositoryKey {
        let login = self
            .credential
            .as_ref()
            .map(|credential| &credential.identity);
        let identity = login
            .or(self.tls.as_ref().map(|(identity, _)| identity))
            .or(self.visitor.as_ref());
        RepositoryKey {
            url: self.url.clone(),
            identity: identity.cloned(),
            proxy: self.proxy().map(|proxy| proxy.address().into()),
        }
    }

    /// Foreign text without this repository's secrets.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let login = self
            .credential
            .iter()
            .flat_map(|known| known.secrets.iter().cloned());
        let way = self.proxy().map(Proxy::secrets).unwrap_or_default();
        login.chain(way).fold(text.to_owned(), |text, secret| {
            text.replace(secret.as_str(), "***")
        })
    }
}

/// URL, identity of the credential, and the way there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RepositoryKey {
    pub(crate) url: RepositoryUrl,
    pub(crate) identity: Option<Arc<str>>,
    pub(crate) proxy: Option<Arc<str>>,
}

impl RepositoryKey {
    /// The same for the same repository, also in another process; different for different ones.
    pub(crate) fn digest(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(self.url.as_str());
        hash.update([0]);
        hash.update(self.identity.as_deref().unwrap_or_default());
        if let Some(proxy) = &self.proxy {
            hash.update([0]);
            hash.update(&**proxy);
        }
        hex(hash.finalize().into_iter().take(16))
    }
}
