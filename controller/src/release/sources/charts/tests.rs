//! A repository and a registry over real HTTP, as they answer.

use std::sync::Arc;

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use super::{super::served::Server, *};

const CHART: &[u8] = b"a packed chart";
const OLDER: &[u8] = b"an older one";

fn digest(bytes: &[u8]) -> String {
    let bytes: [u8; 32] = Sha256::digest(bytes).into();
    hex(bytes)
}

fn charts() -> Charts {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Charts::new(Reach::NetworkAndLoopback)
}

fn login() -> Login {
    Login {
        username: "bot".to_owned(),
        password: "canary-4711".to_owned(),
    }
}

fn basic() -> String {
    format!("Basic {}", STANDARD.encode("bot:canary-4711"))
}

fn wanted<'a>(repository: &'a str, version: &'a str, login: Option<Login>) -> Wanted<'a> {
    Wanted {
        repository,
        name: "web",
        version,
        login,
        fresh: Duration::ZERO,
    }
}

fn message(trouble: Trouble) -> String {
    let message = trouble.into_failure().message;
    assert!(!message.contains("canary-4711"), "{message}");
    message
}

fn index(url: &str) -> String {
    let (newest, older) = (digest(CHART), digest(OLDER));
    format!(
        "apiVersion: v1\nentries:\n  web:\n  - {{version: 1.2.0, digest: {older}, urls: [web-1.2.0.tgz]}}\n  \
         - {{version: 1.10.0, digest: \"sha256:{newest}\", urls: [{url:?}]}}\n  - {{version: 2.0.0, urls: [web-2.0.0.tgz]}}\n"
    )
}

#[tokio::test]
async fn the_highest_version_of_a_repository_is_fetched_once_and_checked() {
    // Given a repository with three versions.
    let server = Server::start(|path, _| match path {
        "/charts/index.yaml" => index("web-1.10.0.tgz").into_response(),
        "/charts/web-1.10.0.tgz" => CHART.into_response(),
        "/charts/web-1.2.0.tgz" => b"something else".into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let repository = format!("http://{}/charts", server.address);
    let charts = charts();
    // When a range is asked for twice, then the chart is fetched once.
    for _ in 0..2 {
        let chart = charts.get(&wanted(&repository, "1.x", None)).await.unwrap();
        assert_eq!(chart.digest(), digest(CHART));
    }
    let expected = [
        "/charts/index.yaml",
        "/charts/web-1.10.0.tgz",
        "/charts/index.yaml",
    ];
    assert_eq!(server.paths(), expected);
    // Then one that is not what the index says, one without digest and one that is not there are refused.
    for (version, words) in [
        ("1.2.0", "digests differ"),
        ("2.0.0", "no SHA-256 digest"),
        ("^3", "has no version"),
        ("newest", "write for example"),
    ] {
        let trouble = charts.get(&wanted(&repository, version, None)).await;
        let message = message(trouble.unwrap_err());
        assert!(message.contains(words), "{message}");
    }
}

#[tokio::test]
async fn a_login_goes_to_its_own_origin_and_redirects_stay_on_the_web() {
    // Given a repository with a login, whose chart is on another host, or is redirected.
    let other = Server::start(|_, _| CHART.into_response()).await;
    let place = format!("http://{}/web.tgz", other.address);
    let elsewhere = place.clone();
    let server = Server::start(move |path, shown| match (path, shown) {
        (_, shown) if shown != Some(&basic()) => StatusCode::UNAUTHORIZED.into_response(),
        ("/index.yaml", _) => index(&elsewhere).into_response(),
        ("/moved/index.yaml", _) => index("web.tgz").into_response(),
        ("/moved/web.tgz", _) => {
            (StatusCode::FOUND, [(header::LOCATION, elsewhere.clone())]).into_response()
        }
        ("/odd/index.yaml", _) => (
            StatusCode::FOUND,
            [(header::LOCATION, "file:///etc/passwd")],
        )
            .into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    })
    .await;
    let charts = charts();
    for path in ["", "/moved"] {
        let repository = format!("http://{}{path}", server.address);
        let chart = charts
            .get(&wanted(&repository, "~1.10", Some(login())))
            .await;
        assert_eq!(chart.unwrap().digest(), digest(CHART), "{path}");
    }
    assert_eq!(other.shown(), [None, None]);
    let repository = format!("http://{}/odd", server.address);
    let trouble = charts.get(&wanted(&repository, "1.x", Some(login()))).await;
    assert!(message(trouble.unwrap_err()).contains("not a web address"));
    // Without the login it says what is missing.
    let repository = format!("http://{}", server.address);
    let trouble = charts.get(&wanted(&repository, "1.x", None)).await;
    assert!(message(trouble.unwrap_err()).contains("secretRef"));
}

fn registry(path: &str, shown: Option<&str>, address: &str) -> Response {
    if path.starts_with("/token") {
        let is_right =
            shown == Some(&basic()) && path.contains("scope=repository%3Acharts%2Fweb%3Apull");
        return if is_right {
            r#"{"token": "t-1"}"#.into_response()
        } else {
            StatusCode::UNAUTHORIZED.into_response()
        };
    }
    if shown != Some("Bearer t-1") {
        let challenge = format!(
            "Bearer realm=\"http://{address}/token\",service=\"r\",scope=\"repository:charts/web:pull\""
        );
        return (
            StatusCode::UNAUTHORIZED,
            [(header::WWW_AUTHENTICATE, challenge)],
        )
            .into_response();
    }
    let layer = format!(
        r#"{{"layers": [{{"mediaType": "application/vnd.cncf.helm.chart.content.v1.tar+gzip", "digest": "sha256:{}"}}]}}"#,
        digest(CHART)
    );
    match path {
        "/v2/charts/web/tags/list?n=1000" => {
            let next = "</v2/charts/web/tags/list?n=1000&last=1.2.0>; rel=\"next\"";
            ([("link", next)], r#"{"tags": ["1.2.0", "latest"]}"#).into_response()
        }
        "/v2/charts/web/tags/list?n=1000&last=1.2.0" => r#"{"tags": ["1.10.0_a"]}"#.into_response(),
        "/v2/charts/web/manifests/1.10.0_a" => layer.into_response(),
        "/v2/charts/web/manifests/1.2.0" => {
            let odd = format!("sha256:{}", digest(b"x"));
            ([("docker-content-digest", odd)], layer).into_response()
        }
        path if path == format!("/v2/charts/web/blobs/sha256:{}", digest(CHART)) => {
            CHART.into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

#[tokio::test]
async fn a_chart_of_a_registry_is_found_by_its_tags_with_a_token() {
    // Given a registry that wants a token, and lists its tags on two pages.
    let own = Arc::new(std::sync::OnceLock::<String>::new());
    let address = Arc::clone(&own);
    let server = Server::start(move |path, shown| {
        registry(path, shown, address.get().map_or("", String::as_str))
    })
    .await;
    own.set(server.address.clone()).unwrap();
    let repository = format!("oci://{}/charts", server.address);
    let charts = charts();
    // When a range is asked for, then the highest version comes, with its build metadata.
    let wanted_now = wanted(&repository, "1.x", Some(login()));
    let chart = charts.get(&wanted_now).await.unwrap();
    assert_eq!(chart, ChartArchive::new("web", "1.10.0+a", CHART));
    // When a manifest is not what its digest says, or is not there, then that is told.
    for (version, words) in [("1.2.0", "digests differ"), ("3.0.0", "does not have")] {
        let trouble = charts
            .get(&wanted(&repository, version, Some(login())))
            .await;
        let message = message(trouble.unwrap_err());
        assert!(message.contains(words), "{message}");
    }
    // When the login is missing, then what is missing is told.
    let trouble = charts.get(&wanted(&repository, "1.x", None)).await;
    assert!(message(trouble.unwrap_err()).contains("secretRef"));
}

#[tokio::test]
async fn addresses_that_no_login_should_go_to_are_refused() {
    let charts = charts();
    for (repository, words) in [
        ("http://charts.example.com", "clear text"),
        ("https://bot:x@charts.example.com", "secretRef"),
        ("file:///etc", "write https://"),
        ("http://169.254.169.254/", "clear text"),
        ("https://169.254.169.254/", "may not be asked"),
        ("oci://169.254.169.254/x", "may not be asked"),
    ] {
        let trouble = charts.get(&wanted(repository, "1.x", Some(login()))).await;
        let message = message(trouble.unwrap_err());
        assert!(message.contains(words), "{repository}: {message}");
    }
}

#[tokio::test]
async fn answers_without_end_are_cut_off() {
    let server = Server::start(|_, _| vec![b' '; 33 << 20].into_response()).await;
    let repository = format!("http://{}", server.address);
    let trouble = charts().get(&wanted(&repository, "1.x", None)).await;
    assert!(message(trouble.unwrap_err()).contains("more than 32 MiB"));
}
