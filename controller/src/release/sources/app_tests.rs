//! GitHub Apps, before a stand-in for GitHub that verifies what it is told, and the real `git http-backend`.

use std::{
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderMap, StatusCode},
    routing::post,
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use belay_source::{Credential, Repository, RepositoryUrl, SourceHub, SourceSettings};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};
use serde_json::{Value, json};

use super::app::{App, Apps};
use crate::gates::probe::address::Reach;

#[path = "../../../source/tests/support/server.rs"]
mod server;

use server::{Behaviour, Server};

/// An RSA key in PEM, as GitHub makes it.
fn make_key() -> String {
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
struct GitHub {
    key: String,
    asked: AtomicUsize,
    lasts: SignedDuration,
}

impl GitHub {
    async fn start(key: &str, lasts: SignedDuration) -> (String, Arc<Self>) {
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

fn app(base: &str, key: &str, installation: &str) -> Result<Option<App>, String> {
    let pairs = [
        ("githubAppID", "7"),
        ("githubAppInstallationID", installation),
        ("githubAppPrivateKey", key),
        ("githubAppBaseURL", base),
    ];
    let data = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), ByteString(value.as_bytes().to_vec())));
    App::of(&Secret {
        data: Some(data.collect()),
        ..Secret::default()
    })
}

const HOUR: SignedDuration = SignedDuration::from_hours(1);

#[tokio::test]
async fn a_token_opens_the_repository_and_is_asked_for_once() {
    let key = make_key();
    let (base, github) = GitHub::start(&key, HOUR).await;
    let apps = Apps::new(Reach::NetworkAndLoopback);
    let shop = app(&base, &key, "42").unwrap().unwrap();
    let (one, two) = tokio::join!(apps.token(&shop), apps.token(&shop));
    let token = one.unwrap();
    assert_eq!(
        (token.text.as_str(), two.unwrap().text.as_str()),
        ("token-1", "token-1")
    );
    assert_eq!(github.asked.load(Ordering::Relaxed), 1);
    assert!(
        token.until < Timestamp::now() + HOUR,
        "it is exchanged before it ends"
    );
    // The repository wants that very token.
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().join("origin");
    for args in [
        &["init", "--quiet", "--initial-branch=main", "origin"][..],
        &[
            "-C",
            "origin",
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@x",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            "one",
        ],
    ] {
        let status = Command::new("git")
            .args(args)
            .current_dir(folder.path())
            .status()
            .unwrap();
        assert!(status.success());
    }
    assert!(origin.is_dir());
    let expected = format!("Basic {}", STANDARD.encode("x-access-token:token-1"));
    let server = Server::start(folder.path(), Behaviour::Guarded(expected));
    let url = RepositoryUrl::parse(&server.url("origin")).unwrap();
    let credential = Credential::basic("shop/git", "x-access-token", &token.text).unwrap();
    let repository = Repository::with_credential(url, credential).unwrap();
    let hub = SourceHub::new(SourceSettings::new(folder.path().join("cache"))).unwrap();
    assert_eq!(hub.list(&repository).await.unwrap().len(), 1);
    // One that was turned down is asked for anew.
    apps.forget(&shop, Timestamp::now());
    assert_eq!(
        apps.token(&shop).await.unwrap().text,
        "token-1",
        "it is brand new"
    );
    apps.forget(&shop, Timestamp::now() + SignedDuration::from_mins(2));
    assert_eq!(apps.token(&shop).await.unwrap().text, "token-2");
}

#[tokio::test]
async fn a_token_that_ends_soon_is_exchanged() {
    let key = make_key();
    let (base, _github) = GitHub::start(&key, SignedDuration::from_secs(1)).await;
    let apps = Apps::new(Reach::NetworkAndLoopback);
    let shop = app(&base, &key, "42").unwrap().unwrap();
    let token = apps.token(&shop).await.unwrap();
    // Never in a tight loop, whatever the server says.
    let left = token.until.duration_since(Timestamp::now());
    assert!(
        left > SignedDuration::from_secs(30) && left <= SignedDuration::from_mins(1),
        "{left}"
    );
}

#[tokio::test]
async fn a_foreign_key_and_a_foreign_installation_are_named_without_quoting_the_server() {
    let (key, other) = (make_key(), make_key());
    let (base, _github) = GitHub::start(&key, HOUR).await;
    let apps = Apps::new(Reach::NetworkAndLoopback);
    for (key, installation, word) in [
        (&other, "42", "githubAppPrivateKey"),
        (&key, "43", "githubAppInstallationID"),
    ] {
        let shop = app(&base, key, installation).unwrap().unwrap();
        let error = apps.token(&shop).await.err().unwrap();
        assert!(
            error.contains(word) && !error.contains("secret of the server"),
            "{error}"
        );
    }
    let shop = app(&base, "hush-hush", "42").unwrap().unwrap();
    let error = apps.token(&shop).await.err().unwrap();
    assert!(
        error.contains("no RSA key") && !error.contains("hush-hush"),
        "{error}"
    );
    // This machine is not asked unless the controller was told so.
    let shop = app(&base, &key, "42").unwrap().unwrap();
    assert!(Apps::new(Reach::Network).token(&shop).await.is_err());
}

#[test]
fn a_secret_with_half_an_app_says_what_is_missing() {
    for base in [
        "http://git.example.com/api/v3",
        "ftp://x",
        "https://bot:hush-hush@git.example.com",
    ] {
        let error = app(base, "k", "42").err().unwrap();
        assert!(
            error.contains("https://HOST/api/v3") && !error.contains("hush-hush"),
            "{error}"
        );
    }
    assert!(app("https://git.example.com/api/v3", "k", "../x").is_err());
    let only = Secret {
        data: Some([("githubAppID".to_owned(), ByteString(b"7".to_vec()))].into()),
        ..Secret::default()
    };
    assert!(
        App::of(&only)
            .err()
            .unwrap()
            .contains("githubAppInstallationID")
    );
    assert!(App::of(&Secret::default()).unwrap().is_none());
}
