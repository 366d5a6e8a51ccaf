//! Where a submodule is, and who may be told who asks for it.
//!
//! Invariant: an address goes through [`RepositoryUrl`] like that of a Release. The credential of a repository goes to
//! its own server alone (scheme, host and port; for SSH user, host and port), and a submodule is never fetched over a
//! weaker way than the repository that names it.

use url::Url;

use crate::url::Transport;
use crate::{Repository, RepositoryUrl, SourceError};

/// SSH's usual port.
const SSH_PORT: u16 = 22;

/// A submodule's repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// On the server of the repository that names it, and read with its credential.
    Own(Repository),
    /// Elsewhere, and read as anyone may.
    Foreign(Repository),
}

impl Address {
    pub(super) fn repository(&self) -> &Repository {
        match self {
            Self::Own(repository) | Self::Foreign(repository) => repository,
        }
    }
}

/// Reads what a `.gitmodules` of `parent` says. The error is why it is refused; it repeats no address that was refused.
pub(super) fn resolve(parent: &Repository, written: &str) -> Result<Address, String> {
    let text = absolute(parent.url(), written)?;
    let url = RepositoryUrl::parse(&text).map_err(why)?;
    if is_same_server(parent.url(), &url) {
        return Ok(Address::Own(parent.at(url)));
    }
    match url.transport() {
        Transport::Https => {}
        Transport::Ssh => {
            return Err(format!(
                "its address {url} is on another server than the repository's, whose key is for that server alone; write an address \
                 relative to the repository's (../lib.git) or an https address that anyone may read into .gitmodules"
            ));
        }
        other if other == parent.url().transport() => {}
        Transport::HttpLoopback
        | Transport::HttpCleartext
        | Transport::Local
        | Transport::Registry => {
            return Err(format!(
                "its address {url} is less safe than the repository's; write its https address into .gitmodules"
            ));
        }
    }
    Ok(Address::Foreign(parent.elsewhere(url)))
}

/// The reason in an error about an address.
fn why(error: SourceError) -> String {
    let reason = match error {
        SourceError::Refused { instead, .. } => instead,
        other => other.to_string(),
    };
    format!("its address in .gitmodules can't be taken: {reason}")
}

/// Puts a relative address (`./…`, `../…`) behind the one of the repository that names it, as git does.
fn absolute(parent: &RepositoryUrl, written: &str) -> Result<String, String> {
    if !written.starts_with("./") && !written.starts_with("../") {
        return Ok(written.to_owned());
    }
    let (server, path) = split(parent.as_str());
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    for part in written.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop().ok_or_else(|| {
                    "its relative address leads above the server; write fewer ../".to_owned()
                })?;
            }
            name => parts.push(name),
        }
    }
    let slash = if is_rooted { "/" } else { "" };
    Ok(format!("{server}{slash}{}", parts.join("/")))
}

/// The server's part of a normal address, and the path on it.
fn split(text: &str) -> (&str, &str) {
    let end = match text.split_once("://") {
        Some((scheme, rest)) => {
            let authority = rest.find('/').unwrap_or(rest.len());
            scheme.len() + "://".len() + authority
        }
        None => text.find(':').map_or(0, |colon| colon + 1),
    };
    text.split_at_checked(end).unwrap_or((text, ""))
}

fn is_same_server(one: &RepositoryUrl, other: &RepositoryUrl) -> bool {
    let servers = (server(one), server(other));
    matches!(servers, (Some(one), Some(other)) if one == other)
}

/// What makes a server the same one.
#[derive(Debug, PartialEq, Eq)]
struct Server {
    transport: Transport,
    user: String,
    host: String,
    port: Option<u16>,
}

/// Nothing for directories of this machine.
fn server(url: &RepositoryUrl) -> Option<Server> {
    let transport = url.transport();
    if transport == Transport::Local {
        return None;
    }
    if let Ok(parsed) = Url::parse(url.as_str())
        && let Some(host) = parsed.host_str()
    {
        let usual = (transport == Transport::Ssh).then_some(SSH_PORT);
        return Some(Server {
            transport,
            user: parsed.username().to_owned(),
            host: host.to_ascii_lowercase(),
            port: parsed.port_or_known_default().or(usual),
        });
    }
    let (user, rest) = url.as_str().split_once('@')?;
    let (host, _) = rest.split_once(':')?;
    Some(Server {
        transport,
        user: user.to_owned(),
        host: host.to_ascii_lowercase(),
        port: Some(SSH_PORT),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Credential;

    fn parent(url: &str) -> Repository {
        Repository::anonymous(RepositoryUrl::parse(url).unwrap())
    }

    #[test]
    fn relative_addresses_are_put_behind_the_repositorys_as_git_does() {
        for (from, written, address) in [
            (
                "https://h/org/app.git",
                "../lib.git",
                "https://h/org/lib.git",
            ),
            ("https://h:8443/org/app/", "../../lib", "https://h:8443/lib"),
            ("https://h/org/app", "./lib", "https://h/org/app/lib"),
            ("ssh://git@h:2222/o/a", "../b", "ssh://git@h:2222/o/b"),
            ("git@h:org/app.git", "../lib.git", "git@h:org/lib.git"),
            ("git@h:app.git", "../lib.git", "git@h:lib.git"),
            ("/srv/git/app", "../lib", "file:///srv/git/lib"),
        ] {
            let found = resolve(&parent(from), written).unwrap();
            assert_eq!(
                found.repository().url().as_str(),
                address,
                "{from} {written}"
            );
        }
        let above = resolve(&parent("https://h/app"), "../../../evil.example.com/x");
        assert!(above.unwrap_err().contains("above"));
    }

    #[test]
    fn the_credential_goes_to_the_repositorys_own_server_alone() {
        let url = RepositoryUrl::parse("https://git.example.com/org/app.git").unwrap();
        let credential = Credential::basic("a/b", "bot", "hunter2").unwrap();
        let shop = Repository::with_credential(url, credential).unwrap();
        for own in [
            "../lib.git",
            "https://git.example.com/other/lib.git",
            "https://GIT.example.com:443/lib.git",
        ] {
            let address = resolve(&shop, own).unwrap();
            assert!(
                matches!(&address, Address::Own(found) if found.identifies()),
                "{own}"
            );
        }
        for foreign in [
            "https://git.example.com:8443/lib.git",
            "https://git.example.com.evil.example/lib.git",
            "https://example.com/lib.git",
        ] {
            let address = resolve(&shop, foreign).unwrap();
            assert!(
                matches!(&address, Address::Foreign(found) if !found.identifies()),
                "{foreign}"
            );
        }
    }

    #[test]
    fn what_is_less_safe_than_the_repository_or_needs_another_key_is_refused_with_what_to_write() {
        for (from, written, said) in [
            ("https://h/a", "http://h/lib", "https address"),
            ("https://h/a", "http://127.0.0.1:9090/lib", "https address"),
            ("https://h/a", "file:///etc", "https address"),
            ("https://h/a", "/etc", "https address"),
            ("http://h/a", "http://127.0.0.1/lib", "https address"),
            ("https://h/a", "git@h:lib.git", "../lib.git"),
            ("git@h:a.git", "deploy@h:lib.git", "../lib.git"),
            ("ssh://git@h:2222/a", "git@h:lib.git", "../lib.git"),
            ("https://h/a", "ext::sh -c evil", "write it plainly"),
            ("https://h/a", "--upload-pack=evil", "write https://"),
            ("https://h/a", "-oProxyCommand=evil", "write https://"),
            ("https://h/a", "https://u:hunter2@h/lib", "Secret"),
        ] {
            let error = resolve(&parent(from), written).unwrap_err();
            assert!(error.contains(said), "{written}: {error}");
            assert!(
                !error.contains("hunter2") && !error.contains("evil"),
                "{error}"
            );
        }
        assert!(matches!(
            resolve(&parent("git@h:a.git"), "ssh://git@H:22/lib"),
            Ok(Address::Own(_))
        ));
    }
}
