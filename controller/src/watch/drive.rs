//! Drives one controller: watches its resources, and calls its reconciler for each that changed or was triggered.

use std::{fmt::Debug, future::Future, hash::Hash, sync::Arc, time::Duration};

use belay_api::names;
use futures::StreamExt as _;
use kube::{
    Api, Resource, ResourceExt,
    runtime::{
        Controller, Predicate, PredicateConfig, WatchStreamExt as _,
        controller::{self, Action},
        predicates,
        reflector::{self, ObjectRef, Store},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

use super::{Selection, ServerVersion, Triggers, events, failures::Failures};
use crate::{
    Error, Result, limits,
    telemetry::{Metrics, metrics::ControllerLabel},
};

/// What a controller does for one object.
pub trait Reconciler<K>: Send + Sync + 'static {
    /// `rollout` or `release`; label of metrics and logs.
    const NAME: &'static str;

    /// Brings one object one pass further. `Some` is the time after which to look again even if nothing changes.
    fn reconcile(&self, object: Arc<K>) -> impl Future<Output = Result<Option<Duration>>> + Send;

    /// Hears of every event of the watch, once the store has it and before the object is looked at.
    fn seen(&self, event: &watcher::Event<K>);
}

/// What [`drive`] needs beside the reconciler.
pub struct Drive<K>
where
    K: Resource<DynamicType = ()> + Clone + 'static,
{
    /// Which objects.
    pub api: Api<K>,
    /// What the API server can do.
    pub server: ServerVersion,
    /// Counts.
    pub metrics: Arc<Metrics>,
    /// Where the objects are kept; its reader may be shared.
    pub store: (Store<K>, reflector::store::Writer<K>),
    /// Names to look at because something else changed.
    pub triggers: Triggers<K>,
    /// Reconciliations at the same time.
    pub concurrency: u16,
    /// Ends it: reconciliations that run may finish, no new ones begin.
    pub stop: CancellationToken,
}

/// Runs a controller until it is stopped.
pub async fn drive<K, R>(drive: Drive<K>, reconciler: Arc<R>)
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
    ObjectRef<K>: Send,
    R: Reconciler<K>,
{
    let Drive {
        store: (reader, mut writer),
        metrics,
        stop,
        ..
    } = drive;
    let hearing = Arc::clone(&reconciler);
    let changed = events(
        drive.api,
        Selection::default(),
        drive.server,
        &metrics,
        R::NAME,
    )
    .map(move |event| {
        let event = event.modify(|object| object.managed_fields_mut().clear());
        writer.apply_watcher_event(&event);
        // Only now: who hears that the watch has caught up relies on the store for it.
        hearing.seen(&event);
        Ok(event)
    })
    .applied_objects()
    .predicate_filter(
        predicates::generation.combine(lifecycle),
        PredicateConfig::default(),
    );
    let failures = Arc::new(Failures::default());
    let counted = Arc::clone(&metrics);
    let on_error = {
        let failures = Arc::clone(&failures);
        move |object: Arc<K>, error: &Error, _: Arc<()>| {
            failures.next(object.as_ref(), error, R::NAME, &counted)
        }
    };
    let seconds = metrics
        .reconcile_seconds
        .get_or_create_owned(&ControllerLabel {
            controller: R::NAME,
        });
    let reconcile = move |object: Arc<K>, _: Arc<()>| {
        let reconciler = Arc::clone(&reconciler);
        let failures = Arc::clone(&failures);
        let seconds = seconds.clone();
        async move {
            let started = tokio::time::Instant::now();
            let pass = reconciler.reconcile(Arc::clone(&object));
            let next = tokio::time::timeout(limits::RECONCILE, pass)
                .await
                .unwrap_or(Err(Error::Timeout {
                    what: "one reconciliation",
                    seconds: limits::RECONCILE.as_secs(),
                }));
            seconds.observe(started.elapsed().as_secs_f64());
            let next = next?;
            failures.clear(object.as_ref());
            Ok(next.map_or_else(Action::await_change, Action::requeue))
        }
    };
    Controller::for_stream(changed, reader)
        .with_config(controller::Config::default().concurrency(drive.concurrency))
        .reconcile_on(drive.triggers.stream())
        .graceful_shutdown_on(stop.cancelled_owned())
        .run(reconcile, on_error, Arc::new(()))
        .for_each(|_| std::future::ready(()))
        .await;
}

/// What makes a change of the object itself worth a look, beside its generation: deletion, finalizers, labels, and the annotation by
/// which somebody asks for a look.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the signature of kube's predicates"
)]
fn lifecycle<K: Resource>(object: &K) -> Option<u64> {
    use std::hash::{DefaultHasher, Hasher as _};
    let meta = object.meta();
    let mut hasher = DefaultHasher::new();
    meta.uid.hash(&mut hasher);
    meta.deletion_timestamp.is_some().hash(&mut hasher);
    meta.finalizers.hash(&mut hasher);
    meta.labels.hash(&mut hasher);
    let annotations = meta.annotations.as_ref();
    let asked = annotations.and_then(|all| all.get(names::RECONCILE_ANNOTATION));
    asked.hash(&mut hasher);
    Some(hasher.finish())
}
