//! Where the objects of a Release are, and in whose name they are touched there.
//!
//! Everything that is asked for, watched or remembered of objects is kept apart by [`Via`]: what one account sees is not for another,
//! and what is in one cluster is not in another.

use std::{fmt, sync::Arc};

use kube::Client;
use tokio::sync::Notify;

use super::{Identity, Kinds};
use crate::watch::ServerVersion;

/// By which way objects are reached.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Via {
    /// In this cluster, in the name of a service account.
    Account(Identity),
    /// In another cluster, as the user of a kubeconfig.
    Kubeconfig {
        /// Namespace of the Secret with it.
        namespace: String,
        /// Name of the Secret.
        secret: String,
        /// Number of the connection: another kubeconfig in the same Secret makes another one.
        connection: u64,
    },
}

/// What a Release's objects are touched with.
#[derive(Clone)]
pub struct Target {
    /// The way to them.
    pub via: Via,
    /// The client that goes it.
    pub client: Client,
    /// The kinds that the API server there knows.
    pub kinds: Arc<Kinds>,
    /// What that API server can do.
    pub server: ServerVersion,
    /// Has the way looked at.
    pub doubts: Option<Arc<Notify>>,
}

impl Target {
    /// Whether the objects are in another cluster.
    pub const fn is_remote(&self) -> bool {
        matches!(self.via, Via::Kubeconfig { .. })
    }

    /// Something went wrong that may be because the cluster is away. A way to this cluster is never doubted: without it nothing goes.
    pub fn doubt(&self) {
        if let Some(doubts) = &self.doubts {
            doubts.notify_one();
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("via", &self.via)
            .finish_non_exhaustive()
    }
}
