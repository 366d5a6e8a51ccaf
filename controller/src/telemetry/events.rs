//! Kubernetes events, written in the background.
//!
//! Invariant: an event is written once for each decision that asks for it, with the text of that decision. There is no
//! aggregation into series: the engine tells only of changes. Events never hold up a reconciliation.

use std::sync::Arc;

use belay_engine::rollout::{Event, EventKind};
use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, PostParams},
};
use tokio::sync::mpsc::{self, error::TrySendError};

use super::Metrics;
use crate::{client, limits, text::beginning};

/// Where events go to.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<v1::Event>,
    identity: Arc<str>,
    metrics: Arc<Metrics>,
}

impl Events {
    /// Starts the task that writes events; it ends when the last clone is dropped.
    pub fn start(client: Client, identity: &str, metrics: Arc<Metrics>) -> Self {
        let (queue, waiting) = mpsc::channel(limits::EVENT_QUEUE);
        tokio::spawn(write(client, waiting));
        Self {
            queue,
            identity: identity.into(),
            metrics,
        }
    }

    /// Puts an event about `regarding` on its way. `action` is what the controller was doing, in one word.
    pub fn publish(&self, regarding: &ObjectReference, action: &str, event: &Event) {
        let Some(namespace) = regarding.namespace.clone() else {
            return;
        };
        let now = Timestamp::now();
        let name = regarding.name.as_deref().unwrap_or("object");
        let object = v1::Event {
            metadata: ObjectMeta {
                // Unique as long as one process writes at most one event per nanosecond about one object.
                name: Some(format!(
                    "{}.{:x}",
                    beginning(name, 200),
                    now.as_nanosecond()
                )),
                namespace: Some(namespace),
                ..ObjectMeta::default()
            },
            type_: Some(kind(event.kind).to_owned()),
            reason: Some(event.reason.clone()),
            action: Some(action.to_owned()),
            note: Some(beginning(&event.message, limits::EVENT_NOTE_BYTES).to_owned()),
            regarding: Some(regarding.clone()),
            reporting_controller: Some("belay.dev/controller".to_owned()),
            reporting_instance: Some(beginning(&self.identity, 128).to_owned()),
            event_time: Some(MicroTime(now)),
            ..v1::Event::default()
        };
        match self.queue.try_send(object) {
            Ok(()) | Err(TrySendError::Closed(_)) => {}
            Err(TrySendError::Full(_)) => {
                self.metrics.events_dropped.inc();
            }
        }
    }
}

async fn write(client: Client, mut waiting: mpsc::Receiver<v1::Event>) {
    while let Some(event) = waiting.recv().await {
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<v1::Event> = Api::namespaced(client.clone(), &namespace);
        let parameters = PostParams::default();
        let create = api.create(&parameters, &event);
        if let Err(error) = client::bounded("writing an event", create).await {
            tracing::warn!(%error, namespace, "an event was not written");
        }
    }
}

const fn kind(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Normal => "Normal",
        EventKind::Warning => "Warning",
    }
}
