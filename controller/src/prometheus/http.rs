//! One question over HTTP.

use std::time::Duration;

use reqwest::{Response, StatusCode, Url, header::RETRY_AFTER};

use super::{About, Access, Data, Question, answer};

/// Largest answer that is read. Counters of a thousand pods take a few hundred KiB, their histograms some MiB.
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// What came of one question.
#[derive(Debug)]
pub(super) enum Exchanged {
    /// The server answered.
    Answer {
        status: StatusCode,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
        /// The answer, or what it says is wrong.
        outcome: Result<Data, String>,
        warnings: Vec<String>,
    },
    /// There was no answer.
    Failed { trouble: Trouble, why: String },
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It took too long.
    Timeout,
    /// Anything else.
    Other,
}

impl Exchanged {
    fn failed(trouble: Trouble, why: String) -> Self {
        Self::Failed { trouble, why }
    }

    /// What the one who asked is told.
    pub(super) fn told(self) -> (Result<Data, String>, Vec<String>) {
        match self {
            Self::Answer {
                outcome, warnings, ..
            } => (outcome, warnings),
            Self::Failed { why, .. } => (Err(why), Vec::new()),
        }
    }
}

/// Asks one question.
pub(super) async fn ask(question: &Question) -> Exchanged {
    let Some(url) = endpoint(&question.server, question.about) else {
        let why =
            "the address of Prometheus is not a URL such as http://prometheus.monitoring:9090";
        return Exchanged::failed(Trouble::Other, why.to_owned());
    };
    let host = host(&url);
    match tokio::time::timeout(question.timeout, exchange(url, question)).await {
        Ok(Ok(received)) => {
            let (outcome, warnings) =
                answer::read(&host, received.status, &received.body, question.words);
            Exchanged::Answer {
                status: received.status,
                retry_after: received.retry_after,
                outcome,
                warnings,
            }
        }
        Ok(Err((trouble, why))) => {
            Exchanged::failed(trouble, format!("Prometheus at {host} {why}"))
        }
        Err(_) => Exchanged::failed(
            Trouble::Timeout,
            format!(
                "Prometheus at {host} did not answer within {} s",
                question.timeout.as_secs_f64()
            ),
        ),
    }
}

struct Received {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Vec<u8>,
}

type Failure = (Trouble, String);

fn endpoint(server: &str, about: About) -> Option<Url> {
    let url = Url::parse(server).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        return None;
    }
    let call = match about {
        About::Now { .. } | About::Time(_) => "query",
        About::Range { .. } => "query_range",
    };
    let path = format!("{}/api/v1/{call}", url.path().trim_end_matches('/'));
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

async fn exchange(url: Url, question: &Question) -> Result<Received, Failure> {
    let mut form = vec![
        ("query", question.query.clone()),
        ("timeout", question.timeout.as_secs_f64().to_string()),
    ];
    match question.about {
        About::Now { .. } => {}
        About::Time(time) => form.push(("time", time.to_string())),
        About::Range { from, to, step } => form.extend([
            ("start", from.to_string()),
            ("end", to.to_string()),
            ("step", step.as_secs_f64().to_string()),
        ]),
    }
    let Access {
        client, headers, ..
    } = question.access.as_ref();
    let response = client
        .post(url)
        .headers(headers.clone())
        .form(&form)
        .send()
        .await
        .map_err(|error| failure(&error))?;
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok())
        .map(Duration::from_secs);
    Ok(Received {
        status: response.status(),
        retry_after,
        body: read(response).await?,
    })
}

async fn read(mut response: Response) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| failure(&error))? {
        if body.len() + chunk.len() > ANSWER_BYTES {
            return Err((
                Trouble::Other,
                format!(
                    "gave more than {} MiB; aggregate in the query, to one number for a threshold, by pod for a comparison",
                    ANSWER_BYTES / 1024 / 1024
                ),
            ));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// What failed, in words that stay the same from one attempt to the next, without the URL.
fn failure(error: &reqwest::Error) -> Failure {
    if error.is_timeout() {
        (Trouble::Timeout, "did not answer in time".to_owned())
    } else if error.is_connect() {
        (
            Trouble::Other,
            "can't be reached: the connection was refused, or its name or certificate is wrong"
                .to_owned(),
        )
    } else {
        (Trouble::Other, "broke off the connection".to_owned())
    }
}
