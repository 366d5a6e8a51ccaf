//! Names of objects that must be looked at, because something that they depend on changed.
//!
//! Invariant: a name that waits is in the queue once, so the queue is never longer than there are objects. Triggering never
//! waits, and a trigger is never lost while its stream lives.

use std::{
    collections::HashSet,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{Stream, stream};
use kube::{Resource, runtime::reflector::ObjectRef};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::Notify;

/// A set of names that wait, shared by everything that triggers.
pub struct Triggers<K: Resource<DynamicType = ()>> {
    shared: Arc<Shared<K>>,
}

struct Shared<K: Resource<DynamicType = ()>> {
    waiting: Mutex<HashSet<ObjectRef<K>>>,
    woken: Notify,
    depth: Gauge,
}

impl<K> Triggers<K>
where
    K: Resource<DynamicType = ()> + 'static,
    ObjectRef<K>: Hash + Eq + Clone + Send,
{
    /// An empty queue, whose length `depth` shows.
    pub fn new(depth: Gauge) -> Self {
        Self {
            shared: Arc::new(Shared {
                waiting: Mutex::default(),
                woken: Notify::new(),
                depth,
            }),
        }
    }

    /// Has `name` in `namespace` looked at soon.
    pub fn trigger(&self, namespace: &str, name: &str) {
        self.trigger_ref(ObjectRef::new(name).within(namespace));
    }

    /// Has the object looked at soon.
    pub fn trigger_ref(&self, object: ObjectRef<K>) {
        let mut waiting = self.shared.lock();
        if waiting.insert(object) {
            self.shared.depth.inc();
            self.shared.woken.notify_one();
        }
    }

    /// The names, as they come. To be read by one controller.
    pub fn stream(&self) -> impl Stream<Item = ObjectRef<K>> + Send + use<K> {
        let shared = Arc::clone(&self.shared);
        stream::unfold((shared, Vec::new()), |(shared, mut batch)| async move {
            loop {
                if let Some(next) = batch.pop() {
                    return Some((next, (shared, batch)));
                }
                batch = shared.lock().drain().collect();
                shared
                    .depth
                    .dec_by(i64::try_from(batch.len()).unwrap_or(i64::MAX));
                if batch.is_empty() {
                    shared.woken.notified().await;
                }
            }
        })
    }
}

impl<K: Resource<DynamicType = ()>> Shared<K> {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<ObjectRef<K>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Resource<DynamicType = ()>> Clone for Triggers<K> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<K: Resource<DynamicType = ()>> std::fmt::Debug for Triggers<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Triggers").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[tokio::test]
    async fn a_name_waits_once_and_comes_again_when_triggered_again() {
        let depth = Gauge::default();
        let triggers: Triggers<ConfigMap> = Triggers::new(depth.clone());
        triggers.trigger("a", "x");
        triggers.trigger("a", "x");
        assert_eq!(depth.get(), 1);
        let mut names = Box::pin(triggers.stream());
        assert_eq!(names.next().await.map(|n| n.name), Some("x".to_owned()));
        triggers.trigger("a", "x");
        assert_eq!(names.next().await.map(|n| n.name), Some("x".to_owned()));
        assert_eq!(depth.get(), 0);
    }
}
