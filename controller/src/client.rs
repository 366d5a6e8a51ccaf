//! The client of the API server: kube's own parts with our metering, without its retries, and without the delay that TCP puts
//! between two small writes (Nagle's algorithm), which kube's own transport leaves on: reactions are a few small writes in a row.
//!
//! Invariant: a failed request is reported, never repeated here. Reconciliation is the only retry there is: it looks at the
//! cluster again before it writes again, so that a write whose answer got lost is recognised instead of repeated.

mod foreign;

use std::{future::Future, net::SocketAddr, sync::Arc, vec};

use hyper_util::{
    client::legacy::{
        Client as Transport,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use kube::{
    Client,
    client::{ClientBuilder, ConfigExt as _},
};
use tokio::time::Instant;
use tower::{BoxError, ServiceBuilder, service_fn};

use crate::{
    Error, Result, limits, runtime::Reach, telemetry::Metrics, telemetry::meter::MeterLayer,
};

pub use foreign::foreign;

/// A metered client for `config`, which connects to no address that `reach` leaves out. An address that stands in `config` itself is
/// to be judged before.
pub fn build(config: kube::Config, reach: Reach, metrics: &Arc<Metrics>) -> Result<Client> {
    let layer = MeterLayer::new(Arc::clone(metrics));
    if config.proxy_url.is_some() {
        // Says what is missing for it: this build knows no proxies.
        return Ok(ClientBuilder::try_from(config)?.with_layer(&layer).build());
    }
    let names = service_fn(move |name: Name| async move {
        let found: Vec<SocketAddr> = reach.resolve(name.as_str()).await?;
        Ok::<vec::IntoIter<SocketAddr>, BoxError>(found.into_iter())
    });
    let mut connector = HttpConnector::new_with_resolver(names);
    connector.enforce_http(false);
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(limits::API_CALL));
    // Watches are long-lived and have their own idle timeout; other calls go through `bounded`.
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let transport = Transport::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(layer)
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(transport);
    Ok(Client::new(service, config.default_namespace))
}

/// The outcome of `work`, unless it is too late to begin with it.
pub async fn in_time<T>(deadline: Instant, work: impl Future<Output = T>) -> Option<T> {
    if Instant::now() >= deadline {
        return None;
    }
    Some(work.await)
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
