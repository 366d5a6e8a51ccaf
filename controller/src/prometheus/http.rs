//! One question over HTTP.

use belay_engine::analysis::threshold::Answer;
use reqwest::{Response, StatusCode, Url};

use super::{Question, answer};
use crate::Result;

/// Largest answer that is read. One number takes a few hundred bytes; this is room for a mistaken query that gives thousands.
const ANSWER_BYTES: usize = 1024 * 1024;

pub(super) fn client() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .user_agent(concat!("belay/", env!("CARGO_PKG_VERSION")))
        // A redirect could carry credentials to a host that nobody named.
        .redirect(reqwest::redirect::Policy::none())
        .pool_max_idle_per_host(2)
        .build()?)
}

/// The answer or what went wrong, and what Prometheus warns of.
pub(super) async fn ask(
    http: &reqwest::Client,
    question: &Question,
) -> (Result<Answer, String>, Vec<String>) {
    let Some(url) = endpoint(&question.server) else {
        return (
            Err(
                "the address of Prometheus is not a URL such as http://prometheus.monitoring:9090"
                    .to_owned(),
            ),
            Vec::new(),
        );
    };
    let host = host(&url);
    match tokio::time::timeout(question.timeout, exchange(http, url, question)).await {
        Ok(Ok((status, body))) => answer::read(&host, status, &body),
        Ok(Err(why)) => (Err(format!("Prometheus at {host} {why}")), Vec::new()),
        Err(_) => (
            Err(format!(
                "Prometheus at {host} did not answer within {} s",
                question.timeout.as_secs_f64()
            )),
            Vec::new(),
        ),
    }
}

fn endpoint(server: &str) -> Option<Url> {
    let url = Url::parse(server).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let path = format!("{}/api/v1/query", url.path().trim_end_matches('/'));
    let mut url = url;
    url.set_path(&path);
    Some(url)
}

/// Host and port, without credentials.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

async fn exchange(
    http: &reqwest::Client,
    url: Url,
    question: &Question,
) -> Result<(StatusCode, Vec<u8>), String> {
    let seconds = question.timeout.as_secs_f64().to_string();
    let form = [("query", question.query.as_str()), ("timeout", &seconds)];
    let response = http
        .post(url)
        .form(&form)
        .send()
        .await
        .map_err(|error| failure(&error))?;
    let status = response.status();
    Ok((status, read(response).await?))
}

async fn read(mut response: Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err(format!(
                "gave more than {} KiB; the query must give one number, aggregate it",
                ANSWER_BYTES / 1024
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What failed, in words that stay the same from one attempt to the next, without the URL.
fn failure(error: &reqwest::Error) -> String {
    if error.is_connect() {
        "can't be reached: the connection was refused, or its name or certificate is wrong"
            .to_owned()
    } else if error.is_timeout() {
        "did not answer in time".to_owned()
    } else {
        "broke off the connection".to_owned()
    }
}
