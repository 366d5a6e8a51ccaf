//! What kinds of objects the API server knows.
//!
//! Invariant: the API server is asked again only when a kind is not known, and not more often than every few seconds.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use kube::{
    Client, Discovery,
    discovery::{ApiResource, Scope, verbs},
};
use tokio::{sync::Mutex, time::Instant};

use super::Failure;
use crate::client::bounded;

/// Between two looks for kinds that are not known.
const REST: Duration = Duration::from_secs(10);

/// One kind of objects.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// Group, version, kind and plural.
    pub resource: ApiResource,
    /// Whether objects have namespaces.
    pub scope: Scope,
    /// Whether it can be applied, read and deleted: subresource-like kinds such as reviews can't.
    pub is_kept: bool,
    /// Whether its controllers write a status apart from the rest of an object.
    pub has_status: bool,
}

impl Kind {
    /// Whether objects of this kind live in namespaces.
    pub fn is_namespaced(&self) -> bool {
        self.scope == Scope::Namespaced
    }
}

type Known = HashMap<(String, String), Kind>;

/// The kinds that the API server knows.
pub struct Kinds {
    client: Client,
    known: RwLock<Arc<Known>>,
    read_at: Mutex<Option<Instant>>,
}

impl Kinds {
    /// Nothing is known yet.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            known: RwLock::default(),
            read_at: Mutex::new(None),
        }
    }

    /// The kind, or nothing when the API server does not know it.
    pub async fn resolve(&self, api_version: &str, kind: &str) -> Result<Option<Kind>, Failure> {
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = self.known().get(&key) {
            return Ok(Some(known.clone()));
        }
        self.look().await?;
        Ok(self.known().get(&key).cloned())
    }

    /// Something was installed or taken away: the next unknown kind is looked for at once.
    pub async fn changed(&self) {
        *self.read_at.lock().await = None;
    }

    fn known(&self) -> Arc<Known> {
        Arc::clone(&self.known.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn look(&self) -> Result<(), Failure> {
        let mut read_at = self.read_at.lock().await;
        if read_at.is_some_and(|at| at.elapsed() < REST) {
            return Ok(());
        }
        let discovery = Discovery::new(self.client.clone()).run_aggregated();
        let discovery = bounded("reading the API server's kinds", discovery)
            .await
            .map_err(|error| Failure::passing(error.to_string()))?;
        let known = Arc::new(index(&discovery));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = known;
        *read_at = Some(Instant::now());
        Ok(())
    }
}

fn index(discovery: &Discovery) -> Known {
    let mut known = Known::new();
    for group in discovery.groups() {
        for version in group.versions() {
            for (resource, capabilities) in group.versioned_resources(version) {
                let needed = [verbs::GET, verbs::PATCH, verbs::DELETE];
                let is_kept = needed
                    .iter()
                    .all(|verb| capabilities.supports_operation(verb));
                let key = (resource.api_version.clone(), resource.kind.clone());
                let kind = Kind {
                    resource,
                    scope: capabilities.scope,
                    is_kept,
                    has_status: capabilities
                        .subresources
                        .iter()
                        .any(|(subresource, _)| subresource.plural.ends_with("status")),
                };
                known.insert(key, kind);
            }
        }
    }
    known
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kinds").finish_non_exhaustive()
    }
}
