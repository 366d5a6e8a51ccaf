//! Addresses of repositories, checked before any program sees them.
//!
//! Invariant: a [`RepositoryUrl`] is `https`, `http` or `file`, holds no credential, no control character and nothing
//! that `git` could take for an option or a helper (`ext::…`). It can be logged as it is.

use std::fmt;

use url::{Host, Url};

use crate::SourceError;
use crate::text::has_control;

/// The address of a Git repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryUrl(Url);

/// How bytes travel to the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Encrypted HTTP.
    Https,
    /// HTTP in clear text to this machine.
    HttpLoopback,
    /// HTTP in clear text over a network.
    HttpCleartext,
    /// A directory of this machine.
    Local,
}

impl RepositoryUrl {
    /// Checks and normalises an address: `https://…`, `http://…`, `file:///…` or an absolute path.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        const FORMS: &str =
            "write https://host/path, http://host/path, file:///path or an absolute path";
        let refuse = |instead: &str| Err(SourceError::refused("the repository URL", instead));
        if text.len() > 2048 || has_control(text) || text.contains(char::is_whitespace) {
            return refuse(
                "it is too long or holds spaces or control characters; write it plainly",
            );
        }
        if text.starts_with('/') {
            return Url::from_file_path(text).map_or_else(|()| refuse(FORMS), |url| Ok(Self(url)));
        }
        let Ok(url) = Url::parse(text) else {
            return refuse(FORMS);
        };
        match url.scheme() {
            "https" | "http" if url.host().is_some() && text.contains("://") => {}
            "file" if url.host().is_none() && text.starts_with("file:///") => {}
            "ssh" | "git" => {
                return refuse(
                    "this protocol is not supported; use the repository's https address",
                );
            }
            _ => return refuse(FORMS),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(
                "it holds a user name or password; put them into a Secret and name that",
            );
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refuse("it has a query or a fragment; write the URL without ? and #");
        }
        Ok(Self(url))
    }

    /// The normalised address. Holds no secret.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// How bytes travel to it.
    pub fn transport(&self) -> Transport {
        match (self.0.scheme(), self.0.host()) {
            ("https", _) => Transport::Https,
            ("file", _) => Transport::Local,
            (_, Some(Host::Ipv4(address))) if address.is_loopback() => Transport::HttpLoopback,
            (_, Some(Host::Ipv6(address))) if address.is_loopback() => Transport::HttpLoopback,
            (_, Some(Host::Domain("localhost"))) => Transport::HttpLoopback,
            _ => Transport::HttpCleartext,
        }
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_addresses_are_taken_and_normalised() {
        for (text, normal, transport) in [
            (
                "https://git.example.com/shop.git",
                "https://git.example.com/shop.git",
                Transport::Https,
            ),
            (
                "HTTPS://Git.Example.com:443/a",
                "https://git.example.com/a",
                Transport::Https,
            ),
            (
                "http://127.0.0.1:3000/a",
                "http://127.0.0.1:3000/a",
                Transport::HttpLoopback,
            ),
            ("http://[::1]/a", "http://[::1]/a", Transport::HttpLoopback),
            (
                "http://git.example.com/a",
                "http://git.example.com/a",
                Transport::HttpCleartext,
            ),
            (
                "http://localhost.example.com/a",
                "http://localhost.example.com/a",
                Transport::HttpCleartext,
            ),
            ("/srv/git/shop", "file:///srv/git/shop", Transport::Local),
            (
                "file:///srv/git/shop",
                "file:///srv/git/shop",
                Transport::Local,
            ),
        ] {
            let url = RepositoryUrl::parse(text).unwrap();
            assert_eq!(
                (url.as_str(), url.transport()),
                (normal, transport),
                "{text}"
            );
        }
    }

    #[test]
    fn dangerous_and_unsupported_addresses_are_refused_without_repeating_them() {
        for text in [
            "ext::sh -c evil",
            "ext::sh%20-c%20evil",
            "--upload-pack=evil",
            "-oProxyCommand=evil",
            "https://user:hunter2@git.example.com/a",
            "https://hunter2@git.example.com/a",
            "https://git.example.com/a?token=hunter2",
            "https://git.example.com/a#x",
            "https://git.example.com/a\nb",
            "git@git.example.com:shop.git",
            "ssh://git@git.example.com/shop.git",
            "file://host/share",
            "file:relative",
            "https:git.example.com/a",
            "relative/path",
            "fd::17/foo",
            "",
        ] {
            let error = RepositoryUrl::parse(text).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
