//! Tokens of a GitHub App's installation: a login that lasts an hour, for a key that stays.
//!
//! Invariant: the key leaves this process only as a signature; a token is asked for once and used by all Releases with the same Secret
//! until shortly before it ends. No error quotes what the server answered.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use reqwest::{Certificate, Client, StatusCode, Url, redirect::Policy};
use ring::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::access::value;
use crate::gates::probe::address::{Guarded, Reach};

const PUBLIC: &str = "https://api.github.com";
/// GitHub takes no assertion that is valid for longer than ten minutes.
const ASSERTION: SignedDuration = SignedDuration::from_mins(9);
/// How far the server's clock may be behind.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// A token is exchanged this long before it ends.
const BEFORE_END: SignedDuration = SignedDuration::from_mins(5);
/// A token whose end is nearer (or that does not tell) is used for this long all the same.
const AT_LEAST: SignedDuration = SignedDuration::from_mins(1);
/// GitHub's tokens last an hour.
const AT_MOST: SignedDuration = SignedDuration::from_hours(1);
const TIMEOUT: Duration = Duration::from_secs(20);
const ANSWER_BYTES: usize = 64 << 10;
/// Apps whose tokens are kept.
const KEPT: usize = 1024;

/// An App's installation.
#[derive(Clone)]
pub(super) struct App {
    id: String,
    installation: String,
    /// In PEM.
    key: String,
    base: Url,
    authority: Option<String>,
    way: Option<Way>,
}

/// The proxy to GitHub.
#[derive(Clone)]
pub(super) struct Way {
    pub(super) address: String,
    pub(super) login: Option<(String, String)>,
}

/// A token, and until when it is used.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) until: Timestamp,
    since: Timestamp,
}

impl App {
    /// The App that a Secret holds, if it holds one.
    pub(super) fn of(secret: &Secret) -> Result<Option<Self>, String> {
        let value = |key: &str| value(secret, key);
        let Some(id) = value("githubAppID") else {
            return Ok(None);
        };
        let (Some(installation), Some(key)) = (
            value("githubAppInstallationID"),
            value("githubAppPrivateKey"),
        ) else {
            return Err(
                "githubAppID goes with githubAppInstallationID and githubAppPrivateKey; put all three into it"
                    .to_owned(),
            );
        };
        let is_id = |text: &str| {
            (1..=64).contains(&text.len())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
        };
        if !is_id(&id) || !is_id(&installation) {
            return Err("githubAppID or githubAppInstallationID is no id; write the number that GitHub shows".to_owned());
        }
        Ok(Some(Self {
            id,
            installation,
            key,
            base: base(value("githubAppBaseURL").as_deref().unwrap_or(PUBLIC))?,
            authority: value("ca.crt"),
            way: None,
        }))
    }

    /// The same App, reached through a proxy.
    pub(super) fn through(self, way: Option<Way>) -> Self {
        Self { way, ..self }
    }

    /// Equal for equal Apps.
    fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let authority = self.authority.as_deref().unwrap_or_default();
        for part in [
            &self.id,
            &self.installation,
            &self.key,
            self.base.as_str(),
            authority,
        ] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// Says who asks, signed by the App's key (a JSON Web Token, RFC 7519, by RS256).
    fn assertion(&self, now: Timestamp) -> Result<String, String> {
        const WRONG: &str =
            "githubAppPrivateKey is no RSA key in PEM; put the whole file that GitHub made into it";
        let key = match PrivateKeyDer::from_pem_slice(self.key.as_bytes()) {
            Ok(PrivateKeyDer::Pkcs1(key)) => RsaKeyPair::from_der(key.secret_pkcs1_der()),
            Ok(PrivateKeyDer::Pkcs8(key)) => RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()),
            _ => return Err(WRONG.to_owned()),
        };
        let key = key.map_err(|_| WRONG.to_owned())?;
        let head = json!({"alg": "RS256", "typ": "JWT"});
        let claims = json!({
            "iat": (now - SKEW).as_second(),
            "exp": (now + ASSERTION).as_second(),
            "iss": self.id,
        });
        let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let said = format!("{}.{}", part(&head), part(&claims));
        let mut signature = vec![0; key.public().modulus_len()];
        key.sign(
            &RSA_PKCS1_SHA256,
            &SystemRandom::new(),
            said.as_bytes(),
            &mut signature,
        )
        .map_err(|_| WRONG.to_owned())?;
        Ok(format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

/// `https://api.github.com`, or `https://HOST/api/v3` of a server of one's own.
fn base(text: &str) -> Result<Url, String> {
    let wrong = || "githubAppBaseURL is no address; write https://HOST/api/v3".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    // In clear text only on this machine, which `Reach` refuses in its turn unless the controller was told otherwise.
    let is_local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
    let is_plain = url.username().is_empty() && url.password().is_none() && url.query().is_none();
    if is_safe && is_plain {
        Ok(url)
    } else {
        Err(wrong())
    }
}

/// The tokens of all Apps.
pub(super) struct Apps {
    reach: Reach,
    /// By the App's fingerprint.
    tokens: Mutex<HashMap<[u8; 32], Place>>,
}

/// Where a token is kept; locked while it is asked for.
type Place = Arc<tokio::sync::Mutex<Option<Token>>>;

impl Apps {
    pub(super) fn new(reach: Reach) -> Self {
        let tokens = Mutex::default();
        Self { reach, tokens }
    }

    /// A token that is valid now.
    pub(super) async fn token(&self, app: &App) -> Result<Token, String> {
        let place = {
            let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
            if tokens.len() >= KEPT {
                tokens.clear();
            }
            Arc::clone(tokens.entry(app.fingerprint()).or_default())
        };
        // Whoever comes second waits for the first one's token.
        let mut known = place.lock().await;
        let now = Timestamp::now();
        if let Some(token) = known.as_ref().filter(|token| token.until > now) {
            return Ok(token.clone());
        }
        let token = self.ask(app, now).await?;
        *known = Some(token.clone());
        Ok(token)
    }

    /// A token that does not let its bearer in is asked for anew, unless somebody else has just done so.
    pub(super) fn forget(&self, app: &App, now: Timestamp) {
        let tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = tokens.get(&app.fingerprint())
            && let Ok(mut known) = place.try_lock()
            && known
                .as_ref()
                .is_some_and(|token| token.since + AT_LEAST < now)
        {
            *known = None;
        }
    }

    async fn ask(&self, app: &App, now: Timestamp) -> Result<Token, String> {
        let host = app.base.host_str().unwrap_or_default().to_owned();
        self.reach
            .check(&app.base)
            .map_err(|refused| format!("githubAppBaseURL: {refused}"))?;
        let url = format!(
            "{}/app/installations/{}/access_tokens",
            app.base.as_str().trim_end_matches('/'),
            app.installation
        );
        let request = self
            .client(app)?
            .post(url)
            .bearer_auth(app.assertion(now)?)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", "2022-11-28");
        let unreachable = |_| format!("{host} does not answer with a token for the GitHub App");
        let mut answer = request.send().await.map_err(unreachable)?;
        match answer.status() {
            status if status.is_success() => {}
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                return Err(format!(
                    "{host} refuses the GitHub App; correct githubAppID and githubAppPrivateKey"
                ));
            }
            StatusCode::NOT_FOUND => {
                return Err(format!(
                    "{host} knows no such installation; correct githubAppInstallationID"
                ));
            }
            status => {
                return Err(format!(
                    "{host} answers {} instead of a token for the GitHub App",
                    status.as_u16()
                ));
            }
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            body.extend_from_slice(&chunk);
            if body.len() > ANSWER_BYTES {
                return Err(format!(
                    "{host} answers with more than a token for the GitHub App"
                ));
            }
        }
        let answer: Answer = serde_json::from_slice(&body)
            .map_err(|_| format!("{host} answers without a token for the GitHub App"))?;
        Ok(answer.token(now))
    }

    fn client(&self, app: &App) -> Result<Client, String> {
        let mut builder = Client::builder()
            .redirect(Policy::none())
            .dns_resolver(Guarded::new(self.reach))
            .timeout(TIMEOUT)
            .user_agent("belay");
        if let Some(authority) = &app.authority {
            let authorities =
                Certificate::from_pem_bundle(authority.as_bytes()).unwrap_or_default();
            if authorities.is_empty() {
                return Err("ca.crt holds no certificate in PEM".to_owned());
            }
            builder = builder.tls_certs_only(authorities);
        }
        if let Some(way) = &app.way {
            let mut proxy = reqwest::Proxy::all(&way.address)
                .map_err(|_| "the proxy's address can't be used".to_owned())?;
            if let Some((user, password)) = &way.login {
                proxy = proxy.basic_auth(user, password);
            }
            builder = builder.proxy(proxy);
        }
        // The cause may quote what it could not read.
        builder
            .build()
            .map_err(|_| "ca.crt can't be used".to_owned())
    }
}

#[derive(Deserialize)]
struct Answer {
    token: String,
    #[serde(default)]
    expires_at: Option<Timestamp>,
}

impl Answer {
    fn token(self, now: Timestamp) -> Token {
        let until = self.expires_at.map_or(now, |end| end - BEFORE_END);
        Token {
            text: self.token,
            until: until.clamp(now + AT_LEAST, now + AT_MOST),
            since: now,
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
