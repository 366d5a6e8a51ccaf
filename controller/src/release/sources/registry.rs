//! One visit to an OCI registry.
//!
//! Invariant: what is handed on has the digest that it was asked for by, or that the registry named. A login is shown to the registry,
//! and to the server of its own domain that gives out tokens, and to nobody else.

use belay_source::Oid;
use reqwest::{Method, Url, header::WWW_AUTHENTICATE};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    trouble::Trouble,
    web::{Answer, Login, Proof, Web, host},
};

/// Every kind of manifest: what is not wanted is better named than missing.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";
const SMALL_BYTES: usize = 4 << 20;
/// Pages of the list of tags.
const PAGES: usize = 50;
const DIGEST: &str = "docker-content-digest";

/// Where something is in a registry, and who asks for it.
#[derive(Clone, Copy)]
pub(super) struct Visit<'a> {
    pub(super) web: &'a Web,
    /// The registry's address.
    pub(super) registry: &'a Url,
    /// Path in it.
    pub(super) path: &'a str,
    pub(super) login: Option<&'a Login>,
    /// For messages, for example `the chart a/b`.
    pub(super) what: &'a str,
    /// Where a login is named.
    pub(super) field: &'a str,
}

/// One visit to a registry.
pub(super) struct Session<'a> {
    visit: Visit<'a>,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Session<'a> {
    pub(super) const fn new(visit: Visit<'a>) -> Self {
        Self { visit, token: None }
    }

    /// All tags.
    pub(super) async fn tags(&mut self) -> Result<Vec<String>, Trouble> {
        let mut all = Vec::new();
        let mut next = self.address("tags/list?n=1000")?;
        for _ in 0..PAGES {
            let answer = self.get(&next, None, SMALL_BYTES).await?;
            let more = next_page(&answer, &next);
            let body = answer.expect_success(self.visit.what, self.visit.field)?;
            let tags: Tags = self.json(&body)?;
            all.extend(tags.tags.unwrap_or_default());
            match more {
                Some(more) if more.origin() == self.visit.registry.origin() => next = more,
                _ => return Ok(all),
            }
        }
        Ok(all)
    }

    /// The digest of a tag's manifest, which is not fetched where the registry names its digest.
    pub(super) async fn digest(&mut self, tag: &str) -> Result<Oid, Trouble> {
        let url = self.address(&format!("manifests/{tag}"))?;
        let answer = self.ask(Method::HEAD, &url, Some(MANIFESTS), SMALL_BYTES);
        let answer = answer.await?;
        if answer.status.is_success()
            && let Some(digest) = named(&answer)
        {
            return Ok(digest);
        }
        let (_, digest) = self.manifest(tag).await?;
        Ok(digest)
    }

    /// The manifest of a tag or digest, and its digest.
    pub(super) async fn manifest(&mut self, reference: &str) -> Result<(Vec<u8>, Oid), Trouble> {
        let url = self.address(&format!("manifests/{reference}"))?;
        let answer = self.get(&url, Some(MANIFESTS), SMALL_BYTES).await?;
        let named = named(&answer);
        let what = format!("{} {reference}", self.visit.what);
        let body = answer.expect_success(&what, self.visit.field)?;
        let digest = digest_of(&body)?;
        let asked = sha256(reference);
        if named.is_some_and(|named| named != digest) || asked.is_some_and(|asked| asked != digest)
        {
            return Err(self.differs(&what));
        }
        Ok((body, digest))
    }

    /// The content with this digest.
    pub(super) async fn blob(
        &mut self,
        digest: &Oid,
        limit_bytes: usize,
    ) -> Result<Vec<u8>, Trouble> {
        let url = self.address(&format!("blobs/sha256:{digest}"))?;
        let answer = self.get(&url, None, limit_bytes).await?;
        let what = format!("a part of {}", self.visit.what);
        let body = answer.expect_success(&what, self.visit.field)?;
        if digest_of(&body)? == *digest {
            Ok(body)
        } else {
            Err(self.differs(&what))
        }
    }

    async fn get(
        &mut self,
        url: &Url,
        accept: Option<&'static str>,
        limit_bytes: usize,
    ) -> Result<Answer, Trouble> {
        self.ask(Method::GET, url, accept, limit_bytes).await
    }

    /// Asks; where the registry wants a token, gets one first and asks again.
    async fn ask(
        &mut self,
        method: Method,
        url: &Url,
        accept: Option<&'static str>,
        limit_bytes: usize,
    ) -> Result<Answer, Trouble> {
        let proof = match (&self.token, self.visit.login) {
            (Some(token), _) => Some(Proof::Token(token)),
            (None, Some(login)) => Some(Proof::Login(login)),
            (None, None) => None,
        };
        let web = self.visit.web;
        let first = web.ask(method.clone(), url, proof.as_ref(), accept, limit_bytes);
        let answer = first.await?;
        if answer.status.as_u16() != 401 || self.token.is_some() {
            return Ok(answer);
        }
        let challenge = answer.headers.get(WWW_AUTHENTICATE);
        let challenge = challenge.and_then(|value| value.to_str().ok());
        let Some(challenge) = challenge.and_then(|text| text.strip_prefix("Bearer ")) else {
            return Ok(answer);
        };
        let token = self.new_token(challenge).await?;
        let proof = Proof::Token(&token);
        let again = web.ask(method, url, Some(&proof), accept, limit_bytes);
        let again = again.await?;
        self.token = Some(token);
        Ok(again)
    }

    async fn new_token(&self, challenge: &str) -> Result<String, Trouble> {
        let realm = parameter(challenge, "realm").and_then(|realm| Url::parse(&realm).ok());
        let mut realm = realm.ok_or_else(|| self.broken())?;
        let is_as_safe = realm.scheme() == "https" || self.visit.registry.scheme() == "http";
        if !is_as_safe {
            return Err(self.broken());
        }
        {
            let mut query = realm.query_pairs_mut();
            for name in ["service", "scope"] {
                if let Some(value) = parameter(challenge, name) {
                    query.append_pair(name, &value);
                }
            }
        }
        let login = self.visit.login;
        let login = login.filter(|_| is_of_same_domain(&realm, self.visit.registry));
        let answer = self.visit.web.get(&realm, login, None, SMALL_BYTES).await?;
        let body = answer.expect_success(self.visit.what, self.visit.field)?;
        let token: Token = self.json(&body)?;
        let token = token.token.or(token.access_token);
        token.ok_or_else(|| self.broken())
    }

    fn address(&self, rest: &str) -> Result<Url, Trouble> {
        let path = format!("v2/{}/{rest}", self.visit.path);
        self.visit.registry.join(&path).map_err(|_| self.broken())
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, body: &[u8]) -> Result<T, Trouble> {
        serde_json::from_slice(body).map_err(|_| self.broken())
    }

    fn broken(&self) -> Trouble {
        Trouble::unavailable(format!(
            "{} does not answer as an OCI registry does; correct the address",
            host(self.visit.registry)
        ))
    }

    fn differs(&self, what: &str) -> Trouble {
        Trouble::unavailable(format!(
            "{what} from {} is not what its registry says it is: the digests differ",
            host(self.visit.registry)
        ))
    }
}

/// The address of a registry and the path in it, from `host/path`. As other clients do: a registry on this machine has no certificate.
pub(super) fn place(text: &str) -> Option<(Url, String)> {
    let scheme = if is_this_machine(text) {
        "http"
    } else {
        "https"
    };
    let mut url = Url::parse(&format!("{scheme}://{text}")).ok()?;
    if url.host_str() == Some("docker.io") {
        url.set_host(Some("registry-1.docker.io")).ok()?;
    }
    let path = url.path().trim_matches('/').to_owned();
    url.set_path("/");
    Some((url, path))
}

/// Whether an address, without its scheme, is one of the controller's own machine.
pub(super) fn is_this_machine(address: &str) -> bool {
    let authority = address.split('/').next().unwrap_or_default();
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => host,
        _ => authority,
    };
    matches!(host, "localhost" | "127.0.0.1" | "[::1]")
}

/// The digits of `sha256:…`.
pub(super) fn sha256(text: &str) -> Option<Oid> {
    let digits = text.strip_prefix("sha256:")?;
    let digits = (digits.len() == 64).then_some(digits)?;
    Oid::parse(digits).ok()
}

/// SHA-256 of some bytes.
fn digest_of(bytes: &[u8]) -> Result<Oid, Trouble> {
    let digest: [u8; 32] = Sha256::digest(bytes).into();
    Oid::parse(&super::hex(digest)).map_err(Trouble::from)
}

/// The digest that the registry names.
fn named(answer: &Answer) -> Option<Oid> {
    sha256(answer.headers.get(DIGEST)?.to_str().ok()?)
}

/// The next page, from a header such as `</v2/a/tags/list?n=2&last=x>; rel="next"`.
fn next_page(answer: &Answer, from: &Url) -> Option<Url> {
    let link = answer.headers.get("link")?.to_str().ok()?;
    let (target, rest) = link.strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| from.join(target).ok())?
}

/// One parameter of a challenge.
fn parameter(challenge: &str, name: &str) -> Option<String> {
    let start = format!("{name}=\"");
    let (_, rest) = challenge.split_once(&start)?;
    rest.split_once('"').map(|(value, _)| value.to_owned())
}

/// Registries have a server for tokens beside them, as registry-1.docker.io has auth.docker.io. No other one gets the login.
fn is_of_same_domain(realm: &Url, registry: &Url) -> bool {
    if realm.host_str() == registry.host_str() {
        return realm.port_or_known_default() == registry.port_or_known_default()
            || realm.scheme() == "https";
    }
    let domain = |url: &Url| {
        let domain = url.domain()?;
        let (rest, last) = domain.rsplit_once('.')?;
        let before = rest.rsplit('.').next()?;
        Some(format!("{before}.{last}"))
    };
    domain(realm).is_some() && domain(realm) == domain(registry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_go_to_token_servers_of_the_same_domain_alone() {
        let url = |text: &str| Url::parse(text).unwrap();
        for (realm, registry, same) in [
            (
                "https://auth.docker.io/token",
                "https://registry-1.docker.io/",
                true,
            ),
            ("https://ghcr.io/token", "https://ghcr.io/", true),
            ("https://evil.example/token", "https://ghcr.io/", false),
            ("http://127.0.0.1:2/", "http://127.0.0.1:1/", false),
            ("https://10.0.0.1/", "https://10.0.0.2/", false),
        ] {
            assert_eq!(
                is_of_same_domain(&url(realm), &url(registry)),
                same,
                "{realm}"
            );
        }
        let challenge = r#"realm="https://a/token",service="b",scope="repository:x:pull""#;
        assert_eq!(parameter(challenge, "service").as_deref(), Some("b"));
    }
}
