//! Against a real server on loopback: what is sent, what is made of the answers, and what never leaves.

use std::{
    future::Future,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request as Incoming,
    response::Response,
};
use serde_json::{Value, json};

use super::*;

/// A request as it came in.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen {
    pub(super) method: String,
    pub(super) uri: String,
    pub(super) headers: HashMap<String, String>,
    pub(super) body: String,
}

/// A server that answers as it is told to, and remembers what it was asked.
pub(super) struct StandIn {
    pub(super) address: String,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl StandIn {
    pub(super) async fn start<F, A>(answer: F) -> Self
    where
        F: Fn(Seen) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response> + Send,
    {
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let remembered = Arc::clone(&seen);
        let router = Router::new().fallback(move |request: Incoming| {
            let (answer, remembered) = (answer.clone(), Arc::clone(&remembered));
            async move {
                let seen = look(request).await;
                remembered.lock().unwrap().push(seen.clone());
                answer(seen).await
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    /// One that always gives this.
    pub(super) async fn fixed(status: u16, body: &Value) -> Self {
        let body = body.to_string();
        Self::start(move |_| {
            let body = body.clone();
            async move { respond(status, &body) }
        })
        .await
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

pub(super) fn respond(status: u16, body: &str) -> Response {
    let response = Response::builder().status(status);
    response.body(Body::from(body.to_owned())).unwrap()
}

async fn look(request: Incoming) -> Seen {
    let (parts, body) = request.into_parts();
    let headers = parts.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.as_str().to_owned(), value)
    });
    let body = to_bytes(body, usize::MAX).await.unwrap();
    Seen {
        method: parts.method.to_string(),
        uri: parts.uri.to_string(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

pub(super) fn prober() -> Prober {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Prober::new(Reach::NetworkAndLoopback).unwrap()
}

fn gate(url: &str, more: &Value) -> HttpQuestion {
    let mut spec = json!({"url": url, "timeout": "20s", "retries": {"limit": 0, "backoff": "1ms"}});
    let fields = spec.as_object_mut().unwrap();
    fields.extend(more.as_object().unwrap().clone());
    HttpQuestion::new(&serde_json::from_value(spec).unwrap())
}

fn knowing(secrets: &[(&str, &str)]) -> Known {
    let secrets = secrets.iter().map(|(key, value)| {
        let key = SecretKey {
            name: "s".to_owned(),
            key: (*key).to_owned(),
        };
        (key, (*value).to_owned())
    });
    Known {
        secrets: secrets.collect(),
        ..Known::default()
    }
}

async fn ask(url: &str, more: &Value) -> GateResult {
    prober().ask(&gate(url, more), &Known::default()).await
}

fn is_error(result: &GateResult, part: &str) {
    assert!(
        matches!(result, GateResult::Error { why } if why.contains(part)),
        "{result:?} should be an error with {part:?}"
    );
}

#[tokio::test]
async fn an_expected_answer_passes_and_a_broken_expectation_fails() {
    let server = StandIn::fixed(200, &json!({"healthy": true, "queue": 7})).await;
    let url = &server.address;
    assert!(matches!(
        ask(url, &json!({})).await,
        GateResult::Pass { .. }
    ));
    let below = |max: u32| json!({"expect": {"json": [{"path": "$.queue", "max": max}]}});
    assert_eq!(
        ask(url, &below(10)).await,
        GateResult::Pass {
            value: "7".to_owned()
        }
    );
    assert_eq!(
        ask(url, &below(5)).await,
        GateResult::Fail {
            value: "7".to_owned(),
            why: "$.queue is 7, above the maximum of 5".to_owned()
        }
    );
    let absent = json!({"expect": {"json": [{"path": "$.nothing", "max": 5}]}});
    assert!(matches!(ask(url, &absent).await, GateResult::NoData { .. }));
    let slow = json!({"expect": {"maxLatency": "0s"}});
    assert!(matches!(ask(url, &slow).await, GateResult::Fail { .. }));
}

#[tokio::test]
async fn statuses_are_judged_by_what_was_expected() {
    let server = StandIn::start(|seen| async move {
        let status = seen.uri.trim_start_matches('/').parse().unwrap();
        respond(status, "{}")
    })
    .await;
    let at = |status: u16| format!("{}/{status}", server.address);
    for status in [400, 401, 404, 302] {
        is_error(&ask(&at(status), &json!({})).await, &status.to_string());
    }
    let listed = json!({"expect": {"status": [204, 503]}});
    assert!(matches!(
        ask(&at(204), &listed).await,
        GateResult::Pass { .. }
    ));
    assert!(matches!(
        ask(&at(503), &listed).await,
        GateResult::Pass { .. }
    ));
    assert!(matches!(
        ask(&at(404), &listed).await,
        GateResult::Fail { .. }
    ));
    is_error(&ask(&at(500), &listed).await, "500");
    let own = json!({"expect": {"status": [200]}, "unavailableIs": "Fail"});
    assert!(matches!(ask(&at(500), &own).await, GateResult::Fail { .. }));
}

#[tokio::test]
async fn what_does_not_answer_is_an_error_unless_it_is_the_new_version_itself() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    is_error(&ask(&nobody, &json!({})).await, "can't be reached");
    let own = json!({"unavailableIs": "Fail"});
    assert!(matches!(ask(&nobody, &own).await, GateResult::Fail { .. }));
    let mute = StandIn::start(|_| std::future::pending()).await;
    let hasty = json!({"timeout": "100ms"});
    is_error(
        &ask(&mute.address, &hasty).await,
        "did not answer within 0.1 s",
    );
    let page = StandIn::start(|_| async { respond(200, "<html>") }).await;
    let json = json!({"expect": {"json": [{"path": "$.a", "exists": true}]}});
    is_error(&ask(&page.address, &json).await, "not JSON");
    let huge = StandIn::start(|_| async { respond(200, &"x".repeat(2 * 1024 * 1024)) }).await;
    is_error(&ask(&huge.address, &json!({})).await, "more than 1024 KiB");
}

#[tokio::test]
async fn a_passing_outage_is_tried_again_and_an_answer_is_not() {
    let outage = Arc::new(AtomicU32::new(2));
    let server = StandIn::start(move |_| {
        let left = outage.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            left.checked_sub(1)
        });
        async move { respond(if left.is_ok() { 503 } else { 200 }, "{}") }
    })
    .await;
    let patient = json!({"retries": {"limit": 2, "backoff": "1ms"}});
    assert!(matches!(
        ask(&server.address, &patient).await,
        GateResult::Pass { .. }
    ));
    assert_eq!(server.seen().len(), 3);
    let refusing = StandIn::fixed(404, &json!({})).await;
    is_error(&ask(&refusing.address, &patient).await, "404");
    assert_eq!(refusing.seen().len(), 1);
    // A POST may have been carried out: it is sent once unless its author says otherwise.
    let broken = StandIn::fixed(503, &json!({})).await;
    let spec = json!({"url": broken.address, "method": "POST", "body": "{}"});
    let question = HttpQuestion::new(&serde_json::from_value(spec).unwrap());
    is_error(&prober().ask(&question, &Known::default()).await, "503");
    assert_eq!(broken.seen().len(), 1);
}

#[tokio::test]
async fn secrets_are_sent_and_never_shown() {
    // Given a server that repeats every secret it was sent.
    let server = StandIn::start(|seen| async move {
        let body = json!({"header": seen.headers.get("x-key"), "auth": seen.headers.get("authorization"), "sent": seen.body});
        respond(200, &body.to_string())
    })
    .await;
    let secrets = [
        ("key", "canary-header\n"),
        ("user", "canary-user"),
        ("password", "canary-password"),
    ];
    let mut known = knowing(&secrets);
    known
        .values
        .insert("token".to_owned(), "canary-token".to_owned());
    known.secret_values.push("token".to_owned());
    let key = |key: &str| json!({"name": "s", "key": key});
    for path in ["$.header", "$.auth", "$.sent"] {
        let question = gate(
            &server.address,
            &json!({
                "method": "POST",
                "headers": [{"name": "X-Key", "secretKey": key("key"), "prefix": "Api "}],
                "auth": {"basic": {"username": key("user"), "password": key("password")}},
                "body": "{\"token\":\"{{token}}\"}",
                "expect": {"json": [{"path": path, "equals": "x"}]},
            }),
        );
        // When an expectation about it is broken.
        let result = prober().ask(&question, &known).await;
        // Then it is said, without the secret.
        let GateResult::Fail { value, why } = &result else {
            panic!("{result:?}");
        };
        for shown in [value, why] {
            assert!(shown.contains("[redacted]"), "{shown}");
            assert!(
                !shown.contains("canary") && !shown.contains("Y2FuYXJ5"),
                "{shown}"
            );
        }
    }
    let seen = server.seen().pop().unwrap();
    assert_eq!(seen.headers["x-key"], "Api canary-header");
    assert_eq!(
        seen.headers["authorization"],
        "Basic Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3N3b3Jk"
    );
    assert_eq!(seen.body, "{\"token\":\"canary-token\"}");
}

#[tokio::test]
async fn redirects_are_followed_on_request_and_carry_no_credentials_elsewhere() {
    let other = StandIn::fixed(200, &json!({})).await;
    let elsewhere = format!("{}/there", other.address);
    let server = StandIn::start(move |seen| {
        let to = match seen.uri.as_str() {
            "/away" => Some(elsewhere.clone()),
            "/near" => Some("/here".to_owned()),
            "/round" => Some("/round".to_owned()),
            "/metadata" => Some("http://169.254.169.254/latest".to_owned()),
            _ => None,
        };
        async move {
            let response = Response::builder().status(if to.is_some() { 307 } else { 200 });
            let response = match to {
                Some(to) => response.header("location", to),
                None => response,
            };
            response.body(Body::from("{}")).unwrap()
        }
    })
    .await;
    let known = knowing(&[("key", "hunter2")]);
    let key = json!({"name": "s", "key": "key"});
    let question = |path: &str, redirects: &str| {
        gate(
            &format!("{}{path}", server.address),
            &json!({
                "method": "POST", "body": "{}", "redirects": redirects,
                "headers": [{"name": "X-Key", "secretKey": key}], "auth": {"bearer": key},
            }),
        )
    };
    let prober = prober();
    is_error(
        &prober.ask(&question("/away", "Refuse"), &known).await,
        "307",
    );
    assert!(other.seen().is_empty());
    let result = prober.ask(&question("/away", "Follow"), &known).await;
    assert!(matches!(result, GateResult::Pass { .. }), "{result:?}");
    let seen = other.seen().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.body.as_str()), ("GET", ""));
    assert!(!seen.headers.contains_key("x-key") && !seen.headers.contains_key("authorization"));
    let result = prober.ask(&question("/near", "Follow"), &known).await;
    assert!(matches!(result, GateResult::Pass { .. }), "{result:?}");
    assert_eq!(server.seen().pop().unwrap().headers["x-key"], "hunter2");
    is_error(
        &prober.ask(&question("/round", "Follow"), &known).await,
        "redirects in a row",
    );
    is_error(
        &prober.ask(&question("/metadata", "Follow"), &known).await,
        "link-local",
    );
}

#[tokio::test]
async fn where_requests_may_go_is_judged_before_anything_is_sent() {
    let server = StandIn::fixed(200, &json!({})).await;
    let _ = prober();
    let careful = Prober::new(Reach::Network).unwrap();
    let port = server.address.rsplit(':').next().unwrap();
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let question = gate(
            &format!("http://{host}:{port}"),
            &json!({"retries": {"limit": 5, "backoff": "1h"}}),
        );
        is_error(
            &careful.ask(&question, &Known::default()).await,
            "--allow-loopback",
        );
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn what_can_never_be_asked_is_refused_when_the_template_is_read() {
    let check = |spec: Value| {
        let question = HttpQuestion::new(&serde_json::from_value(spec).unwrap());
        let values = Values::from([
            ("service".to_owned(), "value".to_owned()),
            ("token".to_owned(), "value".to_owned()),
        ]);
        question.check(&values, &["token"])
    };
    assert_eq!(check(json!({"url": "http://{{service}}/x"})), Ok(()));
    let condition = json!({"url": "http://web", "expect": {"json": [{"path": "$.a[?@.b=='{{service}}']", "exists": true}]}});
    assert_eq!(check(condition), Ok(()));
    for (wrong, part) in [
        (json!({"url": "http://{{nobody}}/x"}), "nobody"),
        (json!({"url": "http://web", "body": "{{nobody}}"}), "nobody"),
        (
            json!({"url": "http://web", "expect": {"json": [{"path": "$.a[", "exists": true}]}}),
            "JSONPath",
        ),
        (
            json!({"url": "http://web", "expect": {"json": [{"path": "$.a", "equals": "{{token}}"}]}}),
            "headers and the body only",
        ),
    ] {
        let why = check(wrong).unwrap_err();
        assert!(why.contains(part), "{why}");
    }
}

#[tokio::test]
async fn a_slow_host_does_not_hold_up_others() {
    let mute = StandIn::start(|_| std::future::pending()).await;
    let quick = StandIn::fixed(200, &json!({})).await;
    let prober = Arc::new(prober());
    let waiting: Vec<_> = (0..=REQUESTS_AT_ONCE)
        .map(|_| {
            let (prober, question) = (
                Arc::clone(&prober),
                gate(&mute.address, &json!({"timeout": "1m"})),
            );
            tokio::spawn(async move { prober.ask(&question, &Known::default()).await })
        })
        .collect();
    let all_slots = async {
        while mute.seen().len() < REQUESTS_AT_ONCE {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all_slots)
        .await
        .unwrap();
    // Same host, another port: hosts are told apart by their names.
    let url = quick.address.replace("127.0.0.1", "localhost");
    let result = prober.ask(&gate(&url, &json!({})), &Known::default()).await;
    assert!(matches!(result, GateResult::Pass { .. }), "{result:?}");
    assert_eq!(mute.seen().len(), REQUESTS_AT_ONCE);
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
}
