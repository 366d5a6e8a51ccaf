//! The watch on one object.

use std::{collections::BTreeMap, fmt::Debug, pin::pin, sync::Arc};

use belay_api::release::InputKind;
use futures::StreamExt as _;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client, Resource, runtime::watcher};
use serde::de::DeserializeOwned;
use tokio::{sync::watch, task::AbortHandle};

use super::{Data, Key, State};
use crate::{
    telemetry::Metrics,
    watch::{Selection, ServerVersion, attempts},
};

/// A watch that ends when it is dropped.
pub(super) struct Watched {
    state: watch::Sender<State>,
    task: AbortHandle,
}

impl Watched {
    /// Begins to watch; to be called within a runtime.
    pub(super) fn start(
        client: Client,
        (identity, kind, name): &Key,
        server: ServerVersion,
        metrics: Arc<Metrics>,
    ) -> Self {
        let state = watch::Sender::new(State::Unknown);
        let (namespace, name, told) = (&identity.namespace, name.clone(), state.clone());
        let task = match kind {
            InputKind::ConfigMap => {
                let api = Api::<ConfigMap>::namespaced(client, namespace);
                tokio::spawn(follow(api, name, server, metrics, told))
            }
            InputKind::Secret => {
                let api = Api::<Secret>::namespaced(client, namespace);
                tokio::spawn(follow(api, name, server, metrics, told))
            }
        };
        Self {
            state,
            task: task.abort_handle(),
        }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<State> {
        self.state.subscribe()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// An object with keys and values.
trait Keyed {
    fn data(self) -> Data;
}

impl Keyed for ConfigMap {
    fn data(self) -> Data {
        let texts = self.data.unwrap_or_default().into_iter();
        let bytes = self.binary_data.unwrap_or_default().into_iter();
        texts
            .map(|(key, text)| (key, text.into_bytes()))
            .chain(bytes.map(|(key, bytes)| (key, bytes.0)))
            .collect()
    }
}

impl Keyed for Secret {
    fn data(self) -> Data {
        let values: BTreeMap<_, _> = self.data.unwrap_or_default();
        values
            .into_iter()
            .map(|(key, bytes)| (key, bytes.0))
            .collect()
    }
}

async fn follow<K>(
    api: Api<K>,
    name: String,
    server: ServerVersion,
    metrics: Arc<Metrics>,
    state: watch::Sender<State>,
) where
    K: Resource<Scope = NamespaceResourceScope>
        + Keyed
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + 'static,
{
    // A role can allow a watch on one object when the watch selects it by its name.
    let selection = Selection {
        labels: None,
        fields: Some(format!("metadata.name={name}")),
    };
    let mut events = pin!(attempts(api, selection, server, &metrics, "inputs"));
    let mut listed = None;
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed = None,
            Ok(watcher::Event::InitApply(object)) => listed = Some(object.data()),
            Ok(watcher::Event::InitDone) => tell(&state, found(listed.take())),
            Ok(watcher::Event::Apply(object)) => tell(&state, found(Some(object.data()))),
            Ok(watcher::Event::Delete(_)) => tell(&state, State::Missing),
            Err(error) => {
                if let Some(why) = refusal(&error) {
                    tell(&state, State::Refused(why));
                }
            }
        }
    }
}

fn found(data: Option<Data>) -> State {
    data.map_or(State::Missing, |data| State::Found(Arc::new(data)))
}

/// Tells what is new alone: a change of a label makes no render.
fn tell(state: &watch::Sender<State>, now: State) {
    state.send_if_modified(|known| {
        let is_known = match (&*known, &now) {
            (State::Found(old), State::Found(new)) => old == new,
            (State::Refused(old), State::Refused(new)) => old == new,
            (State::Missing, State::Missing) => true,
            _ => false,
        };
        if !is_known {
            *known = now;
        }
        !is_known
    });
}

/// Why the API server refuses the watch, if it does: a failure of the moment is no refusal.
fn refusal(error: &watcher::Error) -> Option<String> {
    let (watcher::Error::InitialListFailed(kube::Error::Api(status))
    | watcher::Error::WatchStartFailed(kube::Error::Api(status))
    | watcher::Error::WatchError(status)) = error
    else {
        return None;
    };
    matches!(status.code, 401 | 403).then(|| status.message.clone())
}
