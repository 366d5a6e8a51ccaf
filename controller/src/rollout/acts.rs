//! Acts of people (`Action` objects) that have no outcome yet.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use belay_api::{Action, action::TargetKind};
use belay_engine::action::Request;
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::watcher::Event};
use tokio::sync::watch;

/// Who is named where admission did not name anybody: without the chart's policies, an act has no certain author.
const UNKNOWN_ACTOR: &str = "unknown (the admission policy that names the actor is missing)";

/// Open acts on one kind of target, by namespace and name of the act.
#[derive(Debug)]
pub(crate) struct OpenActs {
    kind: TargetKind,
    open: Mutex<BTreeMap<(String, String), Open>>,
    ready: watch::Sender<bool>,
}

#[derive(Clone, Debug)]
struct Open {
    target: String,
    request: Request,
}

impl OpenActs {
    /// None yet.
    pub(crate) fn new(kind: TargetKind) -> Self {
        Self {
            kind,
            open: Mutex::default(),
            ready: watch::Sender::new(false),
        }
    }

    /// Returns once the first list is complete.
    pub(crate) async fn ready(&self) {
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Open acts on one target, oldest first.
    pub(crate) fn on(&self, namespace: &str, target: &str) -> Vec<Request> {
        let mut requests: Vec<Request> = self
            .lock()
            .iter()
            .filter(|((ns, _), open)| ns == namespace && open.target == target)
            .map(|(_, open)| open.request.clone())
            .collect();
        requests.sort_by(|a, b| (a.created_at, &a.name).cmp(&(b.created_at, &b.name)));
        requests
    }

    /// The act has its outcome; known from the answer to our own write, before the watch tells.
    pub(crate) fn settled(&self, namespace: &str, name: &str, uid: &str) {
        let key = (namespace.to_owned(), name.to_owned());
        let mut open = self.lock();
        if open.get(&key).is_some_and(|act| act.request.uid == uid) {
            open.remove(&key);
        }
    }

    /// Takes in an event of the watch; gives the target (namespace, name) that must be looked at.
    pub(crate) fn take_in(&self, event: Event<Action>) -> Option<(String, String)> {
        match event {
            Event::Init => {
                self.lock().clear();
                None
            }
            Event::InitDone => {
                self.ready.send_replace(true);
                None
            }
            Event::InitApply(action) | Event::Apply(action) => self.put(action),
            Event::Delete(action) => {
                let key = (action.namespace().unwrap_or_default(), action.name_any());
                self.lock().remove(&key);
                None
            }
        }
    }

    fn put(&self, action: Action) -> Option<(String, String)> {
        if action.spec.target.kind != self.kind {
            return None;
        }
        let namespace = action.namespace().unwrap_or_default();
        let key = (namespace.clone(), action.name_any());
        let settled = action
            .status
            .as_ref()
            .is_some_and(|status| status.outcome.is_some());
        if settled {
            self.lock().remove(&key);
            return None;
        }
        let target = action.spec.target.name.clone();
        let open = Open {
            target: target.clone(),
            request: request(action),
        };
        self.lock().insert(key, open);
        Some((namespace, target))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(String, String), Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn request(action: Action) -> Request {
    Request {
        uid: action.uid().unwrap_or_default(),
        name: action.name_any(),
        created_at: action
            .creation_timestamp()
            .map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        verb: action.spec.verb,
        actor: action
            .spec
            .actor
            .unwrap_or_else(|| UNKNOWN_ACTOR.to_owned()),
        version: action.spec.for_version,
        reason: action.spec.reason,
    }
}
