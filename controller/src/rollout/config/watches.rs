//! Watches on ConfigMaps and Secrets that templates refer to: of their metadata alone.
//!
//! One watch serves all ConfigMaps; Secrets are watched in the namespaces where a Rollout wants them, which must have let Belay in. Each
//! ends with the last Rollout that needs it. Of what it brings only the named objects are kept, and of those the identity of their
//! content; an object that changed is read when the next decision asks for it.
//!
//! Invariant: a change that comes after an object was read makes it be read again, and its Rollouts be looked at.

mod copies;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use belay_api::{
    Rollout,
    names::{CONFIG_COPY_LABEL, ROLLOUT_LABEL},
};
use belay_engine::config::ConfigKind;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{
    Api, ResourceExt as _,
    api::{ApiResource, DynamicObject},
    core::PartialObjectMeta,
    runtime::watcher::Event,
};
use tokio::task::AbortHandle;

use super::{
    content::{Found, Known, found},
    lost::Search,
};
use crate::{
    Context, Error, Result,
    client::bounded,
    rollout::interests::Interests,
    watch::{Selection, Triggers, events},
};

type Meta = PartialObjectMeta<DynamicObject>;

/// An object that a Rollout of its namespace is concerned with.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::rollout) struct Named {
    pub(super) kind: ConfigKind,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// What one watch brings: objects of a kind, of one namespace or of all that Belay works in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Scope {
    kind: ConfigKind,
    namespace: Option<String>,
}

/// An object with its content's identity.
#[derive(Debug)]
struct Entry {
    /// The version that was read (none: there was no object), until a newer one is seen.
    read: Option<(Option<String>, Found)>,
    /// What was read last.
    before: Option<Found>,
    /// Events so far: one that comes while the object is being read may be about a newer version.
    events: u64,
    changed_at: Timestamp,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            read: None,
            before: None,
            events: 0,
            changed_at: Timestamp::UNIX_EPOCH,
        }
    }
}

impl Entry {
    /// It changed: it is read again when it is asked for.
    fn forget(&mut self) {
        self.read = None;
        self.events += 1;
    }
}

/// Copies of a Rollout (namespace, name).
type Copies = HashMap<(String, String), BTreeSet<(ConfigKind, String)>>;

#[derive(Default)]
struct Inner {
    interests: Interests<Named>,
    entries: HashMap<Named, Entry>,
    copies: Copies,
    running: HashMap<Scope, AbortHandle>,
    listing: HashMap<Scope, HashSet<Named>>,
    /// Watches whose first list is complete.
    listed: HashSet<Scope>,
    /// Where the content of lost copies was looked for.
    searches: HashMap<Named, Search>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        for task in self.running.values() {
            task.abort();
        }
    }
}

/// All that is known of configuration in a term.
pub(in crate::rollout) struct Configs {
    context: Arc<Context>,
    triggers: Triggers<Rollout>,
    inner: Mutex<Inner>,
}

impl Configs {
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
    pub(super) fn follow(
        self: &Arc<Self>,
        namespace: &str,
        rollout: &str,
        wanted: BTreeSet<Named>,
    ) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        let Some(unwanted) = inner.interests.follow(namespace, rollout, wanted) else {
            return;
        };
        for named in &unwanted {
            inner.entries.remove(named);
            inner.searches.remove(named);
        }
        let all = inner.interests.all();
        let needed: HashSet<Scope> = all.map(|(named, _)| Scope::of(named)).collect();
        inner.running.retain(|scope, task| {
            let stays = needed.contains(scope);
            if !stays {
                task.abort();
                inner.listed.remove(scope);
            }
            stays
        });
        for scope in needed {
            let follow = || tokio::spawn(run(Arc::downgrade(self), scope.clone())).abort_handle();
            inner.running.entry(scope.clone()).or_insert_with(follow);
        }
    }

    /// The Rollout is gone.
    pub(in crate::rollout) fn forget(self: &Arc<Self>, namespace: &str, rollout: &str) {
        self.follow(namespace, rollout, BTreeSet::new());
    }

    /// What an object is to versions: as known, or read anew after it changed.
    pub(super) async fn content(
        &self,
        kind: ConfigKind,
        namespace: &str,
        name: &str,
    ) -> Result<Known> {
        let named = Named {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        };
        let events = {
            let mut inner = self.lock();
            let entry = inner.entries.entry(named.clone()).or_default();
            if let Some((_, found)) = &entry.read {
                return Ok(Known {
                    found: found.clone(),
                    changed_at: entry.changed_at,
                });
            }
            entry.events
        };
        let (version, now_found) = self.look(&named).await?;
        let mut inner = self.lock();
        let entry = inner.entries.entry(named).or_default();
        if entry
            .before
            .as_ref()
            .is_some_and(|before| *before != now_found)
        {
            entry.changed_at = Timestamp::now();
        }
        entry.before = Some(now_found.clone());
        // Not being allowed to read is asked about anew each time: nothing tells when that changes.
        let stands = now_found != Found::Forbidden && entry.events == events;
        entry.read = stands.then(|| (version, now_found.clone()));
        Ok(Known {
            found: now_found,
            changed_at: entry.changed_at,
        })
    }

    /// Reads an object in full.
    pub(super) async fn read(
        &self,
        kind: ConfigKind,
        namespace: &str,
        name: &str,
    ) -> Result<Option<DynamicObject>> {
        let read = self.api(kind, namespace);
        bounded("reading configuration", read.get_opt(name)).await
    }

    /// The API of a kind in a namespace.
    pub(super) fn api(&self, kind: ConfigKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.context.client.clone(), namespace, &resource(kind))
    }

    async fn look(&self, named: &Named) -> Result<(Option<String>, Found)> {
        match self.read(named.kind, &named.namespace, &named.name).await {
            Ok(Some(object)) => Ok((object.resource_version(), found(named.kind, &object))),
            Ok(None) => Ok((None, Found::Absent)),
            Err(Error::Kube(kube::Error::Api(status))) if status.is_forbidden() => {
                Ok((None, Found::Forbidden))
            }
            Err(error) => Err(error),
        }
    }

    fn took(&self, scope: &Scope, event: &Event<Meta>) {
        match event {
            Event::Init => {
                self.lock().listing.insert(scope.clone(), HashSet::new());
            }
            Event::InitApply(object) => {
                let named = scope.named(object);
                if let Some(listed) = self.lock().listing.get_mut(scope) {
                    listed.insert(named.clone());
                }
                self.saw(&named, object.resource_version().as_deref(), label(object));
            }
            Event::Apply(object) => {
                self.saw(
                    &scope.named(object),
                    object.resource_version().as_deref(),
                    label(object),
                );
            }
            Event::Delete(object) => {
                let named = scope.named(object);
                self.gone(&named, label(object));
            }
            Event::InitDone => self.listed(scope),
        }
    }

    fn saw(&self, named: &Named, version: Option<&str>, copy_of: Option<String>) {
        if let Some(rollout) = copy_of {
            let copy = (named.kind, named.name.clone());
            self.note_copy(&named.namespace, &rollout, copy, true);
        }
        let mut inner = self.lock();
        if let Some(entry) = inner.entries.get_mut(named)
            && entry
                .read
                .as_ref()
                .is_none_or(|(read, _)| read.as_deref() != version)
        {
            entry.forget();
            self.tell(&inner, named);
        }
    }

    fn gone(&self, named: &Named, copy_of: Option<String>) {
        let was_copy = copy_of.is_some();
        if let Some(rollout) = copy_of {
            let copy = (named.kind, named.name.clone());
            self.note_copy(&named.namespace, &rollout, copy, false);
        }
        let mut inner = self.lock();
        let known = inner.entries.get_mut(named).map(Entry::forget).is_some();
        if known || was_copy {
            self.tell(&inner, named);
        }
    }

    /// A list is complete: what it lacks is gone.
    fn listed(&self, scope: &Scope) {
        let mut inner = self.lock();
        let listed = inner.listing.remove(scope).unwrap_or_default();
        let mut lost = copies::listed(&mut inner, scope, &listed);
        let known = inner
            .entries
            .iter_mut()
            .filter(|(named, _)| Scope::of(named) == *scope && !listed.contains(*named))
            .filter(|(_, entry)| matches!(entry.read, Some((Some(_), _))));
        lost.extend(known.map(|(named, entry)| {
            entry.forget();
            named.clone()
        }));
        for named in lost {
            self.tell(&inner, &named);
        }
    }

    /// Has the Rollouts looked at that the object concerns.
    fn tell(&self, inner: &Inner, named: &Named) {
        for rollout in inner.interests.of(named) {
            self.triggers.trigger(&named.namespace, rollout);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Configs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Configs").finish_non_exhaustive()
    }
}

impl Scope {
    /// The watch that brings an object.
    fn of(named: &Named) -> Self {
        Self {
            kind: named.kind,
            namespace: match named.kind {
                ConfigKind::ConfigMap => None,
                ConfigKind::Secret => Some(named.namespace.clone()),
            },
        }
    }

    fn named(&self, object: &Meta) -> Named {
        Named {
            kind: self.kind,
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
        }
    }

    fn api(&self, context: &Context) -> Api<Meta> {
        let client = context.client.clone();
        let resource = resource(self.kind);
        match self
            .namespace
            .as_ref()
            .or(context.settings.namespace.as_ref())
        {
            Some(namespace) => Api::namespaced_with(client, namespace, &resource),
            None => Api::all_with(client, &resource),
        }
    }

    /// For metrics.
    const fn name(&self) -> &'static str {
        match self.kind {
            ConfigKind::ConfigMap => "configmaps",
            ConfigKind::Secret => "secrets",
        }
    }
}

fn resource(kind: ConfigKind) -> ApiResource {
    match kind {
        ConfigKind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
        ConfigKind::Secret => ApiResource::erase::<Secret>(&()),
    }
}

/// The Rollout that a copy belongs to.
fn label(object: &Meta) -> Option<String> {
    let labels = object.labels();
    let is_copy = labels.contains_key(CONFIG_COPY_LABEL);
    labels.get(ROLLOUT_LABEL).filter(|_| is_copy).cloned()
}

/// The task of one watch.
async fn run(configs: Weak<Configs>, scope: Scope) {
    let Some(context) = configs
        .upgrade()
        .map(|configs| Arc::clone(&configs.context))
    else {
        return;
    };
    let (api, server, metrics) = (scope.api(&context), context.server, &context.metrics);
    let watched = events(api, Selection::default(), server, metrics, scope.name());
    let mut events = Box::pin(watched);
    while let Some(event) = events.next().await {
        let Some(configs) = configs.upgrade() else {
            return;
        };
        configs.took(&scope, &event);
    }
}
