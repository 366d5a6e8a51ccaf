//! What became of applied objects: watches on their metadata, by the way by which they were applied.
//!
//! One watch serves all Releases that use the same way, kind and namespace. Of each object it keeps only its identity, its
//! version and a fingerprint of Belay's fields in it (see [`super::fields`]). A quiet object costs no request.
//!
//! Invariant: what is kept never goes back in time within one watch, and a watch that was refused is not mistaken for one that
//! saw nothing.

mod follow;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use belay_api::Release;
use belay_engine::release::{observed::ObjectKey, words::Words};
use kube::{discovery::ApiResource, runtime::reflector::ObjectRef};
use tokio::{sync::watch, task::AbortHandle, time::Instant};

use super::{Target, Via};
use crate::watch::{Triggers, store::is_newer};

/// What one watch is on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// In which cluster, and in whose name.
    pub via: Via,
    /// Group, version, kind and plural.
    pub resource: ApiResource,
    /// Namespace; absent for kinds without namespaces.
    pub namespace: Option<String>,
}

/// An object as the watch last saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// UID.
    pub uid: String,
    /// Version.
    pub resource_version: String,
    /// Fingerprint of Belay's fields.
    pub fields: Option<String>,
    /// UID of the Release that it says it belongs to.
    pub owner_uid: Option<String>,
    /// Whether it is being deleted.
    pub is_dying: bool,
    /// What its annotations say.
    pub words: Words,
    /// What those of its annotations say that Belay did not apply.
    pub foreign: Words,
}

/// How far a watch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Its first list is not complete.
    Starting,
    /// What it has not seen is not there.
    Following,
    /// The API server refuses it; the text says why.
    Refused(String),
}

/// What a Release wants to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// Objects that appear, vanish, or whose fields that Belay applied changed.
    Drift,
    /// Every change: it waits for health.
    Everything,
}

#[derive(Debug)]
struct Watch {
    objects: RwLock<HashMap<String, Seen>>,
    /// Versions at which objects vanished.
    gone: Mutex<HashMap<String, String>>,
    /// When the last complete list was asked for.
    listed_since: Mutex<Option<Instant>>,
    state: watch::Sender<State>,
}

impl Watch {
    fn gone(&self) -> MutexGuard<'_, HashMap<String, String>> {
        lock(&self.gone)
    }
}

struct Running {
    watch: Arc<Watch>,
    task: AbortHandle,
    users: HashSet<String>,
}

struct Subscriber {
    release: ObjectRef<Release>,
    interest: Interest,
    places: HashSet<Place>,
}

/// All watches of a term.
pub struct Watches {
    triggers: Triggers<Release>,
    running: Mutex<HashMap<Place, Running>>,
    /// By UID of the Release.
    subscribers: Mutex<HashMap<String, Subscriber>>,
}

impl Watches {
    /// No watch yet.
    pub fn new(triggers: Triggers<Release>) -> Arc<Self> {
        Arc::new(Self {
            triggers,
            running: Mutex::default(),
            subscribers: Mutex::default(),
        })
    }

    /// From now on the Release with this UID hears of `places`, which are by the way of `target`, and of no others.
    pub fn subscribe(
        self: &Arc<Self>,
        uid: &str,
        release: &ObjectRef<Release>,
        interest: Interest,
        (target, places): (&Target, &HashSet<Place>),
    ) {
        let previous = {
            let mut subscribers = lock(&self.subscribers);
            let subscriber = subscribers
                .entry(uid.to_owned())
                .or_insert_with(|| Subscriber {
                    release: release.clone(),
                    interest,
                    places: HashSet::new(),
                });
            subscriber.interest = interest;
            if subscriber.places == *places {
                return;
            }
            std::mem::replace(&mut subscriber.places, places.clone())
        };
        for place in places.difference(&previous) {
            self.join(uid, target, place);
        }
        for place in previous.difference(places) {
            self.leave(uid, place);
        }
    }

    /// The Release is gone.
    pub fn forget(&self, uid: &str) {
        let places = lock(&self.subscribers)
            .remove(uid)
            .map(|subscriber| subscriber.places);
        for place in places.into_iter().flatten() {
            self.leave(uid, &place);
        }
    }

    /// How far the watch on `place` is; `Starting` if there is none.
    pub fn state(&self, place: &Place) -> State {
        self.watch(place)
            .map_or(State::Starting, |watch| watch.state.borrow().clone())
    }

    /// Waits until the watch on `place` follows or is refused, but not longer than `limit`.
    pub async fn settled(&self, place: &Place, limit: Duration) -> State {
        let Some(watch) = self.watch(place) else {
            return State::Starting;
        };
        let mut states = watch.state.subscribe();
        let settled = states.wait_for(|state| *state != State::Starting);
        let _ = tokio::time::timeout(limit, settled).await;
        self.state(place)
    }

    /// The object as the watch on `place` last saw it.
    pub fn seen(&self, place: &Place, name: &str) -> Option<Seen> {
        let watch = self.watch(place)?;
        let objects = watch.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.get(name).cloned()
    }

    /// The version at which the watch on `place` last saw the object vanish, if it is not back.
    pub fn gone(&self, place: &Place, name: &str) -> Option<String> {
        self.watch(place)?.gone().get(name).cloned()
    }

    /// Whether the watch on `place` shows the object at `version` or later, which was written at `written`: present or gone.
    pub fn has_caught_up(
        &self,
        place: &Place,
        name: &str,
        version: &str,
        written: Instant,
    ) -> bool {
        let Some(watch) = self.watch(place) else {
            return false;
        };
        if let Some(seen) = self.seen(place, name) {
            return !is_newer(version, &seen.resource_version);
        }
        let is_gone = watch
            .gone()
            .get(name)
            .is_some_and(|gone| is_newer(gone, version));
        let listed = *watch
            .listed_since
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        is_gone || listed.is_some_and(|since| since > written)
    }

    /// Number of watches.
    pub fn len(&self) -> usize {
        lock(&self.running).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn watch(&self, place: &Place) -> Option<Arc<Watch>> {
        lock(&self.running)
            .get(place)
            .map(|running| Arc::clone(&running.watch))
    }

    fn join(self: &Arc<Self>, uid: &str, target: &Target, place: &Place) {
        let mut running = lock(&self.running);
        let entry = running.entry(place.clone()).or_insert_with(|| {
            let watch = Arc::new(Watch {
                objects: RwLock::default(),
                gone: Mutex::default(),
                listed_since: Mutex::default(),
                state: watch::Sender::new(State::Starting),
            });
            let follow = follow::follow(
                Arc::downgrade(self),
                Arc::clone(&watch),
                follow::objects(&target.client, place),
                target.clone(),
            );
            Running {
                watch,
                task: tokio::spawn(follow).abort_handle(),
                users: HashSet::new(),
            }
        });
        entry.users.insert(uid.to_owned());
    }

    fn leave(&self, uid: &str, place: &Place) {
        let mut running = lock(&self.running);
        let Some(entry) = running.get_mut(place) else {
            return;
        };
        entry.users.remove(uid);
        if entry.users.is_empty() {
            entry.task.abort();
            running.remove(place);
        }
    }

    /// Has the Release with this UID looked at, if it wants to hear of this.
    fn tell(&self, uid: Option<&str>, news: Interest) {
        let Some(uid) = uid else { return };
        let subscribers = lock(&self.subscribers);
        if let Some(subscriber) = subscribers.get(uid)
            && (news == Interest::Drift || subscriber.interest == Interest::Everything)
        {
            self.triggers.trigger_ref(subscriber.release.clone());
        }
    }

    /// Has every Release that uses `watch` looked at: how far it is has changed.
    fn tell_all(&self, watch: &Arc<Watch>) {
        let users: Vec<String> = lock(&self.running)
            .values()
            .filter(|running| Arc::ptr_eq(&running.watch, watch))
            .flat_map(|running| running.users.iter().cloned())
            .collect();
        for uid in users {
            self.tell(Some(&uid), Interest::Drift);
        }
    }
}

impl Drop for Watches {
    fn drop(&mut self) {
        for running in lock(&self.running).values() {
            running.task.abort();
        }
    }
}

impl fmt::Debug for Watches {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watches").finish_non_exhaustive()
    }
}

/// The watch that an object of this kind and namespace is seen by.
pub fn place(via: &Via, resource: &ApiResource, key: &ObjectKey) -> Place {
    Place {
        via: via.clone(),
        resource: resource.clone(),
        namespace: key.namespace.clone(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
