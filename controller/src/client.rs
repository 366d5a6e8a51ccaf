//! The client of the API server: kube's own transport with our metering, and without its retries.
//!
//! Invariant: a failed request is reported, never repeated here. Reconciliation is the only retry there is: it looks at the
//! cluster again before it writes again, so that a write whose answer got lost is recognised instead of repeated.

use std::{future::Future, sync::Arc};

use kube::{Client, client::ClientBuilder};

use crate::{Error, Result, limits, telemetry::Metrics, telemetry::meter::MeterLayer};

/// A metered client for `config`.
pub fn build(mut config: kube::Config, metrics: &Arc<Metrics>) -> Result<Client> {
    config.default_retry = false;
    // Watches are long-lived and have their own idle timeout; other calls go through `bounded`.
    config.read_timeout = None;
    config.connect_timeout = Some(limits::API_CALL);
    let layer = MeterLayer::new(Arc::clone(metrics));
    Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build())
}

/// One request, bounded in time. `what` names it for people.
pub async fn bounded<T>(
    what: &'static str,
    request: impl Future<Output = kube::Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limits::API_CALL, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::Timeout {
            what,
            seconds: limits::API_CALL.as_secs(),
        }),
    }
}
