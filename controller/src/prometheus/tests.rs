//! Against a real HTTP server in the same process.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{Router, routing::post};
use belay_engine::analysis::threshold::Answer;
use tokio::sync::Semaphore;

use super::*;

async fn serve(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

fn question(server: String) -> Question {
    Question {
        server,
        access: access(0),
        query: "up".to_owned(),
        timeout: Duration::from_secs(2),
        about: About::Now {
            not_before: Timestamp::now(),
        },
        words: Words::Shown,
    }
}

fn access(id: u8) -> Arc<Access> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut headers = HeaderMap::new();
    headers.insert("x-scope-orgid", u16::from(id).into());
    Arc::new(Access::new([id; 32], headers, reqwest::Client::new()))
}

fn client() -> Prometheus {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Prometheus::new(PrometheusMetrics::new())
}

const ONE: &str = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"1"]}}"#;

#[tokio::test]
async fn who_asks_the_same_at_the_same_time_shares_one_question() {
    // Given a Prometheus that counts its questions and answers when all have come.
    let asked = Arc::new(AtomicUsize::new(0));
    let gate = Arc::new(Semaphore::new(0));
    let (counter, waiting) = (Arc::clone(&asked), Arc::clone(&gate));
    let app = Router::new().route(
        "/api/v1/query",
        post(move || async move {
            counter.fetch_add(1, Ordering::Relaxed);
            let _ = waiting.acquire().await;
            ONE
        }),
    );
    let server = format!("http://{}", serve(app).await);
    let prometheus = client();
    // When ten ask the same.
    let same = question(server.clone());
    let asks: Vec<_> = (0..10).map(|_| prometheus.ask(same.clone())).collect();
    let all = futures::future::join_all(asks);
    let (replies, ()) = tokio::join!(all, async { gate.add_permits(100) });
    // Then one question was asked, and everybody has the answer.
    assert!(
        replies
            .iter()
            .all(|r| r.outcome.as_ref().unwrap().numbers() == Answer::Scalar(1.0))
    );
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    // And who needs a newer answer asks anew.
    prometheus.ask(question(server)).await;
    assert_eq!(asked.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn credentials_of_the_address_are_sent_and_never_told() {
    use axum::http::{HeaderMap, StatusCode};
    let app = Router::new().route(
        "/api/v1/query",
        post(|headers: HeaderMap| async move {
            match headers.get("authorization") {
                Some(_) => (StatusCode::UNAUTHORIZED, "wrong password"),
                None => (StatusCode::OK, ONE),
            }
        }),
    );
    let server = format!("http://user:hunter2@{}", serve(app).await);
    let reply = client().ask(question(server)).await;
    let why = reply.outcome.as_ref().unwrap_err();
    assert!(why.contains("refused the credentials"), "{why}");
    assert!(!why.contains("hunter2"), "{why}");
    let nowhere = client()
        .ask(question("http://user:hunter2@127.0.0.1:1".to_owned()))
        .await;
    let why = nowhere.outcome.as_ref().unwrap_err();
    assert!(
        why.contains("can't be reached") && !why.contains("hunter2"),
        "{why}"
    );
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_not_read() {
    let app = Router::new().route("/api/v1/query", post(|| async { "x".repeat(9 << 20) }));
    let reply = client()
        .ask(question(format!("http://{}", serve(app).await)))
        .await;
    assert!(reply.outcome.as_ref().unwrap_err().contains("8 MiB"));
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_after_the_timeout() {
    let app = Router::new().route(
        "/api/v1/query",
        post(|| async {
            std::future::pending::<()>().await;
            ONE
        }),
    );
    let slow = Question {
        timeout: Duration::from_millis(50),
        ..question(format!("http://{}", serve(app).await))
    };
    let reply = client().ask(slow).await;
    assert!(
        reply
            .outcome
            .as_ref()
            .unwrap_err()
            .contains("within 0.05 s")
    );
}

#[tokio::test]
async fn who_asks_about_the_same_time_shares_one_question() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&asked);
    let app = Router::new().route(
        "/api/v1/query",
        post(move |form: String| async move {
            lock(&seen).push(form);
            ONE
        }),
    );
    let time: Timestamp = "2026-01-02T03:04:05Z".parse().unwrap();
    let about = |time| Question {
        about: About::Time(time),
        ..question(String::new())
    };
    let server = format!("http://{}", serve(app).await);
    let prometheus = client();
    for time in [time, time, time + Duration::from_secs(1)] {
        let question = Question {
            server: server.clone(),
            ..about(time)
        };
        assert_eq!(prometheus.ask(question).await.at, time);
    }
    let forms = lock(&asked);
    assert_eq!(forms.len(), 2);
    assert!(
        forms[0].contains("time=2026-01-02T03%3A04%3A05Z"),
        "{forms:?}"
    );
}

#[tokio::test]
async fn a_server_with_too_much_to_do_is_left_alone() {
    use axum::http::{StatusCode, header::RETRY_AFTER};
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let app = Router::new().route(
        "/api/v1/query",
        post(move || async move {
            counter.fetch_add(1, Ordering::Relaxed);
            (
                StatusCode::TOO_MANY_REQUESTS,
                [(RETRY_AFTER, "30")],
                "slow down",
            )
        }),
    );
    let server = format!("http://{}", serve(app).await);
    let prometheus = client();
    // Given a server that asked for thirty seconds of rest.
    let reply = prometheus.ask(question(server.clone())).await;
    assert!(reply.outcome.as_ref().unwrap_err().contains("429"));
    // When others ask something else, then they are told so at once, and it is not asked.
    for number in 0..20 {
        let other = Question {
            query: format!("up + {number}"),
            ..question(server.clone())
        };
        let reply = prometheus.ask(other).await;
        let why = reply.outcome.as_ref().unwrap_err();
        assert!(why.contains("too much to do"), "{why}");
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn who_has_other_credentials_gets_an_answer_of_his_own() {
    use axum::http::HeaderMap;
    let app = Router::new().route(
        "/api/v1/query",
        post(|headers: HeaderMap| async move {
            let tenant = headers["x-scope-orgid"].to_str().unwrap_or_default();
            format!(
                r#"{{"status":"success","data":{{"resultType":"scalar","result":[1,"{tenant}"]}}}}"#
            )
        }),
    );
    let prometheus = client();
    let of_tenant = question(format!("http://{}", serve(app).await));
    for tenant in [1, 2] {
        let question = Question {
            access: access(tenant),
            about: About::Time(Timestamp::UNIX_EPOCH),
            ..of_tenant.clone()
        };
        let reply = prometheus.ask(question).await;
        let answer = reply.outcome.as_ref().unwrap().numbers();
        assert_eq!(answer, Answer::Scalar(f64::from(tenant)));
    }
}

#[test]
fn an_answer_with_a_warning_is_no_answer() {
    let reply = |warnings: &[&str]| Reply {
        at: Timestamp::UNIX_EPOCH,
        outcome: Ok(Arc::new(Data::Vector(Vec::new()))),
        warnings: warnings.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(reply(&[]).whole(), Ok(&Arc::new(Data::Vector(Vec::new()))));
    let why = reply(&["a store did not answer"]).whole().unwrap_err();
    assert!(why.ends_with("warns: a store did not answer"), "{why}");
}
