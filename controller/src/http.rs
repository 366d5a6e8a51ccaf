//! `/livez`, `/readyz` and `/metrics`.
//!
//! Invariant: answers come from memory; a probe or a scrape never causes a request to the API server.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Error, Result, telemetry::Metrics};

/// Media type of OpenMetrics text.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process does its part: as a standby it has asked for the lease, as the holder each of its controllers has read the
/// cluster.
#[derive(Clone, Debug)]
pub struct Readiness(Arc<AtomicUsize>);

impl Readiness {
    /// Not ready until something says so.
    pub fn not_yet() -> Self {
        Self(Arc::new(AtomicUsize::new(1)))
    }

    /// Not ready until this many parts are.
    pub fn expect(&self, parts: usize) {
        self.0.store(parts, Ordering::Relaxed);
    }

    /// One part is ready.
    pub fn part_is_ready(&self) {
        let _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                Some(left.saturating_sub(1))
            });
    }

    fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

#[derive(Clone)]
struct Served {
    metrics: Arc<Metrics>,
    ready: Readiness,
}

/// Starts to serve; ends with `stop`. Gives the real address, which matters when the port asked for was 0.
pub async fn serve(
    address: SocketAddr,
    metrics: Arc<Metrics>,
    ready: Readiness,
    stop: CancellationToken,
) -> Result<SocketAddr> {
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(scrape))
        .with_state(Served { metrics, ready });
    listen(address, app, stop).await
}

/// Has `app` answer at `address` until `stop`. Gives the real address.
pub(crate) async fn listen(
    address: SocketAddr,
    app: Router,
    stop: CancellationToken,
) -> Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|source| Error::Listen { address, source })?;
    let bound = listener.local_addr()?;
    tokio::spawn(async move {
        let served = axum::serve(listener, app).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = served.await {
            tracing::error!(%error, "an HTTP server ended");
        }
    });
    Ok(bound)
}

async fn readyz(State(served): State<Served>) -> (StatusCode, &'static str) {
    if served.ready.get() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "reading the cluster\n")
    }
}

async fn scrape(State(served): State<Served>) -> Response {
    served.metrics.text().map_or_else(
        |_| StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        |text| ([(CONTENT_TYPE, OPENMETRICS)], text).into_response(),
    )
}
