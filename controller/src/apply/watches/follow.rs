//! The task of one watch.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, Weak},
};

use belay_api::names::RELEASE_LABEL;
use futures::StreamExt as _;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, PartialObjectMeta},
    core::Status,
    runtime::{WatchStreamExt as _, watcher},
};

use tokio::time::Instant;

use super::{Interest, Place, Seen, State, Watch, Watches, lock};
use crate::apply::{Target, fields, owners::owner_of, words};

/// Vanished objects that are remembered per watch.
const GONE_KEPT: usize = 1024;

/// Objects that one watch takes in: ten times as many as a Release may have.
const MOST: usize = 100_000;

type Meta = PartialObjectMeta<DynamicObject>;

pub(super) fn objects(client: &Client, place: &Place) -> Api<Meta> {
    match &place.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &place.resource),
        None => Api::all_with(client.clone(), &place.resource),
    }
}

/// Follows the objects until the watches are gone.
pub(super) async fn follow(
    watches: Weak<Watches>,
    watch: Arc<Watch>,
    api: Api<Meta>,
    target: Target,
) {
    let config = watcher::Config {
        label_selector: Some(RELEASE_LABEL.to_owned()),
        initial_list_strategy: target.server.list_strategy(),
        ..watcher::Config::default()
    };
    let mut events = Box::pin(watcher(api, config).default_backoff());
    let mut listed: HashMap<String, Seen> = HashMap::new();
    let mut listing_since = None;
    while let Some(event) = events.next().await {
        let Some(watches) = watches.upgrade() else {
            return;
        };
        match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                listing_since = Some(Instant::now());
            }
            Ok(watcher::Event::InitApply(_)) if listed.len() >= MOST => {
                return give_up(&watches, &watch);
            }
            Ok(watcher::Event::Apply(_)) if write(&watch).len() >= MOST => {
                return give_up(&watches, &watch);
            }
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(object.name_any(), see(&object));
            }
            Ok(watcher::Event::InitDone) => {
                replace(&watches, &watch, &std::mem::take(&mut listed));
                *lock(&watch.listed_since) = listing_since;
                if watch.state.send_replace(State::Following) != State::Following {
                    watches.tell_all(&watch);
                }
            }
            Ok(watcher::Event::Apply(object)) => {
                let (name, seen) = (object.name_any(), see(&object));
                let before = put(&watch, name, seen.clone());
                told(&watches, before.as_ref(), Some(&seen));
            }
            Ok(watcher::Event::Delete(object)) => {
                let name = object.name_any();
                let before = write(&watch).remove(&name);
                bury(&watch, name, object.resource_version().unwrap_or_default());
                told(&watches, before.as_ref(), None);
            }
            Err(error) => {
                if !is_an_answer(&error) {
                    target.doubt();
                }
                if let Some(why) = refusal(&error)
                    && watch.state.send_replace(State::Refused(why)) == State::Starting
                {
                    watches.tell_all(&watch);
                }
                tracing::debug!(%error, "a watch on applied objects failed; starting it again");
            }
        }
    }
}

/// Ends a watch that shows more than is taken in.
fn give_up(watches: &Watches, watch: &Arc<Watch>) {
    let why = format!("it shows more than {MOST} objects");
    watch.state.send_replace(State::Refused(why));
    watches.tell_all(watch);
}

/// Whether an API server that knows who asks said no: then it is there, and will say so again.
fn is_an_answer(error: &watcher::Error) -> bool {
    answer(error).is_some_and(|status| matches!(status.code, 403..=405))
}

/// Why the API server refuses this watch, if it does: a failure of the moment is no refusal.
fn refusal(error: &watcher::Error) -> Option<String> {
    let status = answer(error)?;
    matches!(status.code, 401 | 403 | 404 | 405).then(|| status.message.clone())
}

fn answer(error: &watcher::Error) -> Option<&Status> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status),
        _ => None,
    }
}

fn see(object: &Meta) -> Seen {
    let metadata = &object.metadata;
    Seen {
        uid: object.uid().unwrap_or_default(),
        resource_version: object.resource_version().unwrap_or_default(),
        fields: fields::fingerprint(metadata.managed_fields.as_deref().unwrap_or_default()),
        owner_uid: owner_of(metadata).map(str::to_owned),
        is_dying: metadata.deletion_timestamp.is_some(),
        words: words::live(metadata),
        foreign: words::foreign(metadata),
    }
}

fn write(watch: &Watch) -> std::sync::RwLockWriteGuard<'_, HashMap<String, Seen>> {
    watch
        .objects
        .write()
        .unwrap_or_else(PoisonError::into_inner)
}

fn put(watch: &Watch, name: String, seen: Seen) -> Option<Seen> {
    watch.gone().remove(&name);
    write(watch).insert(name, seen)
}

/// Remembers that an object vanished. What is forgotten when there are many is found by the next list.
fn bury(watch: &Watch, name: String, version: String) {
    let mut gone = watch.gone();
    if gone.len() >= GONE_KEPT {
        gone.clear();
    }
    gone.insert(name, version);
}

/// After a new list: what is different is news.
fn replace(watches: &Watches, watch: &Watch, listed: &HashMap<String, Seen>) {
    let before = std::mem::replace(&mut *write(watch), listed.clone());
    for (name, old) in &before {
        if !listed.contains_key(name) {
            bury(watch, name.clone(), u64::MAX.to_string());
        }
        told(watches, Some(old), listed.get(name));
    }
    for (name, new) in listed {
        if !before.contains_key(name) {
            told(watches, None, Some(new));
        }
    }
}

fn told(watches: &Watches, before: Option<&Seen>, after: Option<&Seen>) {
    let news = match (before, after) {
        (Some(before), Some(after)) if before == after => return,
        (Some(before), Some(after)) if only_version_differs(before, after) => Interest::Everything,
        _ => Interest::Drift,
    };
    let owner = |seen: Option<&Seen>| seen.and_then(|seen| seen.owner_uid.clone());
    let (old, new) = (owner(before), owner(after));
    watches.tell(new.as_deref(), news);
    if old != new {
        watches.tell(old.as_deref(), Interest::Drift);
    }
}

fn only_version_differs(before: &Seen, after: &Seen) -> bool {
    before.uid == after.uid
        && before.fields == after.fields
        && before.owner_uid == after.owner_uid
        && before.is_dying == after.is_dying
        && before.words == after.words
        && before.foreign == after.foreign
}
