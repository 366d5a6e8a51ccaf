//! What a Release has put into the cluster, written down before it is put there.
//!
//! Invariant: an object is in the stored inventory before it is created, and leaves it only after it is gone or given up. So
//! whatever a crash interrupts, nothing is left that nobody knows of. Stored in ConfigMaps beside the Release, not in its
//! status: an inventory may be large, and only its owner reads it.

#[cfg(test)]
mod killed;
mod packed;
mod parts;
mod store;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use belay_engine::{
    digest::Digest,
    release::{
        observed::{Inventory as View, ObjectKey, Pending},
        words::{Applying, Care, Words},
    },
};
pub use store::{Stored, load, save};

/// One object of an inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// API version that it was applied in.
    pub api_version: String,
    /// Content that it belongs to.
    pub contents: BTreeSet<Digest>,
    /// What Belay's fields in it looked like after it was applied (see [`super::fields`]).
    pub fields: Option<String>,
    /// The same without those that are left to others, if there are any (see [`super::ignore`]).
    pub settled: Option<String>,
    /// Whether it takes itself away when it is done, as a Job with a time to live does.
    pub passing: bool,
    /// Why it is still there although it was to be pruned.
    pub leftover: Option<String>,
    /// What the source said about it when it was applied or left alone last.
    pub words: Words,
    /// Whether it was there and was left as it was instead of being applied.
    pub left_alone: bool,
    /// Values that the cluster's admission changed on the way in (see [`super::altered`]).
    pub altered: Vec<String>,
    /// Digest of what was sent and taken as it is (see [`super::same`]); nothing while that may have changed.
    pub sent: Option<String>,
}

impl Entry {
    /// What holds for the object: what others say on it, `foreign`, if it is known, before what the source says.
    pub fn says(&self, foreign: Option<Words>) -> Words {
        foreign.unwrap_or_default().or(self.words)
    }

    /// Whether it was there before and was never applied, so that it does not carry Belay's marks and can't be watched.
    pub fn is_unmarked(&self) -> bool {
        self.left_alone && self.fields.is_none()
    }

    /// Whether somebody said that the object is not to be looked after. One without marks still says so.
    pub fn is_opted_out(&self, foreign: Option<Words>) -> bool {
        let words = self.says(foreign);
        let unmarked = self.is_unmarked() && foreign.is_none();
        words.reconcile == Care::Disabled || unmarked && words.apply == Applying::Always
    }
}

/// An object that is about to be applied.
#[derive(Clone, Copy, Debug)]
pub struct Recorded<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// API version that it is applied in.
    pub api_version: &'a str,
    /// Whether it takes itself away when it is done.
    pub passing: bool,
    /// Digest of what is to be sent, if it is not always sent.
    pub sent: Option<&'a str>,
}

/// What a Release has put into the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inventory {
    /// The objects.
    pub objects: BTreeMap<ObjectKey, Entry>,
    /// Content whose objects are all in it.
    contents: BTreeSet<Digest>,
}

impl Inventory {
    /// Adds the objects of `digest`, given with their API versions.
    pub fn record<'a>(
        &mut self,
        digest: &Digest,
        objects: impl IntoIterator<Item = impl Into<Recorded<'a>>>,
    ) {
        for object in objects {
            let Recorded {
                key,
                api_version,
                passing,
                sent,
            } = object.into();
            let entry = self.objects.entry(key.clone()).or_insert_with(|| Entry {
                api_version: api_version.to_owned(),
                contents: BTreeSet::new(),
                fields: None,
                settled: None,
                passing,
                leftover: None,
                words: Words::default(),
                left_alone: false,
                altered: Vec::new(),
                sent: None,
            });
            api_version.clone_into(&mut entry.api_version);
            entry.passing = passing;
            if entry.sent.as_deref() != sent {
                entry.sent = None;
            }
            entry.leftover = None;
            entry.contents.insert(digest.clone());
        }
        self.contents.insert(digest.clone());
    }

    /// Only `digest` counts from now on; what is not in it is to be pruned.
    pub fn keep_only(&mut self, digest: &Digest) {
        for entry in self.objects.values_mut() {
            entry.contents.retain(|content| content == digest);
        }
        self.contents.retain(|content| content == digest);
    }

    /// No content counts any more: everything is to be given up.
    pub fn keep_nothing(&mut self) {
        for entry in self.objects.values_mut() {
            entry.contents.clear();
        }
        self.contents.clear();
    }

    /// Objects that belong to no content any more.
    pub fn surplus(&self) -> impl Iterator<Item = (&ObjectKey, &Entry)> {
        self.objects
            .iter()
            .filter(|(_, entry)| entry.contents.is_empty())
    }

    /// Objects of `digest`.
    pub fn of<'a>(
        &'a self,
        digest: &'a Digest,
    ) -> impl Iterator<Item = (&'a ObjectKey, &'a Entry)> {
        self.objects
            .iter()
            .filter(move |(_, entry)| entry.contents.contains(digest))
    }

    /// As decisions see it; `lets_prune` says whether an object that is not in `target` would be deleted.
    pub fn view(&self, target: Option<&Digest>, lets_prune: impl Fn(&ObjectKey) -> bool) -> View {
        let is_surplus = |entry: &Entry| target.is_some_and(|of| !entry.contents.contains(of));
        View {
            doomed: self
                .objects
                .iter()
                .filter(|(key, entry)| is_surplus(entry) && lets_prune(key))
                .map(|(key, _)| key.clone())
                .collect(),
            contents: self.contents.iter().cloned().collect(),
            leftovers: self
                .objects
                .iter()
                .filter(|(_, entry)| entry.contents.is_empty())
                .map(|(key, entry)| Pending {
                    object: key.clone(),
                    message: entry
                        .leftover
                        .clone()
                        .unwrap_or_else(|| "it is about to be pruned".to_owned()),
                })
                .collect(),
            objects: self.objects.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    impl<'a> From<(&'a ObjectKey, &'a str, bool)> for Recorded<'a> {
        /// One that is always sent.
        fn from((key, api_version, passing): (&'a ObjectKey, &'a str, bool)) -> Self {
            Self {
                key,
                api_version,
                passing,
                sent: None,
            }
        }
    }

    use serde_json::json;

    use super::*;

    fn key(name: &str) -> ObjectKey {
        ObjectKey {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: Some("shop".into()),
            name: name.into(),
        }
    }

    fn two_contents() -> (Inventory, Digest, Digest) {
        let (a, b) = (Digest::of(&json!("a")), Digest::of(&json!("b")));
        let (common, own_a, own_b) = (key("common"), key("own-a"), key("own-b"));
        let mut inventory = Inventory::default();
        inventory.record(&a, [(&common, "v1", false), (&own_a, "v1", false)]);
        inventory.record(&b, [(&common, "v1", false), (&own_b, "v1", false)]);
        (inventory, a, b)
    }

    #[test]
    fn only_what_no_kept_content_needs_is_surplus() {
        let (mut inventory, _, b) = two_contents();
        assert_eq!(inventory.surplus().count(), 0);
        inventory.keep_only(&b);
        let surplus: Vec<_> = inventory
            .surplus()
            .map(|(key, _)| key.name.clone())
            .collect();
        assert_eq!(surplus, ["own-a"]);
        let view = inventory.view(Some(&b), |_| true);
        assert_eq!(view.contents, [b]);
        assert_eq!(view.doomed, [key("own-a")]);
    }
}
