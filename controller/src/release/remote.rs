//! Other clusters that Releases bring their objects into.
//!
//! One link serves all Releases of a namespace that name the same Secret and use the same account. Its task reads the kubeconfig,
//! connects, and finds out whether the cluster answers and which one it is; reconciliations read what it found and never wait for a
//! cluster. It looks again when somebody who works with the cluster has a doubt, and until an answer comes while the cluster is away;
//! at rest it asks nothing.
//!
//! Invariant: the Secret is read in the name of the Release's service account, and what is done in the other cluster is done as the
//! user of the kubeconfig. Belay's own rights give neither anything.

mod kubeconfig;
mod link;
mod probe;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use belay_api::{Release, release::KubeConfigSecret};
use belay_engine::release::cluster::Reached;
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};
use tokio::task::AbortHandle;

use super::{Shell, gather::identity, lock, memory::Memory, sources::Inputs};
use crate::{
    Context, Result,
    apply::{Identity, Target, Via},
    runtime::Reach,
    telemetry::Metrics,
    watch::Triggers,
};
use link::{Known, Link};

/// Which kubeconfig, and in whose name it is read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    identity: Identity,
    secret: KubeConfigSecret,
}

/// The clusters that Releases bring their objects into.
pub(super) struct Remotes {
    tools: Arc<Tools>,
    links: Mutex<HashMap<Key, Running>>,
    /// By UID of the Release.
    users: Mutex<HashMap<String, Key>>,
}

/// What links are made with.
struct Tools {
    inputs: Arc<Inputs>,
    metrics: Arc<Metrics>,
    triggers: Triggers<Release>,
    reach: Reach,
    connections: AtomicU64,
}

struct Running {
    link: Arc<Link>,
    task: AbortHandle,
}

impl Remotes {
    pub(super) fn new(context: &Context, inputs: Arc<Inputs>, triggers: Triggers<Release>) -> Self {
        Self {
            tools: Arc::new(Tools {
                inputs,
                metrics: Arc::clone(&context.metrics),
                triggers,
                reach: context.settings.reach,
                connections: AtomicU64::new(0),
            }),
            links: Mutex::default(),
            users: Mutex::default(),
        }
    }

    /// What is known of the cluster that `release` names. Begins to find it out if need be, and tells the Release of news.
    fn find(&self, release: &Release, secret: &KubeConfigSecret) -> Known {
        let uid = release.uid().unwrap_or_default();
        let key = Key {
            identity: identity(release),
            secret: secret.clone(),
        };
        if let Some(former) = lock(&self.users).insert(uid.clone(), key.clone())
            && former != key
        {
            self.leave(&uid, &former);
        }
        let mut links = lock(&self.links);
        let running = links.entry(key).or_insert_with_key(|key| {
            let link = Arc::new(Link::default());
            let following = link::follow(Arc::clone(&self.tools), key.clone(), Arc::clone(&link));
            let task = tokio::spawn(following).abort_handle();
            Running { link, task }
        });
        running.link.join(uid, ObjectRef::from_obj(release));
        running.link.known()
    }

    /// The Release is gone, or has its objects here.
    pub(super) fn forget(&self, uid: &str) {
        let former = lock(&self.users).remove(uid);
        if let Some(former) = former {
            self.leave(uid, &former);
        }
    }

    fn leave(&self, uid: &str, key: &Key) {
        let mut links = lock(&self.links);
        if let Some(running) = links.get(key)
            && running.link.leave(uid)
        {
            running.task.abort();
            links.remove(key);
        }
    }
}

impl Tools {
    /// A way that differs from every other one.
    fn via(&self, key: &Key) -> Via {
        Via::Kubeconfig {
            namespace: key.identity.namespace.clone(),
            secret: key.secret.name.clone(),
            connection: self.connections.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl Drop for Remotes {
    fn drop(&mut self) {
        for running in lock(&self.links).values() {
            running.task.abort();
        }
    }
}

impl fmt::Debug for Remotes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remotes").finish_non_exhaustive()
    }
}

impl Shell {
    /// In which cluster the objects of `release` are to be; nothing while that is not known yet.
    pub(super) fn locate(&self, release: &Release, memory: &mut Memory) -> Result<Option<Reached>> {
        let (target, reached) = match &release.spec.kube_config {
            None => {
                self.remotes.forget(&release.uid().unwrap_or_default());
                (Some(self.home(release)?), Reached::Home)
            }
            Some(wanted) => match self.remotes.find(release, &wanted.secret_ref) {
                Known::Nothing => return Ok(None),
                Known::Away { since, message } => {
                    // Nobody asks a cluster that is away beside its link, nor with a credential that is no longer there.
                    self.watches.forget(&release.uid().unwrap_or_default());
                    memory.places = None;
                    (None, Reached::Away { since, message })
                }
                Known::Answers { target, id, since } => {
                    (Some(target), Reached::Remote { id, since })
                }
            },
        };
        let generation = release.metadata.generation.unwrap_or_default();
        memory.is_about(generation, target);
        Ok(Some(reached))
    }

    /// This cluster, in the name of the Release's service account.
    fn home(&self, release: &Release) -> Result<Target> {
        let identity = identity(release);
        Ok(Target {
            client: self.identities.client(&identity)?,
            kinds: Arc::clone(&self.kinds),
            server: self.context.server,
            via: Via::Account(identity),
            doubts: None,
        })
    }
}
