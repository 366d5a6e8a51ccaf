//! Word of changes of the Secrets that Belay reads with its own rights: logins, proxies, keys of signers.
//!
//! Each is watched by its name and its metadata alone, as long as a Release needs it; Releases that need the same one share its watch.
//!
//! Invariant: where a Secret may not be watched, there is no word of it, and nothing else changes.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use futures::{StreamExt as _, future::select_all};
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::watcher::Event,
};
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    telemetry::Metrics,
    watch::{Selection, ServerVersion, events, store::is_newer},
};

type Meta = PartialObjectMeta<DynamicObject>;

/// Namespace and name.
type Key = (String, String);

/// All such Secrets.
pub(super) struct Secrets {
    client: Client,
    server: ServerVersion,
    metrics: Arc<Metrics>,
    watched: Mutex<HashMap<Key, Weak<Watched>>>,
}

/// What is known of a Secret.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Unknown,
    Missing,
    /// It is there in this resource version.
    At(String),
}

/// A watch that ends when it is dropped.
struct Watched {
    state: watch::Sender<State>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Word of changes of some Secrets.
pub(super) struct Changes(Vec<One>);

struct One {
    name: String,
    state: watch::Receiver<State>,
    _watched: Arc<Watched>,
}

/// A Secret as it was read: its name and its resource version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) name: String,
    pub(super) version: String,
}

impl Secrets {
    pub(super) fn new(client: Client, server: ServerVersion, metrics: Arc<Metrics>) -> Self {
        Self {
            client,
            server,
            metrics,
            watched: Mutex::default(),
        }
    }

    /// Keeps Secrets of one namespace watched as long as the result lives.
    pub(super) fn changes<'a>(
        &self,
        namespace: &str,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Changes {
        let each = names.into_iter().map(|name| {
            let watched = self.watch(namespace, name);
            One {
                name: name.to_owned(),
                state: watched.state.subscribe(),
                _watched: watched,
            }
        });
        Changes(each.collect())
    }

    fn watch(&self, namespace: &str, name: &str) -> Arc<Watched> {
        let key = (namespace.to_owned(), name.to_owned());
        let mut all = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = all.get(&key).and_then(Weak::upgrade) {
            return known;
        }
        all.retain(|_, watched| watched.strong_count() > 0);
        let resource = ApiResource::erase::<Secret>(&());
        let api: Api<Meta> = Api::namespaced_with(self.client.clone(), namespace, &resource);
        let one = Selection {
            labels: None,
            fields: Some(format!("metadata.name={name}")),
        };
        let stream = events(api, one, self.server, &self.metrics, "secrets");
        let state = watch::Sender::new(State::Unknown);
        let task = tokio::spawn(follow(stream, state.clone()));
        let watched = Arc::new(Watched {
            state,
            task: task.abort_handle(),
        });
        all.insert(key, Arc::downgrade(&watched));
        watched
    }
}

async fn follow(stream: impl futures::Stream<Item = Event<Meta>>, state: watch::Sender<State>) {
    let mut stream = std::pin::pin!(stream);
    let at = |object: &Meta| State::At(object.resource_version().unwrap_or_default());
    let mut listed = State::Missing;
    while let Some(event) = stream.next().await {
        let next = match event {
            Event::Init => {
                listed = State::Missing;
                continue;
            }
            Event::InitApply(object) => {
                listed = at(&object);
                continue;
            }
            Event::InitDone => std::mem::replace(&mut listed, State::Missing),
            Event::Apply(object) => at(&object),
            Event::Delete(_) => State::Missing,
        };
        state.send_if_modified(|known| std::mem::replace(known, next.clone()) != next);
    }
}

impl Changes {
    /// Waits for the next change of any of them; for ever if there are none.
    pub(super) async fn next(&mut self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let each = self.0.iter_mut().map(|one| Box::pin(one.state.changed()));
        // The senders live as long as this.
        let _ = select_all(each).await;
    }

    /// Waits until one of them is newer than it was read, or gone.
    pub(super) async fn after(&mut self, read: &[Read]) {
        while !self.0.iter_mut().any(|one| one.is_after(read)) {
            self.next().await;
        }
    }
}

impl One {
    fn is_after(&mut self, read: &[Read]) -> bool {
        let known = read.iter().find(|read| read.name == self.name);
        match (&*self.state.borrow_and_update(), known) {
            (State::Unknown, _) | (_, None) => false,
            (State::Missing, Some(_)) => true,
            (State::At(version), Some(read)) => is_newer(version, &read.version),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn one(state: State) -> (watch::Sender<State>, Changes) {
        let sender = watch::Sender::new(state);
        let watched = Arc::new(Watched {
            state: sender.clone(),
            task: tokio::spawn(std::future::pending::<()>()).abort_handle(),
        });
        let one = One {
            name: "git".into(),
            state: sender.subscribe(),
            _watched: watched,
        };
        (sender, Changes(vec![one]))
    }

    fn read(version: &str) -> [Read; 1] {
        [Read {
            name: "git".into(),
            version: version.into(),
        }]
    }

    async fn is_quiet(changes: &mut Changes, version: &str) -> bool {
        let read = read(version);
        let after = changes.after(&read);
        tokio::time::timeout(Duration::ZERO, after).await.is_err()
    }

    #[tokio::test]
    async fn what_was_read_is_no_news_whenever_the_watch_shows_it() {
        for known in [State::Unknown, State::At("4".into()), State::At("5".into())] {
            let (sender, mut changes) = one(known);
            assert!(is_quiet(&mut changes, "5").await);
            sender.send_replace(State::At("5".into()));
            assert!(is_quiet(&mut changes, "5").await);
            sender.send_replace(State::At("6".into()));
            assert!(!is_quiet(&mut changes, "5").await);
        }
    }

    #[tokio::test]
    async fn one_that_is_gone_is_news_and_one_that_was_not_read_is_not() {
        let (_sender, mut changes) = one(State::Missing);
        assert!(!is_quiet(&mut changes, "5").await);
        let none = changes.after(&[]);
        assert!(tokio::time::timeout(Duration::ZERO, none).await.is_err());
    }
}
