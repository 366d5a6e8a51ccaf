//! How inventories, and parts of them, are written.
//!
//! Invariant: the whole form is the oldest one and stays readable; `all` is written in parts only, whose index an older controller
//! does not take for an inventory. So none reads an object that belongs to every content as one that belongs to none.

use std::collections::BTreeSet;

use belay_engine::{
    digest::Digest,
    release::{observed::ObjectKey, words::Words},
};
use serde::{Deserialize, Serialize};

use super::{Entry, Inventory};

/// An inventory, or a part of one.
#[derive(Serialize, Deserialize)]
pub(super) struct Written {
    contents: Vec<Digest>,
    objects: Vec<WrittenEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WrittenEntry {
    #[serde(flatten)]
    key: ObjectKey,
    api_version: String,
    /// Whether it belongs to every content that the index names. New content of the same objects changes no part.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    all: bool,
    /// Indices into `contents`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    of: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    settled: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    passing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    leftover: Option<String>,
    #[serde(default, skip_serializing_if = "is_default")]
    words: Words,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    left_alone: bool,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    altered: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent: Option<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature that serde calls"
)]
fn is_default(words: &Words) -> bool {
    *words == Words::default()
}

impl Written {
    /// The whole of an inventory.
    pub(super) fn whole(inventory: &Inventory) -> Self {
        let contents: Vec<Digest> = inventory.contents.iter().cloned().collect();
        let objects = inventory.objects.iter();
        let objects = objects
            .map(|(key, entry)| write(key, entry, indices(&contents, entry), false))
            .collect();
        Self { contents, objects }
    }

    /// Some objects of an inventory with these `contents`.
    pub(super) fn part(contents: &BTreeSet<Digest>, objects: &[(&ObjectKey, &Entry)]) -> Self {
        let special = |entry: &Entry| entry.contents != *contents;
        let own: BTreeSet<Digest> = objects
            .iter()
            .filter(|(_, entry)| special(entry))
            .flat_map(|(_, entry)| entry.contents.iter().cloned())
            .collect();
        let own: Vec<Digest> = own.into_iter().collect();
        let objects = objects
            .iter()
            .map(|(key, entry)| {
                if special(entry) {
                    write(key, entry, indices(&own, entry), false)
                } else {
                    write(key, entry, Vec::new(), true)
                }
            })
            .collect();
        Self {
            contents: own,
            objects,
        }
    }

    /// The objects of a part of an inventory with these `contents`.
    pub(super) fn entries(
        self,
        all: &BTreeSet<Digest>,
    ) -> impl Iterator<Item = (ObjectKey, Entry)> {
        let Self { contents, objects } = self;
        objects.into_iter().map(move |entry| {
            let of = entry.of.iter();
            let of = of.filter_map(|index| contents.get(*index).cloned());
            let restored = Entry {
                api_version: entry.api_version,
                contents: if entry.all { all.clone() } else { of.collect() },
                fields: entry.fields,
                settled: entry.settled,
                passing: entry.passing,
                leftover: entry.leftover,
                words: entry.words,
                left_alone: entry.left_alone,
                altered: entry.altered,
                sent: entry.sent,
            };
            (entry.key, restored)
        })
    }
}

fn indices(contents: &[Digest], entry: &Entry) -> Vec<usize> {
    let contents = contents.iter().enumerate();
    contents
        .filter(|(_, content)| entry.contents.contains(content))
        .map(|(index, _)| index)
        .collect()
}

fn write(key: &ObjectKey, entry: &Entry, of: Vec<usize>, all: bool) -> WrittenEntry {
    WrittenEntry {
        key: key.clone(),
        api_version: entry.api_version.clone(),
        all,
        of,
        fields: entry.fields.clone(),
        settled: entry.settled.clone(),
        passing: entry.passing,
        leftover: entry.leftover.clone(),
        words: entry.words,
        left_alone: entry.left_alone,
        altered: entry.altered.clone(),
        sent: entry.sent.clone(),
    }
}

impl From<Written> for Inventory {
    /// The whole form; a part is nothing by itself.
    fn from(written: Written) -> Self {
        let contents: BTreeSet<Digest> = written.contents.iter().cloned().collect();
        Self {
            objects: written.entries(&contents).collect(),
            contents,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let (a, b) = (Digest::of(&json!("a")), Digest::of(&json!("b")));
        let keys: Vec<ObjectKey> = ["common", "own-a", "own-b"]
            .into_iter()
            .map(|name| ObjectKey {
                group: String::new(),
                kind: "ConfigMap".into(),
                namespace: Some("shop".into()),
                name: name.into(),
            })
            .collect();
        let mut inventory = Inventory::default();
        inventory.record(&a, [(&keys[0], "v1", false), (&keys[1], "v1", false)]);
        inventory.record(&b, [(&keys[0], "v1", false), (&keys[2], "v1", false)]);
        let written = serde_json::to_string(&Written::whole(&inventory)).unwrap();
        assert!(!written.contains("\"all\""), "{written}");
        let read: Written = serde_json::from_str(&written).unwrap();
        assert_eq!(Inventory::from(read), inventory);
    }
}
