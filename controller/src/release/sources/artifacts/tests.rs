//! A registry over real HTTP, as it answers; looks that are shared, and artifacts that are fetched.

use std::sync::atomic::{AtomicBool, Ordering};

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use sha2::{Digest as _, Sha256};

use super::{
    super::{served::Server, trouble::Place as Fault},
    *,
};
use crate::gates::probe::http::tls_tests::{Authority, authority, serve};

const LAYER_TYPE: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";

fn sum(bytes: &[u8]) -> String {
    hex(Sha256::digest(bytes).into())
}

/// An archive of nothing.
fn layer() -> Vec<u8> {
    vec![0; 1024]
}

fn manifest(layer: &[u8]) -> String {
    format!(
        r#"{{"layers": [{{"mediaType": "{LAYER_TYPE}", "digest": "sha256:{}", "size": {}}}]}}"#,
        sum(layer),
        layer.len()
    )
}

fn artifacts() -> Artifacts {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Artifacts::new(Reach::NetworkAndLoopback)
}

fn place(artifacts: &Artifacts, server: &Server, login: Option<Login>) -> Place {
    let address = format!("{}/shop", server.address);
    let (registry, path) = registry::place(&address).unwrap();
    Place {
        web: Arc::clone(&artifacts.web),
        registry,
        path,
        visitor: visitor(&address, login.as_ref(), None),
        login,
        what: "the artifact shop".to_owned(),
    }
}

fn looks(artifacts: &Artifacts, server: &Server, wanted: Wanted) -> Looks {
    let place = place(artifacts, server, None);
    Looks {
        shared: artifacts.shared(format!("{} {wanted}", place.visitor)),
        place,
        wanted,
        interval: Duration::from_mins(1),
    }
}

fn range(text: &str) -> Wanted {
    Wanted::Range(text.to_owned())
}

fn found(seen: &Seen) -> String {
    match &seen.found {
        Ok(candidate) => format!(
            "{}@{}",
            candidate.reference.label().unwrap_or_default(),
            candidate.commit
        ),
        Err(trouble) => panic!("{trouble:?}"),
    }
}

fn tagged(path: &str) -> Response {
    let named = |tag: &str| {
        [(
            "docker-content-digest",
            format!("sha256:{}", sum(tag.as_bytes())),
        )]
    };
    match path.strip_prefix("/v2/shop/") {
        Some("tags/list?n=1000") => {
            r#"{"tags": ["latest", "v1.2.0", "1.10.0", "2.0.0-rc.1", "1.3.0_a"]}"#.into_response()
        }
        Some(path) if path.starts_with("manifests/") => {
            named(path.trim_start_matches("manifests/")).into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test]
async fn all_who_follow_one_tag_with_one_login_share_its_looks() {
    let server = Server::start(|path, _| tagged(path)).await;
    let artifacts = artifacts();
    let tag = || Wanted::Tag("latest".to_owned());
    let [one, two] = [(); 2].map(|()| looks(&artifacts, &server, tag()));
    // When two look at once and later, then the registry is asked once,
    let (first, second) = tokio::join!(one.latest(), two.latest());
    assert_eq!(found(&first), format!("latest@{}", sum(b"latest")));
    assert_eq!(found(&first), found(&second));
    one.latest().await;
    assert_eq!(server.paths(), ["/v2/shop/manifests/latest"]);
    // when somebody wants to know it now, it is asked again,
    two.look().await;
    assert_eq!(server.paths().len(), 2);
    // and who shows another login has looks of his own.
    let login = Login {
        username: "bot".to_owned(),
        password: "hush".to_owned(),
    };
    let other = place(&artifacts, &server, Some(login));
    assert_ne!(other.visitor, one.place.visitor);
}

#[tokio::test]
async fn the_highest_version_in_the_range_is_followed() {
    let server = Server::start(|path, _| tagged(path)).await;
    let artifacts = artifacts();
    for (wanted, tag) in [
        ("1.x", "1.10.0"),
        ("~1.2", "v1.2.0"),
        ("~1.3", "1.3.0_a"),
        (">=1.0.0-0", "2.0.0-rc.1"),
    ] {
        let seen = looks(&artifacts, &server, range(wanted)).latest().await;
        assert!(found(&seen).starts_with(&format!("{tag}@")), "{wanted}");
    }
    for (wanted, words) in [
        ("^2", "prereleases such as \"2.0.0-rc.1\""),
        ("^3", "has no tag with a version"),
        ("newest", "write for example"),
    ] {
        let seen = looks(&artifacts, &server, range(wanted)).latest().await;
        let trouble = seen.found.unwrap_err();
        assert!(trouble.message.contains(words), "{}", trouble.message);
        assert_ne!(trouble.place, Fault::Content);
    }
}

#[tokio::test]
async fn a_registry_that_is_away_is_asked_again_and_a_tag_that_vanished_is_said() {
    let is_away = Arc::new(AtomicBool::new(true));
    let away = Arc::clone(&is_away);
    let server = Server::start(move |path, _| {
        if away.load(Ordering::Relaxed) {
            StatusCode::BAD_GATEWAY.into_response()
        } else {
            tagged(path)
        }
    })
    .await;
    let artifacts = artifacts();
    let wanted = looks(&artifacts, &server, Wanted::Tag("v1".to_owned()));
    let seen = wanted.latest().await;
    assert_eq!(seen.found.as_ref().unwrap_err().place, Fault::Passing);
    // Others wait with it: a failure is shared, too.
    let asked = server.paths().len();
    wanted.latest().await;
    assert_eq!(server.paths().len(), asked);
    is_away.store(false, Ordering::Relaxed);
    assert_eq!(found(&wanted.look().await), format!("v1@{}", sum(b"v1")));
    // Given a registry without the tag
    let empty = Server::start(|_, _| StatusCode::NOT_FOUND.into_response()).await;
    let seen = looks(&artifacts, &empty, Wanted::Tag("v1".to_owned()))
        .latest()
        .await;
    let trouble = seen.found.unwrap_err();
    assert_eq!(trouble.place, Fault::Environment);
    assert!(
        trouble
            .message
            .contains("does not have the artifact shop v1"),
        "{}",
        trouble.message
    );
}

#[tokio::test]
async fn an_artifact_is_what_its_digest_says_or_is_not_taken() {
    let (whole, other) = (layer(), b"other".to_vec());
    let text = manifest(&whole);
    let digest = sum(text.as_bytes());
    let is_swapped = Arc::new(AtomicBool::new(false));
    let swapped = Arc::clone(&is_swapped);
    let (place_of_manifest, place_of_layer) = (
        format!("/v2/shop/manifests/sha256:{digest}"),
        format!("/v2/shop/blobs/sha256:{}", sum(&whole)),
    );
    let index = r#"{"manifests": []}"#;
    let place_of_index = format!("/v2/shop/manifests/sha256:{}", sum(index.as_bytes()));
    let server = Server::start(move |path, shown| {
        let is_swapped = swapped.load(Ordering::Relaxed);
        match path {
            _ if shown.is_none() => {
                let challenge = [(header::WWW_AUTHENTICATE, "Basic realm=\"r\"")];
                (StatusCode::UNAUTHORIZED, challenge).into_response()
            }
            path if path == place_of_manifest => text.clone().into_response(),
            path if path == place_of_index => index.into_response(),
            path if path == place_of_layer && !is_swapped => whole.clone().into_response(),
            path if path == place_of_layer => other.clone().into_response(),
            _ => "{}".into_response(),
        }
    })
    .await;
    let artifacts = artifacts();
    let login = Login {
        username: "bot".to_owned(),
        password: "canary-4711".to_owned(),
    };
    let known = place(&artifacts, &server, Some(login));
    let id = |digits: &str| Oid::parse(digits).unwrap();
    assert!(pull::pull(&known, &id(&digest), None).await.is_ok());
    // Nothing that is about the content is told of the registry, and the other way round.
    let fails = async |place: &Place, digest: &str| {
        let trouble = pull::pull(place, &id(digest), None).await.unwrap_err();
        assert!(!trouble.message.contains("canary"), "{}", trouble.message);
        (trouble.place, trouble.message)
    };
    let (fault, message) = fails(&known, &sum(index.as_bytes())).await;
    assert!(
        fault == Fault::Content && message.contains("index"),
        "{message}"
    );
    let (fault, message) = fails(&known, &"b".repeat(64)).await;
    assert!(
        fault == Fault::Environment && message.contains("digests differ"),
        "{message}"
    );
    let stranger = place(&artifacts, &server, None);
    let (fault, message) = fails(&stranger, &digest).await;
    assert!(
        fault == Fault::Environment && message.contains(FIELD),
        "{message}"
    );
    is_swapped.store(true, Ordering::Relaxed);
    let (fault, message) = fails(&known, &digest).await;
    assert!(
        fault == Fault::Environment && message.contains("digests differ"),
        "{message}"
    );
}

#[tokio::test]
async fn the_authority_of_the_secret_is_trusted_instead_of_the_systems() {
    let _ = artifacts();
    // Given a registry whose certificate is of an authority of its own
    let (ours, other) = (authority(), authority());
    let port = serve(&ours, "localhost", None).await;
    let url = Url::parse(&format!("https://localhost:{port}/v2/")).unwrap();
    let reach = Reach::NetworkAndLoopback;
    let answers = async |web: Web| web.get(&url, None, None, 1024).await;
    let trusting = |authority: &Authority| Web::trusting(reach, &authority.pem()).unwrap();
    // then it is asked by who trusts that, and by nobody else.
    assert!(answers(trusting(&ours)).await.is_ok());
    for web in [trusting(&other), Web::new(reach)] {
        let trouble = answers(web).await.unwrap_err();
        assert!(
            trouble.message.contains("certificate"),
            "{}",
            trouble.message
        );
    }
    let refused = Web::trusting(reach, "canary").err().unwrap();
    assert!(
        refused.contains("ca.crt") && !refused.contains("canary"),
        "{refused}"
    );
}
