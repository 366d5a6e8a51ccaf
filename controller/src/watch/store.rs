//! Small copies of watched objects: only what decisions look at, by name and by group.
//!
//! Invariant: what is stored never goes back in time. A newer resource version wins, whether it comes from the watch or from
//! the answer to one of our own writes, and a deleted object does not come back by an answer that was long on its way.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::{Arc, PoisonError, RwLock},
};

use tokio::sync::watch;

/// Deletions that are remembered. Answers that are older than this many deletions don't happen: requests are bounded in time.
const TOMBSTONES: usize = 1024;

/// A projection of an object.
pub trait Projected: Send + Sync + 'static {
    /// Namespace.
    fn namespace(&self) -> &str;
    /// Name.
    fn name(&self) -> &str;
    /// UID.
    fn uid(&self) -> &str;
    /// Resource version.
    fn resource_version(&self) -> &str;
    /// What objects are looked up together by, within a namespace.
    fn group(&self) -> &str;
}

type Key = (Box<str>, Box<str>);

/// Where an object was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// In an event of the watch, which come in order.
    Watch,
    /// In the answer to a request of ours, which may have been long on its way.
    Answer,
}

/// How we know that an object is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletion {
    /// The watch said so. Should it come again, it had only left the selection.
    Watched,
    /// We deleted it ourselves. Events from before are still on their way.
    Done,
}

struct Inner<T> {
    objects: HashMap<Key, Arc<T>>,
    groups: HashMap<Key, BTreeSet<Box<str>>>,
    deleted: HashMap<Box<str>, Deletion>,
    deleted_order: VecDeque<Box<str>>,
    /// Names seen since the last `Init`, while a list is being read.
    listed: Option<HashSet<Key>>,
}

/// A store of projections.
pub struct Projections<T> {
    inner: RwLock<Inner<T>>,
    ready: watch::Sender<bool>,
}

impl<T: Projected> Projections<T> {
    /// An empty store, not ready before its first list is complete.
    pub fn new() -> Self {
        Self {
            inner: RwLock::new(Inner {
                objects: HashMap::new(),
                groups: HashMap::new(),
                deleted: HashMap::new(),
                deleted_order: VecDeque::new(),
                listed: None,
            }),
            ready: watch::Sender::new(false),
        }
    }

    /// Returns once the first list is complete.
    pub async fn ready(&self) {
        // The sender lives in self, so waiting ends only with readiness.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Takes in an object; says whether it was news.
    pub fn apply(&self, object: T, source: Source) -> bool {
        let mut inner = self.write();
        let key = key(object.namespace(), object.name());
        let listing = match &mut inner.listed {
            Some(listed) => {
                listed.insert(key.clone());
                true
            }
            None => false,
        };
        match (inner.deleted.get(object.uid()), source) {
            (None, _) => {}
            (Some(Deletion::Done), Source::Watch) if !listing => return false,
            (Some(_), Source::Watch) => {
                inner.deleted.remove(object.uid());
            }
            (Some(_), Source::Answer) => return false,
        }
        if let Some(present) = inner.objects.get(&key)
            && !is_newer(object.resource_version(), present.resource_version())
        {
            return false;
        }
        inner.put(key, object);
        true
    }

    /// Takes in a deletion; says whether it was news.
    pub fn delete(&self, namespace: &str, name: &str, uid: &str, source: Source) -> bool {
        let mut inner = self.write();
        inner.bury(uid, source);
        let key = key(namespace, name);
        match inner.objects.get(&key) {
            Some(present) if present.uid() == uid => {
                inner.take(&key);
                true
            }
            _ => false,
        }
    }

    /// A list begins.
    pub fn list_begins(&self) {
        self.write().listed = Some(HashSet::new());
    }

    /// A list is complete: what was not in it is gone. Gives what was taken out.
    pub fn list_ends(&self) -> Vec<Arc<T>> {
        let gone = {
            let mut inner = self.write();
            let listed = inner.listed.take().unwrap_or_default();
            let gone: Vec<Key> = inner
                .objects
                .keys()
                .filter(|key| !listed.contains(*key))
                .cloned()
                .collect();
            gone.iter().filter_map(|key| inner.take(key)).collect()
        };
        self.ready.send_replace(true);
        gone
    }

    /// One object.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<T>> {
        self.read().objects.get(&key(namespace, name)).cloned()
    }

    /// All objects of a group, by name.
    pub fn group(&self, namespace: &str, group: &str) -> Vec<Arc<T>> {
        let inner = self.read();
        inner
            .groups
            .get(&key(namespace, group))
            .into_iter()
            .flatten()
            .filter_map(|name| inner.objects.get(&key(namespace, name)).cloned())
            .collect()
    }

    /// Everything.
    pub fn all(&self) -> Vec<Arc<T>> {
        self.read().objects.values().cloned().collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Inner<T>> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Inner<T>> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Projected> Default for Projections<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> std::fmt::Debug for Projections<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Projections").finish_non_exhaustive()
    }
}

impl<T: Projected> Inner<T> {
    fn put(&mut self, key: Key, object: T) {
        self.take(&key);
        self.groups
            .entry((key.0.clone(), object.group().into()))
            .or_default()
            .insert(key.1.clone());
        self.objects.insert(key, Arc::new(object));
    }

    fn take(&mut self, key: &Key) -> Option<Arc<T>> {
        let object = self.objects.remove(key)?;
        let group = (key.0.clone(), Box::from(object.group()));
        if let Some(names) = self.groups.get_mut(&group) {
            names.remove(&key.1);
            if names.is_empty() {
                self.groups.remove(&group);
            }
        }
        Some(object)
    }

    fn bury(&mut self, uid: &str, source: Source) {
        let deletion = match source {
            Source::Watch => Deletion::Watched,
            Source::Answer => Deletion::Done,
        };
        if self.deleted.insert(uid.into(), deletion).is_none() {
            self.deleted_order.push_back(uid.into());
        }
        if self.deleted_order.len() > TOMBSTONES
            && let Some(oldest) = self.deleted_order.pop_front()
        {
            self.deleted.remove(&oldest);
        }
    }
}

fn key(namespace: &str, name: &str) -> Key {
    (namespace.into(), name.into())
}

/// Whether `a` is a newer resource version than `b`. Kubernetes promises from 1.35 on that they are whole numbers that rise, and
/// all servers before did so too; should one not, whatever comes last counts.
pub fn is_newer(a: &str, b: &str) -> bool {
    match (a.parse::<u64>(), b.parse::<u64>()) {
        (Ok(a), Ok(b)) => a > b,
        _ => a != b,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        Source::{Answer, Watch},
        *,
    };

    struct Object(&'static str, &'static str, &'static str, &'static str);

    impl Projected for Object {
        fn namespace(&self) -> &'static str {
            "ns"
        }
        fn name(&self) -> &str {
            self.0
        }
        fn uid(&self) -> &str {
            self.1
        }
        fn resource_version(&self) -> &str {
            self.2
        }
        fn group(&self) -> &str {
            self.3
        }
    }

    #[test]
    fn the_store_never_goes_back_in_time() {
        let store = Projections::new();
        assert!(store.apply(Object("a", "1", "9", "g"), Watch));
        assert!(!store.apply(Object("a", "1", "8", "g"), Watch), "older");
        assert!(
            !store.apply(Object("a", "1", "9", "g"), Watch),
            "the echo of our own write"
        );
        assert!(
            store.apply(Object("a", "1", "10", "g"), Watch),
            "numbers, not text"
        );
        assert!(store.delete("ns", "a", "1", Watch));
        assert!(
            !store.apply(Object("a", "1", "11", "g"), Answer),
            "an answer that was long on its way"
        );
        assert!(
            store.apply(Object("a", "2", "12", "g"), Watch),
            "a new object of the same name"
        );
        assert!(
            !store.delete("ns", "a", "1", Watch),
            "a late deletion of the old one"
        );
        assert!(store.get("ns", "a").is_some());
    }

    #[test]
    fn after_our_own_deletion_old_events_bring_nothing_back() {
        let store = Projections::new();
        store.apply(Object("a", "1", "1", "g"), Watch);
        store.delete("ns", "a", "1", Answer);
        assert!(!store.apply(Object("a", "1", "2", "g"), Watch));
        store.delete("ns", "a", "1", Watch);
        assert!(
            store.apply(Object("a", "1", "4", "g"), Watch),
            "it had only left the selection"
        );
    }

    #[test]
    fn what_a_complete_list_lacks_is_gone() {
        let store = Projections::new();
        store.apply(Object("a", "1", "1", "g"), Watch);
        store.apply(Object("b", "2", "2", "g"), Watch);
        store.list_begins();
        store.apply(Object("b", "2", "2", "g"), Watch);
        let gone = store.list_ends();
        assert_eq!(gone.len(), 1);
        assert_eq!(store.group("ns", "g").len(), 1);
    }

    #[test]
    fn an_object_is_found_only_in_its_present_group() {
        let store = Projections::new();
        store.apply(Object("a", "1", "1", "g"), Watch);
        store.apply(Object("a", "1", "2", "h"), Watch);
        assert!(store.group("ns", "g").is_empty());
        assert_eq!(store.group("ns", "h").len(), 1);
    }
}
