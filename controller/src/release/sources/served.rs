//! A server for tests, over real HTTP, that notes what it is asked.

use std::sync::{Arc, Mutex};

use axum::{
    Router,
    extract::{Request, State},
    http::header,
    response::Response,
};

/// What a server was asked for: path, and what it was shown.
type Asked = Arc<Mutex<Vec<(String, Option<String>)>>>;

/// What a server gives at a path.
type Answers = Arc<dyn Fn(&str, Option<&str>) -> Response + Send + Sync>;

/// A server of this machine; it goes with the test.
pub(super) struct Server {
    pub(super) address: String,
    asked: Asked,
}

impl Server {
    pub(super) async fn start(
        answers: impl Fn(&str, Option<&str>) -> Response + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let asked = Asked::default();
        let state = (Arc::clone(&asked), Arc::new(answers) as Answers);
        let router = Router::new().fallback(answer).with_state(state);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    /// What was asked for, in order.
    pub(super) fn paths(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(path, _)| path.clone()).collect()
    }

    /// The headers with logins that came along.
    pub(super) fn shown(&self) -> Vec<Option<String>> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(_, shown)| shown.clone()).collect()
    }
}

async fn answer(State((asked, answers)): State<(Asked, Answers)>, request: Request) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION);
    let shown = shown.map(|value| value.to_str().unwrap().to_owned());
    let path = request.uri().to_string();
    asked.lock().unwrap().push((path.clone(), shown.clone()));
    answers(&path, shown.as_deref())
}
