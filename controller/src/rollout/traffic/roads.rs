//! Watches on the routes and Services that Rollouts name.
//!
//! One watch serves a kind, in all namespaces that Belay works in: a watch for each namespace or object would be as many streams on
//! one connection, which a server bounds. Of what it brings, only the named objects are kept. It ends with the last Rollout that
//! needs the kind. A kind that the API server does not know is asked for again with growing pauses, while a Rollout names it.
//!
//! Invariant: an object that is not in the store was looked for by name, or by a list that began after it was named.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use belay_api::Rollout;
use futures::StreamExt as _;
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    runtime::watcher::{self, Event},
};
use tokio::{sync::watch, task::AbortHandle};

use super::{Way, kept::Kept};
use crate::{
    Context, Error, Result,
    client::bounded,
    rollout::{interests::Interests, world::raw},
    watch::{
        Triggers, attempts,
        store::{Projections, Source},
    },
};

/// How long a pass waits for the first list of a kind.
const FIRST_LIST: Duration = Duration::from_secs(5);

/// An object that a Rollout of its namespace names.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Named {
    pub(super) way: Way,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// How far a watch is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Its first list is not complete.
    Starting,
    /// What it has not brought and nobody found is not there.
    Following,
    /// The API server refuses it, for this reason.
    Refused(String),
}

struct Running {
    store: Arc<Projections<Kept>>,
    state: Arc<watch::Sender<State>>,
    task: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Default)]
struct Inner {
    /// What Rollouts name.
    interests: Interests<Named>,
    running: HashMap<Way, Running>,
    /// What was named before the watch's last complete list began, or was asked for by name since.
    looked: HashSet<Named>,
    /// What was named when the list began that is being read.
    listing: HashMap<Way, Vec<Named>>,
}

/// All watches of a term.
pub(in crate::rollout) struct Roads {
    context: Arc<Context>,
    triggers: Triggers<Rollout>,
    inner: Mutex<Inner>,
}

impl Roads {
    /// No watch yet.
    pub(in crate::rollout) fn new(
        context: &Arc<Context>,
        triggers: Triggers<Rollout>,
    ) -> Arc<Self> {
        Arc::new(Self {
            context: Arc::clone(context),
            triggers,
            inner: Mutex::default(),
        })
    }

    /// From now on these objects, and no others, concern the Rollout.
    pub(super) fn follow(&self, namespace: &str, rollout: &str, wanted: BTreeSet<Named>) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(unwanted) = inner.interests.follow(namespace, rollout, wanted) else {
            return;
        };
        for named in &unwanted {
            inner.looked.remove(named);
        }
        let interests = &inner.interests;
        inner.running.retain(|way, _| match way {
            Way::Slices => interests.all().next().is_some(),
            way => interests.all().any(|(named, _)| named.way == *way),
        });
    }

    /// The Rollout is gone.
    pub(in crate::rollout) fn forget(&self, namespace: &str, rollout: &str) {
        self.follow(namespace, rollout, BTreeSet::new());
    }

    /// How far the watch on a kind is, once it is past its start or that takes too long. The watch begins with this question, when
    /// all Rollouts have said what they name, so that its list brings everything.
    pub(super) async fn state(self: &Arc<Self>, way: Way) -> State {
        let mut states = self.states(way);
        let settled = states.wait_for(|state| *state != State::Starting);
        match tokio::time::timeout(FIRST_LIST, settled).await {
            Ok(Ok(state)) => state.clone(),
            Ok(Err(_)) | Err(_) => State::Starting,
        }
    }

    /// The object, if there is one.
    pub(super) async fn get(&self, named: &Named) -> Result<Option<Arc<Kept>>> {
        let store = self.store(named.way)?;
        if let Some(kept) = store.get(&named.namespace, &named.name) {
            return Ok(Some(kept));
        }
        if self.lock().looked.contains(named) {
            return Ok(None);
        }
        let found = bounded(
            "reading a route or Service",
            self.api(named.way, &named.namespace).get_opt(&named.name),
        )
        .await?;
        if let Some(object) = &found {
            self.saw(named.way, object, Source::Answer);
        }
        self.lock().looked.insert(named.clone());
        Ok(store.get(&named.namespace, &named.name))
    }

    /// Number of ready pods behind a Service of Belay's.
    pub(super) fn ready_endpoints(&self, namespace: &str, service: &str) -> Result<i32> {
        let slices = self.store(Way::Slices)?.group(namespace, service);
        // With two families of addresses, a pod is in two slices.
        let pods: BTreeSet<&String> = slices.iter().flat_map(|slice| &slice.ready).collect();
        Ok(i32::try_from(pods.len()).unwrap_or(i32::MAX))
    }

    /// The API of a kind in a namespace.
    pub(super) fn api(&self, way: Way, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.context.client.clone(), namespace, &way.resource())
    }

    /// Takes in an object.
    pub(super) fn saw(&self, way: Way, object: &DynamicObject, source: Source) {
        let named = Named {
            way,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        };
        if way != Way::Slices && !self.lock().interests.has(&named) {
            return;
        }
        let Ok(store) = self.store(way) else { return };
        let kept = Kept::of(way, object);
        let rollout = kept.rollout.clone();
        if store.apply(kept, source) && source == Source::Watch {
            self.tell(&named, rollout.as_deref());
        }
    }

    /// Takes in that an object is gone.
    pub(super) fn gone(&self, named: &Named, uid: &str, source: Source) {
        let Ok(store) = self.store(named.way) else {
            return;
        };
        let before = store.get(&named.namespace, &named.name);
        let was_news = store.delete(&named.namespace, &named.name, uid, source);
        if was_news && source == Source::Watch {
            let rollout = before.and_then(|before| before.rollout.clone());
            self.tell(named, rollout.as_deref());
        }
    }

    fn store(&self, way: Way) -> Result<Arc<Projections<Kept>>> {
        let inner = self.lock();
        let running = inner.running.get(&way);
        running
            .map(|running| Arc::clone(&running.store))
            .ok_or(Error::Stale("the watch on a route or Service has ended"))
    }

    /// Has the Rollouts looked at that the object concerns.
    fn tell(&self, named: &Named, rollout: Option<&str>) {
        if let Some(rollout) = rollout {
            self.triggers.trigger(&named.namespace, rollout);
        }
        for rollout in self.lock().interests.of(named) {
            self.triggers.trigger(&named.namespace, rollout);
        }
    }

    /// Has the Rollouts looked at that name any object of the kind.
    fn tell_all(&self, way: Way) {
        for (named, rollouts) in self.lock().interests.all() {
            if named.way == way || way == Way::Slices {
                for rollout in rollouts {
                    self.triggers.trigger(&named.namespace, rollout);
                }
            }
        }
    }

    fn states(self: &Arc<Self>, way: Way) -> watch::Receiver<State> {
        let mut inner = self.lock();
        let running = inner.running.entry(way).or_insert_with(|| {
            let state = Arc::new(watch::Sender::new(State::Starting));
            let follow = run(Arc::downgrade(self), way, Arc::clone(&state));
            Running {
                store: Arc::new(Projections::new()),
                state,
                task: tokio::spawn(follow).abort_handle(),
            }
        });
        running.state.subscribe()
    }

    fn took(&self, way: Way, event: Event<DynamicObject>) {
        match event {
            Event::Init => {
                let mut guard = self.lock();
                let inner = &mut *guard;
                let all = inner.interests.all().map(|(named, _)| named);
                let named = all.filter(|named| named.way == way);
                inner.listing.insert(way, named.cloned().collect());
                if let Some(running) = inner.running.get(&way) {
                    running.store.list_begins();
                }
            }
            Event::InitApply(object) | Event::Apply(object) => {
                self.saw(way, &object, Source::Watch);
            }
            Event::Delete(object) => {
                let named = Named {
                    way,
                    namespace: object.namespace().unwrap_or_default(),
                    name: object.name_any(),
                };
                let uid = object.uid().unwrap_or_default();
                self.gone(&named, &uid, Source::Watch);
            }
            Event::InitDone => {
                let gone = self.store(way).map(|store| store.list_ends());
                let mut guard = self.lock();
                let listed = guard.listing.remove(&way).unwrap_or_default();
                guard.looked.extend(listed);
                drop(guard);
                for kept in gone.into_iter().flatten() {
                    let named = Named {
                        way,
                        namespace: kept.namespace.clone(),
                        name: kept.name.clone(),
                    };
                    self.tell(&named, kept.rollout.as_deref());
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Roads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roads").finish_non_exhaustive()
    }
}

/// The task of one watch.
async fn run(roads: Weak<Roads>, way: Way, state: Arc<watch::Sender<State>>) {
    let Some(context) = roads.upgrade().map(|roads| Arc::clone(&roads.context)) else {
        return;
    };
    let api = raw(&context, &way.resource());
    let watched = attempts(
        api,
        way.selection(),
        context.server,
        &context.metrics,
        way.name(),
    );
    let mut events = Box::pin(watched);
    while let Some(event) = events.next().await {
        let Some(roads) = roads.upgrade() else { return };
        let now = match event {
            Ok(event) => {
                let is_complete = matches!(event, Event::InitDone);
                roads.took(way, event);
                is_complete.then_some(State::Following)
            }
            Err(error) => refusal(way, &error).map(State::Refused),
        };
        if let Some(now) = now
            && state.send_replace(now.clone()) != now
        {
            roads.tell_all(way);
        }
    }
}

/// Why the API server refuses this watch, if it does: a failure of the moment is no refusal.
fn refusal(way: Way, error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchError(status)) = error
    else {
        return None;
    };
    let ApiResource {
        kind, api_version, ..
    } = way.resource();
    let project = way.project();
    match status.code {
        404 | 405 => Some(format!(
            "the API server does not know {kind} of {api_version}; install the definitions of {project}"
        )),
        401 | 403 => Some(format!(
            "Belay may not read objects of kind {kind}; allow it by the value {} of its chart",
            way.permission()
        )),
        _ => None,
    }
}
