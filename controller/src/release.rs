//! The Release controller: follows sources, gathers, lets the engine decide, writes the status, acts.
//!
//! Invariant: the status is written before anything is done, with the resource version of the observation as precondition. What
//! is applied, watched and pruned is so in the name of the Release's service account; Belay's own identity keeps statuses,
//! inventories and renders. A quiet Release costs no request.

mod act;
mod barrier;
mod bring;
mod content;
mod correct;
mod excuse;
mod gather;
mod governed;
mod leave;
mod look;
mod memory;
pub mod metrics;
mod pass;
mod peers;
mod progress;
mod publish;
mod remote;
mod replace;
mod run;
mod send;
mod sources;
mod tidy;
mod treat;
mod unchanged;
mod warnings;
mod world;

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use belay_api::Release;
use kube::{
    ResourceExt as _,
    runtime::{
        reflector::{ObjectRef, Store},
        watcher::Event,
    },
};
use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;

use crate::{
    Context, Error, Result,
    apply::{Identities, Kinds, Owner, owners::Releases, watches::Watches},
    gates::measure::Measurements,
    limits,
    watch::{Drive, Reconciler, drive, store::is_newer},
};
use memory::Memory;
use remote::Remotes;
use sources::{Inputs, Sources};
use world::World;

/// Passes that follow each other without a pause, each acting on what the one before changed. More in a row than any release
/// needs would be a mistake that must not become a storm.
const PASSES_IN_A_ROW: usize = 12;

/// Pause after that many passes.
const BREATH: Duration = Duration::from_secs(1);

/// What all reconciliations share.
#[derive(Debug)]
pub(crate) struct Shell {
    context: Arc<Context>,
    world: Arc<World>,
    sources: Sources,
    identities: Arc<Identities>,
    kinds: Arc<Kinds>,
    remotes: Remotes,
    watches: Arc<Watches>,
    measurements: Arc<Measurements<Release>>,
    memories: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Memory>>>>,
    /// Releases as the API server gave them back after our last write, until the watch has caught up.
    written: Mutex<HashMap<String, Arc<Release>>>,
}

/// Runs the Release controller until it is stopped.
pub async fn run(context: Arc<Context>, stop: CancellationToken) -> Result<()> {
    let mut tasks = JoinSet::new();
    let world = World::start(&context, &mut tasks);
    let links = &context.links.releases;
    let writer = links.take_writer().ok_or(Error::TaskEnded("releases"))?;
    let counted = context.metrics.rollouts.readings.clone();
    let measurements = Measurements::start(&context, links.triggers.clone(), counted, &mut tasks)?;
    let identities = Arc::new(Identities::new(context.client.clone()));
    let triggers = links.triggers.clone();
    let (accounts, metrics) = (Arc::clone(&identities), Arc::clone(&context.metrics));
    let inputs = Arc::new(Inputs::new(accounts, context.server, metrics));
    let shell = Arc::new(Shell {
        sources: Sources::new(&context, Arc::clone(&inputs), triggers.clone()),
        remotes: Remotes::new(&context, inputs, triggers.clone()),
        kinds: Arc::new(Kinds::new(context.client.clone())),
        watches: Watches::new(triggers.clone()),
        measurements,
        identities,
        context: Arc::clone(&context),
        world: Arc::clone(&world),
        memories: Mutex::default(),
        written: Mutex::default(),
    });
    context.metrics.releases.show(Some(links.store.clone()));
    let driven = async {
        // Told to stop before the first lists are complete, nothing runs that must be ended in order.
        tokio::select! {
            () = world.ready() => context.ready.part_is_ready(),
            () = stop.cancelled() => return,
        }
        let drive_releases = Drive {
            api: context.watched(),
            server: context.server,
            metrics: Arc::clone(&context.metrics),
            store: (links.store.clone(), writer),
            triggers,
            concurrency: context.settings.concurrency,
            stop: stop.clone(),
        };
        drive(drive_releases, shell).await;
    };
    let outcome = tokio::select! {
        () = driven => Ok(()),
        ended = tasks.join_next() => match ended {
            Some(Ok(Err(error))) => Err(error),
            _ => Err(Error::TaskEnded("release watches")),
        },
    };
    context.metrics.releases.show(None);
    outcome
}

impl Reconciler<Release> for Shell {
    const NAME: &'static str = "release";

    async fn reconcile(&self, object: Arc<Release>) -> Result<Option<Duration>> {
        let mut release = self.freshest(object);
        let memory = self.memory(&release);
        let mut memory = memory.lock().await;
        let started = Instant::now();
        for _ in 0..PASSES_IN_A_ROW {
            match self.pass(release, &mut memory).await? {
                pass::Next::Wait(delay) => return Ok(delay),
                pass::Next::Again(newer) => release = newer,
            }
            if started.elapsed() >= limits::SENDING {
                return Ok(Some(Duration::ZERO));
            }
        }
        tracing::warn!(
            namespace = release.namespace(),
            name = release.name_any(),
            "many passes in a row; pausing for a moment"
        );
        Ok(Some(BREATH))
    }

    fn seen(&self, event: &Event<Release>) {
        match event {
            Event::Apply(release) => {
                self.caught_up(release);
                self.context.links.release_changed(release);
            }
            Event::InitApply(release) => self.caught_up(release),
            Event::Delete(release) => {
                self.forget(release);
                self.context.links.release_changed(release);
            }
            Event::InitDone => self.context.links.releases_listed(),
            Event::Init => {}
        }
    }
}

impl Shell {
    fn memory(&self, release: &Release) -> Arc<tokio::sync::Mutex<Memory>> {
        let uid = release.uid().unwrap_or_default();
        let mut memories = lock(&self.memories);
        Arc::clone(memories.entry(uid).or_default())
    }

    /// The Release of the watch, or the one that the API server gave back after our last write, whichever is newer.
    fn freshest(&self, object: Arc<Release>) -> Arc<Release> {
        let written = lock(&self.written);
        let newer = object.uid().and_then(|uid| written.get(&uid));
        match newer {
            Some(newer) if is_newer(&version(newer), &version(&object)) => Arc::clone(newer),
            _ => object,
        }
    }

    /// Keeps what the API server gave back.
    fn keep(&self, release: &Arc<Release>) {
        if let Some(uid) = release.uid() {
            lock(&self.written).insert(uid, Arc::clone(release));
        }
    }

    fn caught_up(&self, release: &Release) {
        let Some(uid) = release.uid() else { return };
        let mut written = lock(&self.written);
        if written
            .get(&uid)
            .is_some_and(|kept| !is_newer(&version(kept), &version(release)))
        {
            written.remove(&uid);
        }
    }

    fn forget(&self, release: &Release) {
        let Some(uid) = release.uid() else { return };
        lock(&self.written).remove(&uid);
        lock(&self.memories).remove(&uid);
        self.sources.forget(&uid);
        self.remotes.forget(&uid);
        self.watches.forget(&uid);
        self.measurements.forget(&uid);
        let gone = ObjectRef::from_obj(release);
        self.context
            .links
            .follow_releases(gone.clone(), HashSet::new());
        self.context.links.follow(gone, HashSet::new());
    }

    fn releases(&self) -> Living<'_> {
        Living(&self.context.links.releases.store)
    }
}

/// The Releases that there are.
struct Living<'a>(&'a Store<Release>);

impl Releases for Living<'_> {
    fn named(&self, uid: &str) -> Option<String> {
        let found = self
            .0
            .find(|release| release.metadata.uid.as_deref() == Some(uid))?;
        Some(format!(
            "{}/{}",
            found.namespace().unwrap_or_default(),
            found.name_any()
        ))
    }
}

/// The Release as the owner of objects.
fn owner(release: &Release) -> Owner {
    Owner {
        namespace: release.namespace().unwrap_or_default(),
        name: release.name_any(),
        uid: release.uid().unwrap_or_default(),
    }
}

fn version(release: &Release) -> String {
    release.resource_version().unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
