//! From HTTP to the CGI interface of `git http-backend` (RFC 3875), as far as that program uses it.
//!
//! Invariant: the program runs without a shell, in a clean environment, for a bounded time, and ends with its request.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::{GitHost, Login, lfs};

/// The largest push.
const BODY_LIMIT: usize = 256 * 1024 * 1024;
/// How long one request may take.
const ANSWER_WITHIN: Duration = Duration::from_mins(2);

struct Bridge {
    host: GitHost,
    backend: PathBuf,
}

pub(super) fn router(host: GitHost, backend: PathBuf) -> Router {
    Router::new()
        .fallback(answer)
        .with_state(Arc::new(Bridge { host, backend }))
}

async fn answer(State(bridge): State<Arc<Bridge>>, request: Request) -> Response {
    bridge.host.count();
    let user = match bridge.host.login_for(request.uri().path()) {
        Some(login) if !shows(request.headers(), &login) => {
            return (
                StatusCode::UNAUTHORIZED,
                [(WWW_AUTHENTICATE, "Basic realm=\"lab\"")],
                "wrong or no login\n",
            )
                .into_response();
        }
        Some((user, _)) => user,
        None => "anonymous".to_owned(),
    };
    match timeout(ANSWER_WITHIN, bridge.run(request, &user)).await {
        Ok(Ok(response)) => response,
        Ok(Err(message)) => (StatusCode::INTERNAL_SERVER_ERROR, message).into_response(),
        Err(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "git http-backend takes too long\n",
        )
            .into_response(),
    }
}

/// Whether the request carries this login.
fn shows(headers: &HeaderMap, (user, password): &Login) -> bool {
    let expected = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
    headers
        .get(AUTHORIZATION)
        .is_some_and(|value| value.as_bytes() == expected.as_bytes())
}

impl Bridge {
    async fn run(&self, request: Request, user: &str) -> Result<Response, String> {
        let (head, body) = request.into_parts();
        let body = to_bytes(body, BODY_LIMIT)
            .await
            .map_err(|error| format!("cannot read the request: {error}\n"))?;
        if let Some(answer) = lfs::answer(&self.host, &head.method, head.uri.path(), &body) {
            return Ok(answer);
        }
        let header = |name: &str| {
            head.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .unwrap_or_default()
        };
        let mut backend = Command::new(&self.backend);
        backend.env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            backend.env("PATH", path);
        }
        backend
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_PROJECT_ROOT", self.host.root())
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GATEWAY_INTERFACE", "CGI/1.1")
            .env("SERVER_PROTOCOL", "HTTP/1.1")
            .env("REMOTE_ADDR", "127.0.0.1")
            // Whoever is named here may push.
            .env("REMOTE_USER", user)
            .env("REQUEST_METHOD", head.method.as_str())
            .env("PATH_INFO", head.uri.path())
            .env("QUERY_STRING", head.uri.query().unwrap_or_default())
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("CONTENT_TYPE", header(CONTENT_TYPE.as_str()))
            .env("HTTP_CONTENT_ENCODING", header(CONTENT_ENCODING.as_str()))
            .env("GIT_PROTOCOL", header("git-protocol"));
        let output = feed(backend, body)
            .await
            .map_err(|error| format!("cannot run git http-backend: {error}\n"))?;
        response(&output)
    }
}

async fn feed(mut program: Command, body: Bytes) -> std::io::Result<Vec<u8>> {
    program
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let mut child = program.spawn()?;
    let input = child.stdin.take();
    let write = async {
        if let Some(mut input) = input {
            // A program that does not want all of it closes the pipe, and then tells why in its answer.
            let _ = input.write_all(&body).await;
        }
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    Ok(output?.stdout)
}

/// Takes the CGI answer apart: headers, an empty line, the body.
fn response(output: &[u8]) -> Result<Response, String> {
    let end = output
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .ok_or("git http-backend gave no headers\n")?;
    let (head, body) = output.split_at(end);
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(head).lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let value = value.trim();
        response = if name.eq_ignore_ascii_case("status") {
            let code = value
                .split(' ')
                .next()
                .and_then(|code| code.parse::<u16>().ok());
            response.status(code.unwrap_or(500))
        } else {
            response.header(name, value)
        };
    }
    let body = Body::from(body.get(4..).unwrap_or_default().to_vec());
    response
        .body(body)
        .map_err(|error| format!("git http-backend gave bad headers: {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgi_answer_is_taken_apart() {
        let answer =
            response(b"Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno\r\n\r\nmore")
                .unwrap();
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain");
        let plain = response(b"Content-Type: application/x-git\r\n\r\n").unwrap();
        assert_eq!(plain.status(), StatusCode::OK);
        assert!(response(b"nonsense").is_err());
    }

    #[test]
    fn only_the_very_login_is_let_in() {
        let login = (String::from("ann"), String::from("s:3"));
        let header = |text: &str| {
            HeaderMap::from_iter([(
                AUTHORIZATION,
                format!("Basic {}", BASE64.encode(text)).parse().unwrap(),
            )])
        };
        assert!(shows(&header("ann:s:3"), &login));
        assert!(!shows(&header("ann:s"), &login) && !shows(&HeaderMap::new(), &login));
    }
}
