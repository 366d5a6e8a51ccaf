//! Certificates for HTTPS, and a proxy on the way.
//!
//! Invariant: keys and passwords are shown by no `Debug`, are in no argument, and reach git in files of one run or in its environment.
//! A certificate authority that is given replaces those of the system.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use url::Url;

use crate::SourceError;
use crate::ssh::write_private;
use crate::text::has_control;

/// What a server's certificate is checked against, and the certificate that the server is shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Tls {
    authority: Option<String>,
    client: Option<(String, String)>,
}

impl Tls {
    /// All in PEM: certificates of authorities, and a certificate with its key.
    pub fn new(authority: Option<&str>, client: Option<(&str, &str)>) -> Result<Self, SourceError> {
        let certificates = authority.into_iter().chain(client.map(|(own, _)| own));
        for certificate in certificates {
            if !certificate.contains("-----BEGIN CERTIFICATE-----") {
                return Err(SourceError::refused(
                    "a certificate",
                    "it is no certificate in PEM; put -----BEGIN CERTIFICATE----- to -----END CERTIFICATE----- into the Secret",
                ));
            }
        }
        if let Some((_, key)) = client
            && (!key.contains("PRIVATE KEY-----") || key.contains("ENCRYPTED"))
        {
            return Err(SourceError::refused(
                "the key of the certificate",
                "it is no private key in PEM, or an encrypted one; put the key into the Secret without a passphrase",
            ));
        }
        Ok(Self {
            authority: authority.map(str::to_owned),
            client: client.map(|(own, key)| (own.to_owned(), key.to_owned())),
        })
    }

    /// Whether the server is shown a certificate.
    pub(crate) fn identifies(&self) -> bool {
        self.client.is_some()
    }

    /// Writes the files for one run into `folder`, and gives the configuration that makes git use them.
    pub(crate) fn lay_out(&self, folder: &Path) -> Result<Vec<(String, OsString)>, SourceError> {
        let mut configuration = Vec::new();
        let (own, key) = self.client.as_ref().map(|(own, key)| (own, key)).unzip();
        for (name, setting, text) in [
            ("ca.crt", "http.sslCAInfo", self.authority.as_ref()),
            ("tls.crt", "http.sslCert", own),
            ("tls.key", "http.sslKey", key),
        ] {
            if let Some(text) = text {
                let path = folder.join(name);
                write_private(&path, text)?;
                configuration.push((setting.to_owned(), path.into_os_string()));
            }
        }
        Ok(configuration)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Tls").finish_non_exhaustive()
    }
}

/// An HTTP proxy that leads to the server (`CONNECT` for https addresses).
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    address: Url,
    login: Option<(String, String)>,
}

impl Proxy {
    /// `address` is `http://host:port` or `https://host:port`; `login` a user name and a password.
    pub fn new(address: &str, login: Option<(&str, &str)>) -> Result<Self, SourceError> {
        const FORM: &str = "write http://host:port, and put a user name and a password under username and password";
        let refuse = |instead: &str| Err(SourceError::refused("the proxy's address", instead));
        let Ok(url) = Url::parse(address) else {
            return refuse(FORM);
        };
        let is_plain = matches!(url.scheme(), "http" | "https")
            && url.host().is_some()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_plain || !url.username().is_empty() || url.password().is_some() {
            return refuse(FORM);
        }
        let parts = login.iter().flat_map(|(user, password)| [*user, *password]);
        if parts
            .into_iter()
            .any(|part| part.is_empty() || has_control(part))
        {
            return Err(SourceError::refused(
                "the proxy's login",
                "its user name or password is empty or holds a control character; store both plainly",
            ));
        }
        Ok(Self {
            address: url,
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
        })
    }

    /// Its address, without the login.
    pub(crate) fn address(&self) -> &str {
        self.address.as_str()
    }

    /// What git is told.
    pub(crate) fn setting(&self) -> OsString {
        let mut url = self.address.clone();
        if let Some((user, password)) = &self.login {
            // Fails only for addresses without host, which are refused above.
            let _ = url.set_username(user);
            let _ = url.set_password(Some(password));
        }
        String::from(url).into()
    }

    /// What must not be shown: the password, as it is and as it stands in an address.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let Some((_, password)) = &self.login else {
            return Vec::new();
        };
        let mut url = self.address.clone();
        let _ = url.set_password(Some(password));
        let encoded = url.password().unwrap_or_default().to_owned();
        vec![password.clone(), encoded]
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Proxy")
            .field("address", &self.address.as_str())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

    #[test]
    fn what_is_no_certificate_or_key_is_refused_without_being_repeated() {
        assert!(
            Tls::new(
                Some(CERTIFICATE),
                Some((CERTIFICATE, "-----BEGIN PRIVATE KEY-----"))
            )
            .is_ok()
        );
        for (authority, client) in [
            (Some("hush-hush"), None),
            (None, Some(("hush-hush", "-----BEGIN PRIVATE KEY-----"))),
            (None, Some((CERTIFICATE, "hush-hush"))),
            (
                None,
                Some((
                    CERTIFICATE,
                    "-----BEGIN ENCRYPTED PRIVATE KEY-----hush-hush",
                )),
            ),
        ] {
            let error = Tls::new(authority, client).err().unwrap().to_string();
            assert!(!error.contains("hush-hush"), "{error}");
        }
    }

    #[test]
    fn a_proxys_password_is_encoded_for_git_and_hidden_from_people() {
        let proxy =
            Proxy::new("http://proxy.example.com:3128", Some(("bot", "p@ss/word"))).unwrap();
        assert_eq!(
            proxy.setting(),
            "http://bot:p%40ss%2Fword@proxy.example.com:3128/"
        );
        assert_eq!(proxy.secrets(), ["p@ss/word", "p%40ss%2Fword"]);
        assert!(!format!("{proxy:?}").contains("word"));
        for address in [
            "socks5://proxy:1080",
            "http://bot:hunter2@proxy:3128",
            "http://proxy:3128/path",
            "proxy:3128",
            "file:///proxy",
        ] {
            let error = Proxy::new(address, None).err().unwrap().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
