//! How the objects are, and whether somebody changed them.
//!
//! Health is looked at only while it is waited for: the answer of an apply tells it first, and after that an object is read
//! again when its watch shows a newer version. Where an account may not watch, objects that are not healthy are read again after
//! a while. Drift needs no reading at all (see `apply::fields`).

use std::{sync::Arc, time::Duration};

use belay_api::{Release, names::GROUP, release::HealthRules};
use belay_engine::{
    digest::Digest,
    health::{self, Health},
    release::observed::{Altered, Contest, Drift, ObjectHealth, ObjectKey, ObjectsHealth},
};
use futures::{StreamExt as _, stream};
use jiff::Timestamp;
use kube::{Api, Client, ResourceExt as _, api::DynamicObject};
use tokio::time::Instant;

use super::{
    Shell,
    gather::stored,
    memory::{Looked, Memory},
};
use crate::{
    Error, Result,
    apply::{
        Kind, Target,
        inventory::Entry,
        owners::Releases as _,
        watches::{self, Place, Seen, State},
    },
    client::bounded,
    watch::store::is_newer,
};

/// Time between two readings of an object that can't be watched.
const UNWATCHED: Duration = Duration::from_secs(5);

/// Readings at the same time.
const CONCURRENCY: usize = 8;

/// Longest wait for a first status, also when this clock is behind the API server's.
const LONGEST_FIRST_STATUS: Duration = health::FIRST_STATUS_WITHIN.unsigned_abs();

/// Longest wait for a watch that was just started.
const WATCH_START: Duration = Duration::from_secs(2);

impl Shell {
    /// How the objects of `digest` are, and when to look again at those that can't be watched.
    pub(super) async fn look(
        &self,
        release: &Release,
        memory: &mut Memory,
        digest: &Digest,
    ) -> Result<(Option<ObjectsHealth>, Option<Duration>)> {
        let target = memory.target()?;
        let mut to_read = Vec::new();
        let mut opted_out = Vec::new();
        let mut is_unwatched = false;
        for (key, entry) in stored(memory).of(digest) {
            let Some(kind) = kind(&target, key, entry).await? else {
                continue;
            };
            let place = watches::place(&target.via, &kind.resource, key);
            let state = self.watches.settled(&place, WATCH_START).await;
            if state == State::Starting {
                target.doubt();
            }
            is_unwatched |= state != State::Following;
            let seen = self.watches.seen(&place, &key.name);
            if entry.is_opted_out(seen.as_ref().map(|seen| seen.foreign)) {
                opted_out.push(key.clone());
                continue;
            }
            let gone = self.watches.gone(&place, &key.name);
            if must_read(
                memory.looked.get(key),
                &state,
                seen.as_ref(),
                gone.as_deref(),
            ) {
                to_read.push((key.clone(), kind));
            }
        }
        for key in opted_out {
            memory.looked.remove(&key);
        }
        let rules = memory.rules(release);
        let read: Vec<_> = stream::iter(to_read)
            .map(|(key, kind)| {
                let (client, rules) = (target.client.clone(), Arc::clone(&rules));
                async move {
                    let found = read(&client, &rules, &kind, &key).await;
                    (key, found)
                }
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        for (key, found) in read {
            memory.looked.insert(key, found?);
        }
        let mut unhealthy: Vec<ObjectHealth> = stored(memory)
            .of(digest)
            // A Release among its own objects would wait for itself.
            .filter(|(key, _)| target.is_remote() || !is_itself(release, key))
            .filter_map(|(key, entry)| unhealthy(key, entry, memory.looked.get(key)))
            .collect();
        self.warn(release, &target, memory, &mut unhealthy).await;
        let look_again = (is_unwatched && !unhealthy.is_empty()).then_some(UNWATCHED);
        let settles = memory.looked.values().filter_map(Looked::settles_in).min();
        let look_again = look_again.into_iter().chain(settles).min();
        let health = ObjectsHealth {
            digest: digest.clone(),
            unhealthy,
        };
        Ok((Some(health), look_again))
    }

    /// Objects of `digest` that somebody changed since they were applied.
    pub(super) fn drift(&self, release: &Release, memory: &Memory, digest: &Digest) -> Vec<Drift> {
        let uid = release.uid().unwrap_or_default();
        let places = memory.places.iter().flatten();
        let places: Vec<&Place> = places.collect();
        stored(memory)
            .of(digest)
            .filter_map(|(key, entry)| {
                let place = places.iter().find(|place| is_at(place, key))?;
                if self.watches.state(place) != State::Following {
                    return None;
                }
                let seen = self.watches.seen(place, &key.name);
                let written = memory.written.get(key).map(|(version, _)| version.as_str());
                let (message, foreign) = self.difference(
                    (entry, memory.harmless.get(key)),
                    seen.as_ref(),
                    written,
                    &uid,
                )?;
                let contest = if foreign {
                    // Another Release has taken it over: correcting that would be a tug of war.
                    Contest::Fought {
                        until: jiff::Timestamp::MAX,
                    }
                } else {
                    memory.contest(key)
                };
                Some(Drift {
                    object: key.clone(),
                    message,
                    contest,
                })
            })
            .collect()
    }

    /// What is different about an object, and whether it belongs to another Release now.
    fn difference(
        &self,
        (entry, harmless): (&Entry, Option<&String>),
        seen: Option<&Seen>,
        written: Option<&str>,
        uid: &str,
    ) -> Option<(String, bool)> {
        let foreign = seen.map(|seen| seen.foreign);
        if entry.is_opted_out(foreign) {
            return None;
        }
        let Some(seen) = seen else {
            if entry.is_unmarked() {
                return None;
            }
            // Our own write may not have come round yet; the watch tells when it has, or when the object is deleted.
            return (!entry.passing && written.is_none()).then(|| {
                (
                    "it was deleted, or its label was taken off".to_owned(),
                    false,
                )
            });
        };
        if seen.is_dying || written.is_some_and(|ours| is_newer(ours, &seen.resource_version)) {
            return None;
        }
        if let Some(other) = seen.owner_uid.as_deref().filter(|owner| *owner != uid)
            && let Some(name) = self.releases().named(other)
        {
            return Some((format!("it belongs to Release {name} now"), true));
        }
        if seen.owner_uid.as_deref() != Some(uid) {
            return Some(("its mark of ownership was changed".to_owned(), false));
        }
        if entry.says(foreign).leaves_alone() {
            return None;
        }
        if entry.left_alone {
            let message = "it is no longer to be left alone, and may be an older version's";
            return Some((message.to_owned(), false));
        }
        if entry.fields.is_some() && seen.fields != entry.fields && seen.fields.as_ref() != harmless
        {
            return Some(("fields that the source sets were changed".to_owned(), false));
        }
        None
    }

    /// Whether an object that left the source would be deleted, as far as its watch shows.
    pub(super) fn lets_prune(&self, release: &Release, memory: &Memory, key: &ObjectKey) -> bool {
        let place = memory
            .places
            .iter()
            .flatten()
            .find(|place| is_at(place, key));
        let seen = place.and_then(|place| self.watches.seen(place, &key.name));
        let words = seen.map(|seen| seen.words).unwrap_or_default();
        words.lets_prune(key, &release.namespace().unwrap_or_default())
    }

    /// Our own writes that the watches have shown by now are no longer waited for.
    pub(super) fn settle_written(&self, memory: &mut Memory) {
        let places: Vec<Place> = memory.places.iter().flatten().cloned().collect();
        memory.written.retain(|key, (version, at)| {
            let place = places.iter().find(|place| is_at(place, key));
            place.is_none_or(|place| !self.watches.has_caught_up(place, &key.name, version, *at))
        });
    }
}

/// Objects of `digest` of which the cluster's admission changed values when they were applied.
pub(super) fn altered(memory: &Memory, digest: &Digest) -> Vec<Altered> {
    let objects = stored(memory).of(digest);
    let objects = objects.filter(|(_, entry)| !entry.altered.is_empty() && !entry.left_alone);
    objects
        .map(|(key, entry)| Altered {
            object: key.clone(),
            pointers: entry.altered.clone(),
        })
        .collect()
}

/// The kind of an object of the inventory, if the API server still knows it.
pub(super) async fn kind(target: &Target, key: &ObjectKey, entry: &Entry) -> Result<Option<Kind>> {
    Ok(target.kinds.resolve(&entry.api_version, &key.kind).await?)
}

fn is_itself(release: &Release, key: &ObjectKey) -> bool {
    key.kind == "Release"
        && key.group == GROUP
        && key.name == release.name_any()
        && key.namespace == release.namespace()
}

pub(super) fn is_at(place: &Place, key: &ObjectKey) -> bool {
    place.resource.group == key.group
        && place.resource.kind == key.kind
        && place.namespace == key.namespace
}

fn must_read(
    looked: Option<&Looked>,
    state: &State,
    seen: Option<&Seen>,
    gone: Option<&str>,
) -> bool {
    let Some(looked) = looked else { return true };
    if looked.has_settled() {
        return true;
    }
    let is_older = |version: &str| is_newer(version, &looked.resource_version);
    match (state, seen, gone) {
        (State::Following, Some(seen), _) => is_older(&seen.resource_version),
        (State::Following, None, Some(gone)) => is_older(gone),
        // Our own write has not come round yet.
        (State::Following, None, None) => false,
        _ => looked.health != Health::Current && looked.at.elapsed() >= UNWATCHED,
    }
}

fn unhealthy(key: &ObjectKey, entry: &Entry, looked: Option<&Looked>) -> Option<ObjectHealth> {
    let looked = looked?;
    // A Job that was taken away after its time to live has done its work.
    let is_over = entry.passing && looked.resource_version.is_empty();
    (looked.health != Health::Current && !is_over).then(|| ObjectHealth {
        object: key.clone(),
        health: looked.health.clone(),
    })
}

pub(super) async fn read(
    client: &Client,
    rules: &HealthRules,
    kind: &Kind,
    key: &ObjectKey,
) -> Result<Looked> {
    let api: Api<DynamicObject> = match &key.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind.resource),
        None => Api::all_with(client.clone(), &kind.resource),
    };
    let found = match bounded("reading an applied object", api.get_opt(&key.name)).await {
        Ok(found) => found,
        Err(Error::Kube(kube::Error::Api(status))) if status.is_forbidden() => {
            return Ok(Looked::nothing(format!(
                "it can't be read: {}",
                status.message
            )));
        }
        Err(error) => return Err(error),
    };
    match found {
        Some(object) => looked(&object, kind, rules),
        None => Ok(Looked::nothing("it does not exist".to_owned())),
    }
}

/// How an object is, from an answer of the API server.
pub(super) fn looked(object: &DynamicObject, kind: &Kind, rules: &HealthRules) -> Result<Looked> {
    let value = serde_json::to_value(object)?;
    let left = health::first_status_due(&value)
        .filter(|_| kind.has_status && !rules.has_rule(&value))
        .and_then(|due| Duration::try_from(due.duration_since(Timestamp::now())).ok());
    Ok(Looked {
        resource_version: object.resource_version().unwrap_or_default(),
        health: match left {
            Some(_) => health::awaits_first_status(),
            None => rules.assess(&value),
        },
        at: Instant::now(),
        settles_at: left.map(|left| Instant::now() + left.min(LONGEST_FIRST_STATUS)),
    })
}
