//! Whether a Service had ready endpoints all the time.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use belay_lab::wait_for;
use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::task::JoinHandle;

use crate::shell::Shell;

const READY: Duration = Duration::from_mins(3);

/// A watch on the endpoints of a Service, from its first ready one on.
pub(crate) struct Served {
    service: String,
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Seen {
    /// Ready endpoints by slice.
    slices: BTreeMap<String, usize>,
    /// Ready endpoints after each change.
    history: Vec<usize>,
}

impl Served {
    /// Begins to watch, and returns once at least `ready` endpoints are ready.
    pub(crate) async fn begin(shell: &Shell, service: &str, ready: usize) -> Self {
        let api: Api<EndpointSlice> = Api::namespaced(shell.client.clone(), &shell.namespace);
        let config =
            watcher::Config::default().labels(&format!("kubernetes.io/service-name={service}"));
        let seen: Arc<Mutex<Seen>> = Arc::default();
        let noted = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut events = Box::pin(watcher(api, config).default_backoff());
            // A list that is read anew says nothing before its end.
            let mut listed: Option<BTreeMap<String, usize>> = None;
            while let Some(event) = events.next().await {
                let mut seen = noted.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(watcher::Event::Init) => listed = Some(BTreeMap::new()),
                    Ok(watcher::Event::InitApply(slice)) => {
                        listed
                            .get_or_insert_default()
                            .insert(slice.name_any(), count(&slice));
                    }
                    Ok(watcher::Event::InitDone) => seen.slices = listed.take().unwrap_or_default(),
                    Ok(watcher::Event::Apply(slice)) => {
                        seen.slices.insert(slice.name_any(), count(&slice));
                    }
                    Ok(watcher::Event::Delete(slice)) => {
                        seen.slices.remove(&slice.name_any());
                    }
                    Err(_) => continue,
                }
                if listed.is_none() {
                    let ready = seen.slices.values().sum();
                    seen.history.push(ready);
                }
            }
        });
        let served = Self {
            service: service.to_owned(),
            seen,
            task,
        };
        let what = format!("{service} to have {ready} ready endpoints");
        wait_for(&what, READY, || async {
            let now = served.now();
            if now >= ready {
                Ok(())
            } else {
                Err(format!("it has {now}"))
            }
        })
        .await
        .expect("it is served");
        served.lock().history = vec![served.now()];
        served
    }

    /// Fails if there was a moment without any ready endpoint since the beginning.
    pub(crate) fn never_empty(&self, when: &str) {
        let history = self.lock().history.clone();
        assert!(
            !history.contains(&0),
            "{} had no ready endpoint: {history:?}, at the latest in\n{when}",
            self.service
        );
    }

    /// How often something changed.
    pub(crate) fn changes(&self) -> usize {
        self.lock().history.len()
    }

    fn now(&self) -> usize {
        self.lock().slices.values().sum()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Endpoints that take requests. One of a pod that is going away does not.
fn count(slice: &EndpointSlice) -> usize {
    let ready = slice.endpoints.iter().filter(|endpoint| {
        let conditions = endpoint.conditions.as_ref();
        conditions.is_some_and(|conditions| conditions.ready == Some(true))
    });
    ready.count()
}
