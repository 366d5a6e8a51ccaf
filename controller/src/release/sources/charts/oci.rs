//! Charts in OCI registries.

use reqwest::{Url, header::WWW_AUTHENTICATE};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::{
    super::trouble::Trouble,
    CHART_BYTES, Wanted, hex,
    web::{Answer, Proof, Web, host},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CHART_LAYER: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
const SMALL_BYTES: usize = 4 << 20;
/// Pages of the list of tags.
const PAGES: usize = 50;

/// One visit to a registry.
pub(super) struct Session<'a> {
    web: &'a Web,
    registry: &'a Url,
    wanted: &'a Wanted<'a>,
    /// Path of the chart in the registry.
    chart: String,
    token: Option<String>,
}

#[derive(Deserialize)]
struct Tags {
    #[serde(default)]
    tags: Option<Vec<String>>,
}

#[derive(Deserialize)]
struct Manifest {
    #[serde(default)]
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Layer {
    media_type: String,
    digest: String,
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl<'a> Session<'a> {
    pub(super) fn new(web: &'a Web, registry: &'a Url, path: &str, wanted: &'a Wanted<'a>) -> Self {
        let chart = format!("{path}/{}", wanted.name);
        Self {
            web,
            registry,
            wanted,
            chart: chart.trim_start_matches('/').to_owned(),
            token: None,
        }
    }

    /// The versions among the tags; `_` stands for `+`, which tags can't have.
    pub(super) async fn versions(&mut self) -> Result<Vec<String>, Trouble> {
        let mut versions = Vec::new();
        let mut next = self.address("tags/list?n=1000")?;
        for _ in 0..PAGES {
            let answer = self.get(&next, None, SMALL_BYTES).await?;
            let more = next_page(&answer, &next);
            let body = answer.expect_success(&self.what())?;
            let tags: Tags = self.json(&body)?;
            let tags = tags.tags.unwrap_or_default().into_iter();
            versions.extend(tags.map(|tag| tag.replace('_', "+")));
            match more {
                Some(more) if more.origin() == self.registry.origin() => next = more,
                _ => return Ok(versions),
            }
        }
        Ok(versions)
    }

    /// The packed chart of a version, and its digest in hexadecimal digits.
    pub(super) async fn chart(&mut self, version: &str) -> Result<(Vec<u8>, String), Trouble> {
        let tag = version.replace('+', "_");
        let url = self.address(&format!("manifests/{tag}"))?;
        let answer = self.get(&url, Some(MANIFEST), SMALL_BYTES).await?;
        let named = answer.headers.get("docker-content-digest").cloned();
        let body = answer.expect_success(&format!("{} {version}", self.what()))?;
        if let Some(named) = named.as_ref().and_then(|named| named.to_str().ok()) {
            self.compare(&body, named)?;
        }
        let manifest: Manifest = self.json(&body)?;
        let mut layers = manifest.layers.into_iter();
        let layer = layers.find(|layer| layer.media_type == CHART_LAYER);
        let digest = layer.map(|layer| layer.digest).ok_or_else(|| {
            Trouble::unavailable(format!(
                "{} {version} in {} is no chart of Helm",
                self.chart,
                host(self.registry)
            ))
        })?;
        let digits = digest.strip_prefix("sha256:").filter(|digits| {
            digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        });
        let Some(digits) = digits.map(str::to_owned) else {
            return Err(self.broken());
        };
        let url = self.address(&format!("blobs/{digest}"))?;
        let answer = self.get(&url, None, CHART_BYTES).await?;
        let bytes = answer.expect_success(&format!("{} {version}", self.what()))?;
        Ok((bytes, digits))
    }

    fn compare(&self, body: &[u8], named: &str) -> Result<(), Trouble> {
        let Some(digits) = named.strip_prefix("sha256:") else {
            return Ok(());
        };
        let bytes: [u8; 32] = Sha256::digest(body).into();
        if hex(bytes) == digits {
            Ok(())
        } else {
            Err(self.broken())
        }
    }

    /// Asks; where the registry wants a token, gets one first and asks again.
    async fn get(
        &mut self,
        url: &Url,
        accept: Option<&'static str>,
        limit_bytes: usize,
    ) -> Result<Answer, Trouble> {
        let proof = match (&self.token, &self.wanted.login) {
            (Some(token), _) => Some(Proof::Token(token)),
            (None, Some(login)) => Some(Proof::Login(login)),
            (None, None) => None,
        };
        let answer = self
            .web
            .ask(url, proof.as_ref(), accept, limit_bytes)
            .await?;
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
        let again = self.web.ask(url, Some(&proof), accept, limit_bytes).await?;
        self.token = Some(token);
        Ok(again)
    }

    async fn new_token(&self, challenge: &str) -> Result<String, Trouble> {
        let realm = parameter(challenge, "realm").and_then(|realm| Url::parse(&realm).ok());
        let mut realm = realm.ok_or_else(|| self.broken())?;
        let is_as_safe = realm.scheme() == "https" || self.registry.scheme() == "http";
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
        let login = self.wanted.login.as_ref();
        let login = login.filter(|_| is_of_same_domain(&realm, self.registry));
        let answer = self.web.get(&realm, login, None, SMALL_BYTES).await?;
        let body = answer.expect_success(&self.what())?;
        let token: Token = self.json(&body)?;
        let token = token.token.or(token.access_token);
        token.ok_or_else(|| self.broken())
    }

    fn address(&self, rest: &str) -> Result<Url, Trouble> {
        let url = self.registry.join(&format!("v2/{}/{rest}", self.chart));
        url.map_err(|_| self.broken())
    }

    fn what(&self) -> String {
        format!("the chart {}", self.chart)
    }

    fn json<T: for<'de> Deserialize<'de>>(&self, body: &[u8]) -> Result<T, Trouble> {
        serde_json::from_slice(body).map_err(|_| self.broken())
    }

    fn broken(&self) -> Trouble {
        Trouble::unavailable(format!(
            "{} does not answer as an OCI registry does; correct the address",
            host(self.registry)
        ))
    }
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
