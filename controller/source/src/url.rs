//! Addresses of repositories, checked before any program sees them.
//!
//! Invariant: a [`RepositoryUrl`] is `https`, `http`, `ssh` or `file`, holds no credential (a user name for SSH is none), no control character and nothing
//! that `git` could take for an option or a helper (`ext::…`). It can be logged as it is.

use std::fmt;

use url::{Host, Url};

use crate::SourceError;
use crate::text::has_control;

/// The address of a Git repository.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryUrl {
    text: Box<str>,
    transport: Transport,
}

/// How bytes travel to the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// Encrypted HTTP.
    Https,
    /// HTTP in clear text to this machine.
    HttpLoopback,
    /// HTTP in clear text over a network.
    HttpCleartext,
    /// SSH.
    Ssh,
    /// A directory of this machine.
    Local,
    /// No Git at all: artifacts of an OCI registry.
    Registry,
}

const FORMS: &str = "write https://host/path, ssh://user@host/path, user@host:path, http://host/path, file:///path or an absolute path";

impl RepositoryUrl {
    /// Checks and normalises an address: `https://…`, `http://…`, `ssh://user@host/path`, `user@host:path`, `file:///…` or an absolute
    /// path.
    pub fn parse(text: &str) -> Result<Self, SourceError> {
        if text.len() > 2048 || has_control(text) || text.contains(char::is_whitespace) {
            return refuse(
                "it is too long or holds spaces or control characters; write it plainly",
            );
        }
        if text.starts_with('/') {
            return match Url::from_file_path(text) {
                Ok(url) => Ok(Self::of(&url, Transport::Local)),
                Err(()) => refuse(FORMS),
            };
        }
        if !text.contains("://") {
            return scp_like(text);
        }
        let Ok(url) = Url::parse(text) else {
            return refuse(FORMS);
        };
        let transport = match url.scheme() {
            "https" if url.host().is_some() => Transport::Https,
            "http" if url.host().is_some() => http(&url),
            "ssh" => return ssh(&url),
            "file" if url.host().is_none() && text.starts_with("file:///") => Transport::Local,
            "git" => {
                return refuse(
                    "this protocol is not supported; use the repository's https or ssh address",
                );
            }
            _ => return refuse(FORMS),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return refuse(
                "it holds a user name or password; put them into a Secret and name that",
            );
        }
        plain(&url)?;
        Ok(Self::of(&url, transport))
    }

    /// The address of artifacts in a registry, `oci://host/path`. Git can't be asked about it.
    pub fn artifacts(text: &str) -> Result<Self, SourceError> {
        let url = Url::parse(text)
            .ok()
            .filter(|url| url.scheme() == "oci" && url.host().is_some() && url.path().len() > 1);
        let is_plain = |url: &Url| {
            url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        };
        match url.filter(is_plain) {
            Some(url) if !has_control(text) => Ok(Self::of(&url, Transport::Registry)),
            _ => refuse(
                "write oci://host/path; a login goes into a Secret, a tag or digest into ref",
            ),
        }
    }

    fn of(url: &Url, transport: Transport) -> Self {
        Self {
            text: url.as_str().into(),
            transport,
        }
    }

    /// The normalised address. Holds no secret.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How bytes travel to it.
    pub fn transport(&self) -> Transport {
        self.transport
    }
}

fn refuse<T>(instead: &str) -> Result<T, SourceError> {
    Err(SourceError::refused("the repository URL", instead))
}

fn plain(url: &Url) -> Result<(), SourceError> {
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("it has a query or a fragment; write the URL without ? and #");
    }
    Ok(())
}

fn http(url: &Url) -> Transport {
    match url.host() {
        Some(Host::Ipv4(address)) if address.is_loopback() => Transport::HttpLoopback,
        Some(Host::Ipv6(address)) if address.is_loopback() => Transport::HttpLoopback,
        Some(Host::Domain("localhost")) => Transport::HttpLoopback,
        _ => Transport::HttpCleartext,
    }
}

/// `ssh://user@host:port/path`
fn ssh(url: &Url) -> Result<RepositoryUrl, SourceError> {
    let Some(host) = url.host_str() else {
        return refuse(FORMS);
    };
    if url.password().is_some() {
        return refuse("it holds a password; SSH takes a key, which belongs into a Secret");
    }
    // An IPv6 address stands in brackets.
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host_is_plain = is_name(host) || host.parse::<std::net::Ipv6Addr>().is_ok();
    if !is_name(url.username()) || !host_is_plain || url.path().len() < 2 {
        return refuse("write ssh://user@host/path with a plain user name, often git");
    }
    plain(url)?;
    Ok(RepositoryUrl::of(url, Transport::Ssh))
}

/// `user@host:path`, where the path is relative to the user's home: no URL, so it stays as it is.
fn scp_like(text: &str) -> Result<RepositoryUrl, SourceError> {
    let parts = text
        .split_once('@')
        .and_then(|(user, rest)| Some((user, rest.split_once(':')?)));
    let Some((user, (host, path))) = parts else {
        return refuse(FORMS);
    };
    let path_is_plain = !path.is_empty() && !path.starts_with(['-', ':']) && !path.contains('\\');
    if !is_name(user) || !is_name(host) || !path_is_plain {
        return refuse(FORMS);
    }
    Ok(RepositoryUrl {
        text: format!("{user}@{}:{path}", host.to_ascii_lowercase()).into(),
        transport: Transport::Ssh,
    })
}

/// A user or host that no program takes for an option.
fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_') && text.chars().all(is_plain)
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
            (
                "ssh://git@git.example.com:2222/shop.git",
                "ssh://git@git.example.com:2222/shop.git",
                Transport::Ssh,
            ),
            (
                "ssh://git@[::1]:22/a",
                "ssh://git@[::1]:22/a",
                Transport::Ssh,
            ),
            (
                "git@Git.Example.com:team/shop.git",
                "git@git.example.com:team/shop.git",
                Transport::Ssh,
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
            "ssh://git.example.com/shop.git",
            "ssh://git:hunter2@git.example.com/shop.git",
            "ssh://-oProxyCommand=evil@git.example.com/a",
            "ssh://git@-oProxyCommand=evil/a",
            "ssh://git@git.example.com",
            "ssh://git@git.example.com/a?x",
            "git@-oProxyCommand=evil:a",
            "-oProxyCommand=evil@git.example.com:a",
            "git@git.example.com:",
            "git@git.example.com:-x",
            "git.example.com:shop.git",
            "git@[::1]:a",
            "git://git.example.com/a",
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
