//! Clients that act in the name of a service account.
//!
//! They share the connections of Belay's own client and differ from it by one header. The API server adds the groups of a
//! service account by itself, and checks that Belay may impersonate this one.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, PoisonError},
};

use http::{HeaderValue, Request, header::HeaderName};
use kube::{Client, client::Body};
use tower::service_fn;

use super::Failure;

const IMPERSONATE_USER: HeaderName = HeaderName::from_static("impersonate-user");

/// A service account.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity {
    /// Namespace of the account.
    pub namespace: String,
    /// Name of the account.
    pub name: String,
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "system:serviceaccount:{}:{}", self.namespace, self.name)
    }
}

/// One client for each service account in use.
pub struct Identities {
    own: Client,
    clients: Mutex<HashMap<Identity, Client>>,
}

impl Identities {
    /// Clients that go through `own`.
    pub fn new(own: Client) -> Self {
        Self {
            own,
            clients: Mutex::default(),
        }
    }

    /// The client of `identity`.
    pub fn client(&self, identity: &Identity) -> Result<Client, Failure> {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(identity) {
            return Ok(client.clone());
        }
        let user = HeaderValue::from_str(&identity.to_string()).map_err(|_| {
            Failure::content(format!(
                "serviceAccountName {:?} is not a name",
                identity.name
            ))
        })?;
        let client = impersonating(&self.own, user, &identity.namespace);
        clients.insert(identity.clone(), client.clone());
        Ok(client)
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identities").finish_non_exhaustive()
    }
}

fn impersonating(own: &Client, user: HeaderValue, namespace: &str) -> Client {
    let own = own.clone();
    let service = service_fn(move |mut request: Request<Body>| {
        let (own, user) = (own.clone(), user.clone());
        async move {
            request.headers_mut().insert(IMPERSONATE_USER, user);
            own.send(request).await
        }
    });
    Client::new(service, namespace)
}
