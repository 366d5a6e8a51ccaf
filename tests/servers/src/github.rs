//! A stand-in for GitHub that hands out tokens to the App that signs as it must.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};

/// An RSA key in PEM, as GitHub makes it.
pub fn make_key() -> String {
    let folder = tempfile::tempdir().unwrap();
    let output = Command::new("ssh-keygen")
        .args(["-q", "-t", "rsa", "-b", "2048", "-m", "PEM", "-N", "", "-f"])
        .arg(folder.path().join("key"))
        .output()
        .unwrap();
    assert!(output.status.success());
    std::fs::read_to_string(folder.path().join("key")).unwrap()
}

/// Hands out `token-1`, `token-2`, … to App 7 for its installation 42.
pub struct GitHub {
    key: String,
    asked: AtomicUsize,
    lasts: SignedDuration,
}

impl GitHub {
    /// Starts it for the App with this key, with tokens that last so long. Gives the address of its interface.
    pub async fn start(key: &str, lasts: SignedDuration) -> (String, Arc<Self>) {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let github = Arc::new(Self {
            key: key.to_owned(),
            asked: AtomicUsize::new(0),
            lasts,
        });
        let path = "/api/v3/app/installations/{installation}/access_tokens";
        let router = Router::new()
            .route(path, post(hand_out))
            .with_state(Arc::clone(&github));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/api/v3", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (address, github)
    }

    /// How many tokens it has handed out.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    /// The claims of an assertion that is signed by the App's key.
    fn claims(&self, headers: &HeaderMap) -> Option<Value> {
        let assertion = headers
            .get("authorization")?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?;
        let (said, signature) = assertion.rsplit_once('.')?;
        let PrivateKeyDer::Pkcs1(key) = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).ok()?
        else {
            return None;
        };
        let pair = RsaKeyPair::from_der(key.secret_pkcs1_der()).ok()?;
        let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, pair.public().as_ref());
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        public.verify(said.as_bytes(), &signature).ok()?;
        let (_, claims) = said.split_once('.')?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }
}

async fn hand_out(
    State(github): State<Arc<GitHub>>,
    Path(installation): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    let refuse = |status| {
        (
            status,
            json!({"message": "a secret of the server"}).to_string(),
        )
    };
    let Some(claims) = github.claims(&headers) else {
        return refuse(StatusCode::UNAUTHORIZED);
    };
    let now = Timestamp::now().as_second();
    let (issued, ends) = (
        claims["iat"].as_i64().unwrap(),
        claims["exp"].as_i64().unwrap(),
    );
    if claims["iss"] != "7" || issued > now || ends <= now || ends - issued > 600 {
        return refuse(StatusCode::UNAUTHORIZED);
    }
    if installation != "42" {
        return refuse(StatusCode::NOT_FOUND);
    }
    let number = github.asked.fetch_add(1, Ordering::Relaxed) + 1;
    let end = Timestamp::now() + github.lasts;
    let answer = json!({"token": format!("token-{number}"), "expires_at": end});
    (StatusCode::CREATED, answer.to_string())
}
