//! A relay between the controller and the real Prometheus that notes when an answer went out.
//!
//! Invariant: requests and answers pass unchanged. The relay exists to know the moment from which a reaction is measured.

use std::{
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri, header},
    response::Response,
};

/// A running relay.
#[derive(Clone, Debug)]
pub struct Answers {
    shared: Arc<Shared>,
    url: String,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    sent: Mutex<Vec<Answer>>,
}

/// One answer that went out.
#[derive(Clone, Debug)]
pub struct Answer {
    /// When it was handed to the network.
    pub at: Instant,
    /// The query, URL-encoded as it came.
    pub query: String,
    /// The answer's body.
    pub body: String,
}

impl Answers {
    /// Starts a relay to the Prometheus at `upstream`.
    pub async fn relay(upstream: &str) -> std::io::Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let shared = Arc::new(Shared {
            upstream: upstream.trim_end_matches('/').to_owned(),
            client: reqwest::Client::new(),
            sent: Mutex::default(),
        });
        let app = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(Self { shared, url })
    }

    /// Its base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// When the last answer went out that fulfils `wanted`.
    pub fn last(&self, wanted: impl Fn(&Answer) -> bool) -> Option<Instant> {
        let sent = self.shared.sent.lock().ok()?;
        sent.iter()
            .rev()
            .find(|answer| wanted(answer))
            .map(|answer| answer.at)
    }

    /// How many answers went out, and how many bytes.
    pub fn total(&self) -> (usize, usize) {
        self.shared.sent.lock().map_or((0, 0), |sent| {
            (
                sent.len(),
                sent.iter().map(|answer| answer.body.len()).sum(),
            )
        })
    }

    /// Forgets all answers so far.
    pub fn forget(&self) {
        if let Ok(mut sent) = self.shared.sent.lock() {
            sent.clear();
        }
    }
}

async fn pass(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = format!("{} {}", uri, String::from_utf8_lossy(&body));
    match forward(&shared, method, &uri, &headers, body).await {
        Ok((status, text)) => {
            let answer = Answer {
                at: Instant::now(),
                query,
                body: text.clone(),
            };
            if let Ok(mut sent) = shared.sent.lock() {
                sent.push(answer);
            }
            answer_with(status, text)
        }
        Err(error) => answer_with(StatusCode::BAD_GATEWAY, error.to_string()),
    }
}

async fn forward(
    shared: &Shared,
    method: Method,
    uri: &Uri,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<(StatusCode, String), reqwest::Error> {
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = shared
        .client
        .request(method, format!("{}{path}", shared.upstream))
        .body(body);
    if let Some(kind) = headers.get(header::CONTENT_TYPE) {
        request = request.header(header::CONTENT_TYPE, kind);
    }
    let answer = request.send().await?;
    Ok((answer.status(), answer.text().await?))
}

fn answer_with(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}
