//! The Releases that one Release refers to. They are read from the watch that this controller has anyway, so looking at them
//! costs no request, and who refers to one hears of its changes.

use std::collections::HashSet;

use belay_api::{Release, names::RELEASE_UID_ANNOTATION};
use belay_engine::release::composition::{Peer, PeerKey, Peers, ring};
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use super::Shell;

impl Shell {
    /// How the Releases are that `release` refers to.
    pub(super) fn peers(&self, release: &Release) -> Peers {
        let references = release.references();
        let heard = references
            .iter()
            .map(|key| (key.namespace.clone(), key.name.clone()));
        // First this: what changes after the look is heard of.
        self.context
            .links
            .follow_releases(ObjectRef::from_obj(release), heard.collect::<HashSet<_>>());
        if references.is_empty() {
            return Peers::default();
        }
        let ring = ring(&release.key(), |key| self.readable_references(key));
        let peers = references
            .into_iter()
            .map(|key| Peer {
                view: release.view_of(&key, self.release(&key).as_deref()),
                key,
            })
            .collect();
        Peers { peers, ring }
    }

    /// What the Release `key` waits for: those that it refers to and may read, and those that it applies.
    fn readable_references(&self, key: &PeerKey) -> Vec<PeerKey> {
        let Some(release) = self.release(key) else {
            return Vec::new();
        };
        let is_readable = |other: &PeerKey| {
            self.release(other)
                .is_some_and(|other| other.is_readable_from(&key.namespace))
        };
        let mut waited_for: Vec<PeerKey> = release
            .references()
            .into_iter()
            .filter(is_readable)
            .collect();
        let store = &self.context.links.releases.store;
        let applied = store.state();
        let applied = applied
            .iter()
            .filter(|other| is_applied_by(other, &release));
        waited_for.extend(applied.map(|other| other.key()));
        waited_for
    }

    fn release(&self, key: &PeerKey) -> Option<std::sync::Arc<Release>> {
        let store = &self.context.links.releases.store;
        store.get(&ObjectRef::new(&key.name).within(&key.namespace))
    }
}

/// Whether `other` is one of the objects of `release`. One among its own objects does not wait for itself.
fn is_applied_by(other: &Release, release: &Release) -> bool {
    let owner = other.annotations().get(RELEASE_UID_ANNOTATION);
    owner.is_some() && owner == release.metadata.uid.as_ref() && other.uid() != release.uid()
}
