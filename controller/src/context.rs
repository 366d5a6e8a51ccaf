//! What every controller works with during one term of leadership.

use std::sync::Arc;

use kube::{Api, Client, Resource, core::NamespaceResourceScope};

use crate::{
    http::Readiness,
    lease::Term,
    links::Links,
    runtime::Settings,
    telemetry::{Metrics, events::Events},
    watch::ServerVersion,
};

/// Shared by all controllers of one term. A new term gets a new context, so that nothing learnt under an old lease lives on.
#[derive(Clone)]
pub struct Context {
    /// Client with Belay's own identity.
    pub client: Client,
    /// The settings of the process.
    pub settings: Arc<Settings>,
    /// Metrics of the process.
    pub metrics: Arc<Metrics>,
    /// Where events go to.
    pub events: Events,
    /// The lease under which this context acts. Every write goes through [`Term::check`] first.
    pub term: Term,
    /// What the controllers know of each other's objects.
    pub links: Arc<Links>,
    /// To be told when a controller has read the cluster.
    pub ready: Readiness,
    /// What the API server can do.
    pub server: ServerVersion,
}

impl Context {
    /// All objects of kind `K` that Belay works with: of one namespace or of all.
    pub fn watched<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        match &self.settings.namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("term", &self.term)
            .finish_non_exhaustive()
    }
}
