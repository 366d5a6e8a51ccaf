//! The Rollout controller: gathers, lets the engine decide, writes the status, acts.
//!
//! Invariant: the status is written before anything is done, with the resource version of the observation as precondition; each
//! write is made under a valid lease and carries preconditions of its own. An idle Rollout costs nothing.

mod absent;
mod act;
pub(crate) mod acts;
mod candidate;
mod complaints;
mod config;
mod daemon;
mod deferred;
mod gather;
mod groups;
mod held;
mod hold;
mod interests;
mod lever;
mod looked;
pub mod metrics;
mod pass;
mod places;
mod problem;
mod project;
mod stateful;
mod traffic;
mod world;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use belay_api::Rollout;
use kube::{ResourceExt as _, runtime::watcher::Event};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    Context, Error, Result,
    gates::measure::Measurements,
    watch::{Drive, Reconciler, drive, store::is_newer},
};
use complaints::Complaints;
use deferred::Deferred;
use hold::HoldState;
use looked::Looked;
use problem::Problems;
use world::World;

/// Passes that follow each other without a pause, each acting on what the one before changed. More in a row than any rollout
/// needs would be a mistake that must not become a storm.
const PASSES_IN_A_ROW: usize = 8;

/// Pause after that many passes.
const BREATH: Duration = Duration::from_secs(1);

/// What all reconciliations share.
#[derive(Debug)]
pub(crate) struct Shell {
    context: Arc<Context>,
    world: Arc<World>,
    measurements: Arc<Measurements<Rollout>>,
    hold: Arc<HoldState>,
    looked: Looked,
    problems: Problems,
    complaints: Complaints,
    deferred: Deferred,
    /// Rollouts as the API server gave them back after our last write, until the watch has caught up.
    written: Mutex<HashMap<String, Arc<Rollout>>>,
}

/// Runs the Rollout controller until it is stopped.
pub async fn run(context: Arc<Context>, stop: CancellationToken) -> Result<()> {
    let links = &context.links.rollouts;
    let writer = links.take_writer().ok_or(Error::TaskEnded("rollouts"))?;
    let (reader, triggers) = (links.store.clone(), links.triggers.clone());
    let mut tasks = JoinSet::new();
    let world = World::start(&context, reader.clone(), triggers.clone(), &mut tasks);
    let counted = context.metrics.rollouts.readings.clone();
    let measurements = Measurements::start(&context, triggers.clone(), counted, &mut tasks)?;
    let hold = Arc::new(HoldState::default());
    tasks.spawn(Arc::clone(&hold).follow(Arc::clone(&world), Arc::clone(&context)));
    let shell = Arc::new(Shell {
        context: Arc::clone(&context),
        world: Arc::clone(&world),
        measurements,
        hold: Arc::clone(&hold),
        looked: Looked::default(),
        problems: Problems::default(),
        complaints: Complaints::default(),
        deferred: Deferred::default(),
        written: Mutex::default(),
    });
    context.metrics.rollouts.show(Some(reader.clone()));
    let driven = async {
        let read = async { tokio::join!(world.ready(), hold.ready()) };
        // Told to stop before the first lists are complete, nothing runs that must be ended in order.
        tokio::select! {
            _ = read => context.ready.part_is_ready(),
            () = stop.cancelled() => return,
        }
        let drive_rollouts = Drive {
            api: context.watched(),
            server: context.server,
            metrics: Arc::clone(&context.metrics),
            store: (reader, writer),
            triggers,
            concurrency: context.settings.concurrency,
            stop: stop.clone(),
        };
        drive(drive_rollouts, shell).await;
    };
    let outcome = tokio::select! {
        () = driven => Ok(()),
        ended = tasks.join_next() => match ended {
            Some(Ok(Err(error))) => Err(error),
            _ => Err(Error::TaskEnded("rollout watches")),
        },
    };
    context.metrics.rollouts.show(None);
    outcome
}

impl Reconciler<Rollout> for Shell {
    const NAME: &'static str = "rollout";

    async fn reconcile(&self, object: Arc<Rollout>) -> Result<Option<Duration>> {
        let mut rollout = self.freshest(object);
        for _ in 0..PASSES_IN_A_ROW {
            match self.pass(rollout).await? {
                pass::Next::Wait(delay) => return Ok(delay),
                pass::Next::Again(newer) => rollout = newer,
            }
        }
        tracing::warn!(
            namespace = rollout.namespace(),
            name = rollout.name_any(),
            "many passes in a row; pausing for a moment"
        );
        Ok(Some(BREATH))
    }

    fn seen(&self, event: &Event<Rollout>) {
        match event {
            Event::Apply(rollout) => {
                self.caught_up(rollout);
                self.expect_traffic(rollout);
                self.context.links.rollout_changed(rollout);
            }
            Event::InitApply(rollout) => {
                self.caught_up(rollout);
                self.expect_traffic(rollout);
            }
            Event::Delete(rollout) => {
                self.forget(rollout);
                self.context.links.rollout_changed(rollout);
            }
            Event::InitDone => self.context.links.rollouts_listed(),
            Event::Init => {}
        }
    }
}

impl Shell {
    /// The Rollout of the watch, or the one that the API server gave back after our last write, whichever is newer.
    fn freshest(&self, object: Arc<Rollout>) -> Arc<Rollout> {
        let written = self.written();
        let newer = object.uid().and_then(|uid| written.get(&uid));
        match newer {
            Some(newer) if is_newer(&version(newer), &version(&object)) => Arc::clone(newer),
            _ => object,
        }
    }

    /// Keeps what the API server gave back.
    fn keep(&self, rollout: &Arc<Rollout>) {
        if let Some(uid) = rollout.uid() {
            self.written().insert(uid, Arc::clone(rollout));
        }
    }

    fn caught_up(&self, rollout: &Rollout) {
        let Some(uid) = rollout.uid() else { return };
        let mut written = self.written();
        if written
            .get(&uid)
            .is_some_and(|kept| !is_newer(&version(kept), &version(rollout)))
        {
            written.remove(&uid);
        }
    }

    fn forget(&self, rollout: &Rollout) {
        let Some(uid) = rollout.uid() else { return };
        self.written().remove(&uid);
        self.measurements.forget(&uid);
        self.problems.forget(&uid);
        self.complaints.settle(&uid);
        self.deferred.settle(&uid);
        self.looked.forget(&uid);
        let namespace = rollout.namespace().unwrap_or_default();
        self.world.settle_absent(&namespace, &rollout.name_any());
        self.world.roads.forget(&namespace, &rollout.name_any());
        self.world.configs.forget(&namespace, &rollout.name_any());
    }

    fn written(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Rollout>>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version(rollout: &Rollout) -> String {
    rollout.resource_version().unwrap_or_default()
}
