//! Which Rollouts are concerned with which objects, kept in both directions.
//!
//! Invariant: an object is here exactly as long as a Rollout wants it. What follows from that (watches, what is known of an object) is
//! the owner's.

use std::{
    collections::{BTreeSet, HashMap},
    hash::Hash,
};

/// Objects of the kind of name `N`, and the Rollouts of the same namespace that want them.
#[derive(Debug)]
pub(super) struct Interests<N> {
    /// Names of the Rollouts that want an object.
    users: HashMap<N, BTreeSet<String>>,
    /// What a Rollout (namespace, name) wants.
    wanted: HashMap<(String, String), BTreeSet<N>>,
}

impl<N> Default for Interests<N> {
    fn default() -> Self {
        Self {
            users: HashMap::new(),
            wanted: HashMap::new(),
        }
    }
}

impl<N: Clone + Eq + Hash + Ord> Interests<N> {
    /// From now on the Rollout wants these objects, and no others. Gives those that nobody wants any more; nothing if it wanted
    /// just these before.
    pub(super) fn follow(
        &mut self,
        namespace: &str,
        rollout: &str,
        wanted: BTreeSet<N>,
    ) -> Option<Vec<N>> {
        let key = (namespace.to_owned(), rollout.to_owned());
        let before = match self.wanted.get(&key) {
            Some(before) if *before == wanted => return None,
            None if wanted.is_empty() => return None,
            before => before.cloned().unwrap_or_default(),
        };
        for named in wanted.difference(&before) {
            let users = self.users.entry(named.clone()).or_default();
            users.insert(rollout.to_owned());
        }
        let mut unwanted = Vec::new();
        for named in before.difference(&wanted) {
            if let Some(users) = self.users.get_mut(named) {
                users.remove(rollout);
                if users.is_empty() {
                    self.users.remove(named);
                    unwanted.push(named.clone());
                }
            }
        }
        if wanted.is_empty() {
            self.wanted.remove(&key);
        } else {
            self.wanted.insert(key, wanted);
        }
        Some(unwanted)
    }

    /// Whether any Rollout wants the object.
    pub(super) fn has(&self, named: &N) -> bool {
        self.users.contains_key(named)
    }

    /// Names of the Rollouts that want the object.
    pub(super) fn of(&self, named: &N) -> impl Iterator<Item = &String> {
        self.users.get(named).into_iter().flatten()
    }

    /// All objects, each with the names of the Rollouts that want it.
    pub(super) fn all(&self) -> impl Iterator<Item = (&N, &BTreeSet<String>)> {
        self.users.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_stays_as_long_as_a_rollout_wants_it() {
        let mut interests = Interests::default();
        let set = |names: &[&'static str]| names.iter().copied().collect::<BTreeSet<_>>();
        assert_eq!(
            interests.follow("shop", "web", set(&["a", "b"])),
            Some(vec![])
        );
        assert_eq!(interests.follow("shop", "web", set(&["a", "b"])), None);
        assert_eq!(interests.follow("shop", "api", set(&["b"])), Some(vec![]));
        assert_eq!(interests.follow("shop", "web", set(&[])), Some(vec!["a"]));
        assert!(!interests.has(&"a") && interests.has(&"b"));
        assert_eq!(interests.of(&"b").collect::<Vec<_>>(), ["api"]);
        assert_eq!(interests.follow("shop", "web", set(&[])), None);
        assert_eq!(interests.follow("shop", "api", set(&[])), Some(vec!["b"]));
        assert_eq!(interests.all().count(), 0);
    }
}
