//! GitHub Apps, before a stand-in for GitHub that verifies what it is told, and the real `git http-backend`.

use std::process::Command;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use belay_servers::github::{GitHub, make_key};
use belay_source::{Credential, Repository, RepositoryUrl, SourceHub, SourceSettings};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::{ByteString, api::core::v1::Secret};

use super::app::{App, Apps};
use crate::gates::probe::address::Reach;

#[path = "../../../source/tests/support/server.rs"]
mod server;

use server::{Behaviour, Server};

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
    assert_eq!(github.asked(), 1);
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
