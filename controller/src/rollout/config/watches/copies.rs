//! Which copies there are, as the watches tell, and where the content of lost ones was looked for.

use std::collections::BTreeSet;

use belay_engine::config::{ConfigKind, MAX_NAME_BYTES};

use super::{super::lost::Search, Configs, Inner, Named, Scope};

/// Length of a name that the API server takes, less the longest one that has a copy: the hash with its dash.
const HASH_BYTES: usize = 253 - MAX_NAME_BYTES;

impl Configs {
    /// The known copies that belong to the Rollout.
    pub(in super::super) fn copies(
        &self,
        namespace: &str,
        rollout: &str,
    ) -> BTreeSet<(ConfigKind, String)> {
        let key = (namespace.to_owned(), rollout.to_owned());
        self.lock().copies.get(&key).cloned().unwrap_or_default()
    }

    /// Names of all known copies of an object, whichever workload they are for.
    pub(in super::super) fn copies_of(
        &self,
        kind: ConfigKind,
        namespace: &str,
        name: &str,
    ) -> BTreeSet<String> {
        let is_of = |copy: &str| {
            let hash = copy
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix('-'));
            hash.is_some() && copy.len() == name.len().saturating_add(HASH_BYTES)
        };
        let inner = self.lock();
        let there = inner.copies.iter().filter(|((of, _), _)| of == namespace);
        there
            .flat_map(|(_, copies)| copies)
            .filter(|(of, copy)| *of == kind && is_of(copy))
            .map(|(_, copy)| copy.clone())
            .collect()
    }

    /// Whether it is known which copies there are: a first list is complete.
    pub(in super::super) fn has_listed(&self, kind: ConfigKind, namespace: &str) -> bool {
        let scope = Scope::of(&named(kind, namespace, ""));
        self.lock().listed.contains(&scope)
    }

    /// Takes in that a copy exists, or exists no longer.
    pub(in super::super) fn note_copy(
        &self,
        namespace: &str,
        rollout: &str,
        copy: (ConfigKind, String),
        exists: bool,
    ) {
        let mut guard = self.lock();
        let inner = &mut *guard;
        if exists {
            // A list that is under way may be older than the copy.
            let named = named(copy.0, namespace, &copy.1);
            if let Some(listing) = inner.listing.get_mut(&Scope::of(&named)) {
                listing.insert(named);
            }
        }
        let key = (namespace.to_owned(), rollout.to_owned());
        let copies = inner.copies.entry(key.clone()).or_default();
        if exists {
            copies.insert(copy);
        } else {
            copies.remove(&copy);
        }
        if copies.is_empty() {
            inner.copies.remove(&key);
        }
    }

    /// What came of the last search for what a lost copy held.
    pub(in super::super) fn search(
        &self,
        kind: ConfigKind,
        namespace: &str,
        copy: &str,
    ) -> Option<Search> {
        let named = named(kind, namespace, copy);
        self.lock().searches.get(&named).cloned()
    }

    /// Remembers it for as long as the copy concerns a Rollout.
    pub(in super::super) fn note_search(
        &self,
        kind: ConfigKind,
        namespace: &str,
        copy: &str,
        search: Search,
    ) {
        let named = named(kind, namespace, copy);
        let mut inner = self.lock();
        if inner.interests.has(&named) {
            inner.searches.insert(named, search);
        }
    }
}

/// A list of a watch is complete: copies that it lacks are gone. Gives what is to be looked at again: those, and everything when it is
/// the first list, for until then nothing is known to be gone.
pub(super) fn listed(
    inner: &mut Inner,
    scope: &Scope,
    there: &std::collections::HashSet<Named>,
) -> Vec<Named> {
    let mut gone = Vec::new();
    for ((namespace, _), copies) in &mut inner.copies {
        copies.retain(|(kind, name)| {
            let named = named(*kind, namespace, name);
            let stays = Scope::of(&named) != *scope || there.contains(&named);
            if !stays {
                gone.push(named);
            }
            stays
        });
    }
    if inner.listed.insert(scope.clone()) {
        let all = inner.interests.all().map(|(named, _)| named);
        gone.extend(all.filter(|named| Scope::of(named) == *scope).cloned());
    }
    gone
}

fn named(kind: ConfigKind, namespace: &str, name: &str) -> Named {
    Named {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
