//! Servers on every pod's address.
//!
//! One listener on all addresses plays all pods: the local address of a connection tells which pod it is for. What becomes of a request
//! is the load model's word (`load`): latency and errors by image tag, changed while it runs. Each pod shows its own counters at
//! `/metrics`, on its address, for Prometheus to scrape.
//!
//! Invariant: a pod that is not ready or is gone answers nothing; whoever connects is reset, and so are connections that were open. A
//! pod that is being deleted goes on serving and ends each connection with its next answer, until its grace period is over; with the
//! word `hardstop` in its tag it stops at once. Left out: other ports than one, other protocols than HTTP/1.1, and bodies.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderValue, Request, Response, StatusCode};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

use crate::load::{Life, LoadHandle, OPEN_METRICS, Outcome, Visit};

/// The port on which all pods serve.
pub(crate) const POD_PORT: u16 = 8080;
/// Headers of every answer: who gave it.
pub(crate) const POD_HEADER: &str = "x-pod";
pub(crate) const VERSION_HEADER: &str = "x-version";
const REVISION_HEADER: &str = "x-revision";

/// Accepting fails when the process has no files left; some are closed soon.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves all pods, without end.
pub(crate) async fn serve(listener: TcpListener, load: LoadHandle) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, load.clone()));
            }
            Err(_) => sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: TcpStream, load: LoadHandle) {
    // Until the end is a good one, closing means a reset, as by a host without that address or a process that was killed.
    let _ = stream.set_zero_linger();
    let _ = stream.set_nodelay(true);
    let Ok(address) = stream.local_addr() else {
        return;
    };
    let Some(visit) = load.visit(address.ip()).await else {
        return;
    };
    let mut life = visit.life.clone();
    let service = service_fn(|request| answer(&load, &visit, request));
    let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        // An error is the caller's: it has gone.
        _ = serving => {}
        _ = life.wait_for(|life| !life.serves()) => {}
    }
}

async fn answer(
    load: &LoadHandle,
    visit: &Visit,
    request: Request<hyper::body::Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut response = if request.uri().path() == "/metrics" {
        let mut page = Response::new(Body::from(load.metrics_of(visit)));
        let kind = HeaderValue::from_static(OPEN_METRICS);
        page.headers_mut().insert(CONTENT_TYPE, kind);
        page
    } else {
        work(load, visit).await
    };
    if *visit.life.borrow() == Life::Draining {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(response)
}

/// What the application would do with the request.
async fn work(load: &LoadHandle, visit: &Visit) -> Response<Body> {
    let begun = Instant::now();
    let Some(outcome) = load.outcome(visit) else {
        // The connection is about to be reset.
        return std::future::pending().await;
    };
    sleep(outcome.latency).await;
    load.count(visit, &outcome, begun.elapsed());
    let mut response = Response::new(Body::from(format!("{}\n", outcome.version)));
    if !outcome.succeeds {
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    }
    name(&mut response, &outcome);
    response
}

fn name(response: &mut Response<Body>, outcome: &Outcome) {
    let headers = [
        (POD_HEADER, &outcome.pod),
        (VERSION_HEADER, &outcome.version),
        (REVISION_HEADER, &outcome.revision),
    ];
    for (header, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(header, value);
        }
    }
}
