//! Which objects of a set need not be sent: the source says what was sent last, and the watch shows that nobody changed it.
//!
//! Invariant: in doubt an object is sent. What its watch does not show as Belay's and as it was left, is sent; so is what a policy
//! altered, for the policy may be gone, and what has fields that are left to others.

use std::collections::HashSet;

use belay_api::Release;
use belay_engine::release::{observed::ObjectKey, words::Words};
use kube::ResourceExt as _;

use super::{Shell, gather::stored, memory::Memory};
use crate::{
    apply::{
        Prepared, Target, ignore,
        inventory::Entry,
        watches::{self, Seen, State},
    },
    watch::store::is_newer,
};

impl Shell {
    /// Objects of `prepared` that are in the cluster as they would be sent.
    pub(super) fn unchanged(
        &self,
        release: &Release,
        memory: &Memory,
        target: &Target,
        prepared: &[Prepared],
    ) -> HashSet<ObjectKey> {
        let uid = release.uid().unwrap_or_default();
        let rules = &release.spec.apply.ignore;
        let inventory = stored(memory);
        let unchanged = prepared.iter().filter(|object| {
            let Some(entry) = inventory.objects.get(&object.key) else {
                return false;
            };
            if !was_sent(object, entry)
                || !ignore::paths(rules, &object.key, &object.body).is_empty()
            {
                return false;
            }
            let written = memory.written.get(&object.key);
            let written = written.map(|(version, _)| version.as_str());
            let seen = self.shown(target, object);
            seen.is_some_and(|seen| is_left(&seen, entry, &uid, written))
        });
        unchanged.map(|object| object.key.clone()).collect()
    }

    /// What a watch that follows shows of an object.
    fn shown(&self, target: &Target, object: &Prepared) -> Option<Seen> {
        let place = watches::place(&target.via, &object.kind.resource, &object.key);
        if self.watches.state(&place) != State::Following {
            return None;
        }
        self.watches.seen(&place, &object.key.name)
    }
}

/// Whether what would be sent is what was sent last, and came in as it was.
fn was_sent(object: &Prepared, entry: &Entry) -> bool {
    object.digest.is_some()
        && object.digest == entry.sent
        && entry.altered.is_empty()
        && !entry.left_alone
}

/// Whether an object is as Belay left it, whose last write gave it the version `written`.
fn is_left(seen: &Seen, entry: &Entry, uid: &str, written: Option<&str>) -> bool {
    written.is_none_or(|written| !is_newer(written, &seen.resource_version))
        && seen.owner_uid.as_deref() == Some(uid)
        && !seen.is_dying
        && seen.foreign == Words::default()
        && entry.fields.is_some()
        && seen.fields == entry.fields
}
