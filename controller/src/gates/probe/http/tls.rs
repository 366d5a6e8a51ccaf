//! Clients that trust certain authorities, or show a certificate of their own.
//!
//! Invariant: certificates are always checked. Authorities that a gate names are trusted instead of the usual ones, not beside them.

use std::{sync::Arc, time::Duration};

use belay_api::analysis::http::HttpTls;
use reqwest::{Certificate, Client, ClientBuilder, Identity, redirect::Policy};

use super::{
    super::address::{Guarded, Reach},
    Known,
};

/// Connections that wait for the next request, for each host.
const IDLE_CONNECTIONS: usize = 2;

/// How long they wait.
const IDLE: Duration = Duration::from_secs(30);

/// What all clients have in common.
pub(super) fn builder(guard: Arc<Guarded>) -> ClientBuilder {
    Client::builder()
        // Followed by hand, see `send`.
        .redirect(Policy::none())
        .dns_resolver(guard)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .pool_idle_timeout(IDLE)
}

/// The client of a gate with settings of its own.
pub(super) fn client(reach: Reach, tls: &HttpTls, known: &Known) -> Result<Client, String> {
    let mut builder = builder(Guarded::new(reach));
    if tls.ca.is_some() {
        let pem = known.ca.as_deref().unwrap_or_default();
        let authorities = Certificate::from_pem_bundle(pem.as_bytes()).unwrap_or_default();
        if authorities.is_empty() {
            return Err("tls.ca holds no certificate in PEM".to_owned());
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let Some(client) = &tls.client {
        let certificate = known.secret(&client.certificate)?;
        let pem = format!("{}\n{certificate}\n", known.secret(&client.key)?);
        let identity = Identity::from_pem(pem.as_bytes())
            .map_err(|_| "tls.client is not a certificate and its key in PEM".to_owned())?;
        builder = builder.identity(identity);
    }
    // The cause may quote what it could not read.
    builder
        .build()
        .map_err(|_| "the certificates under tls can't be used".to_owned())
}
