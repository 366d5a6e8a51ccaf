//! Cutting a large inventory into parts.
//!
//! Invariant: an object is always in the same part as long as their number stays the same, and that number changes rarely. So a
//! little change rewrites few parts. New content of the same objects rewrites none: it is named in the index only.

use belay_engine::{digest::Digest, release::observed::ObjectKey};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Entry, Inventory, written::Written};
use crate::Result;

/// Objects that a part holds at most, on average. With the longest names they still fit a ConfigMap.
const OBJECTS: usize = 1_000;

/// With fewer objects in a part, on average, there are too many parts.
const FEW_OBJECTS: usize = OBJECTS / 4;

/// Key of the index in its ConfigMap.
pub(super) const INDEX: &str = "inventory.parts.json";

/// What stands in the inventory's own ConfigMap when its objects are in others.
#[derive(Serialize, Deserialize)]
pub(super) struct Index {
    /// Content whose objects are all in it.
    pub(super) contents: Vec<Digest>,
    /// Names of the ConfigMaps that hold the objects.
    pub(super) parts: Vec<String>,
}

/// How many parts an inventory of so many objects has when it had `before`; one is the whole in one place.
pub(super) fn count(objects: usize, before: usize) -> usize {
    let mut count = before.max(1).next_power_of_two();
    while objects > count.saturating_mul(OBJECTS) {
        count = count.saturating_mul(2);
    }
    while count > 1 && objects < count.saturating_mul(FEW_OBJECTS) {
        count /= 2;
    }
    count
}

/// The texts of `count` parts.
pub(super) fn split(inventory: &Inventory, count: usize) -> Result<Vec<String>> {
    let mut parts: Vec<Vec<(&ObjectKey, &Entry)>> = vec![Vec::new(); count];
    for (key, entry) in &inventory.objects {
        if let Some(part) = parts.get_mut(place(key, count)) {
            part.push((key, entry));
        }
    }
    let texts = parts
        .iter()
        .map(|objects| serde_json::to_string(&Written::part(&inventory.contents, objects)));
    Ok(texts.collect::<Result<_, _>>()?)
}

/// The inventory of an index and its parts.
pub(super) fn join(index: Index, parts: Vec<Written>) -> Inventory {
    let contents = index.contents.into_iter().collect();
    let objects = parts
        .into_iter()
        .flat_map(|part| part.entries(&contents))
        .collect();
    Inventory { objects, contents }
}

/// Number of the part that holds `key`. What is in one part of some is in one of two parts of twice as many.
fn place(key: &ObjectKey, count: usize) -> usize {
    let digest = Digest::of(&json!([key.group, key.kind, key.namespace, key.name]));
    let number = digest.as_str().get(..8);
    let number = number.and_then(|digits| usize::from_str_radix(digits, 16).ok());
    number.unwrap_or_default() % count.max(1)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::{super::packed, *};

    /// What a ConfigMap holds, with some room for its metadata.
    const MAP_BYTES: usize = 1_000_000;

    fn keys(objects: usize, name_bytes: usize) -> Vec<ObjectKey> {
        let name = |number| {
            let text: String = (0..4)
                .map(|turn| Digest::of(&json!([number, turn])).to_string())
                .collect();
            text.get(..name_bytes).unwrap_or_default().to_owned()
        };
        let key = |number| ObjectKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some(format!("tenant-{}", number % 50)),
            name: name(number),
        };
        (0..objects).map(key).collect()
    }

    fn record(inventory: &mut Inventory, version: &str, keys: &[ObjectKey]) {
        let objects = keys.iter().map(|key| (key, "apps/v1", false));
        inventory.record(&Digest::of(&json!(version)), objects);
    }

    fn read(inventory: &Inventory, texts: &[String]) -> Inventory {
        let index = Index {
            contents: inventory.contents.iter().cloned().collect(),
            parts: Vec::new(),
        };
        let parts = texts.iter().map(|text| serde_json::from_str(text).unwrap());
        join(index, parts.collect())
    }

    fn differing(before: &[String], after: &[String]) -> usize {
        let pairs = before.iter().zip(after);
        pairs.filter(|(before, after)| before != after).count()
    }

    #[test]
    fn the_number_of_parts_follows_the_objects_and_does_not_swing() {
        for (objects, before, expected) in [
            (0, 0, 1),
            (1_000, 0, 1),
            (1_001, 0, 2),
            (5_000, 1, 8),
            (5_001, 8, 8),
            (3_000, 8, 8),
            (1_999, 8, 4),
            (20_000, 8, 32),
            (0, 32, 1),
            (600, 3, 2),
        ] {
            assert_eq!(count(objects, before), expected, "{objects}, {before}");
        }
    }

    #[test]
    fn the_largest_source_fits_whatever_its_objects_are_called() {
        // Ten thousand objects, the most that are rendered, replaced by as many others.
        let keys = keys(20_000, 253);
        let mut inventory = Inventory::default();
        record(&mut inventory, "a", &keys[..10_000]);
        record(&mut inventory, "b", &keys[10_000..]);
        for entry in inventory.objects.values_mut() {
            entry.fields = Some(Digest::of(&json!(entry.api_version)).short());
        }
        let texts = split(&inventory, count(20_000, 1)).unwrap();
        assert_eq!(read(&inventory, &texts), inventory);
        for text in texts {
            let mut map = ConfigMap::default();
            packed::put(&mut map, text).unwrap();
            let bytes: usize = map
                .binary_data
                .into_iter()
                .flatten()
                .map(|(_, bytes)| bytes.0.len())
                .sum();
            assert!(bytes < MAP_BYTES / 2, "{bytes}");
        }
    }

    #[test]
    fn a_little_change_changes_few_parts_and_new_content_of_the_same_objects_none() {
        let keys = keys(5_000, 20);
        let mut inventory = Inventory::default();
        record(&mut inventory, "a", &keys);
        let opened = split(&inventory, 8).unwrap();
        record(&mut inventory, "b", &keys);
        let both = split(&inventory, 8).unwrap();
        assert_eq!(differing(&opened, &both), 0);
        assert_eq!(read(&inventory, &both), inventory);
        inventory.keep_only(&Digest::of(&json!("b")));
        let kept = split(&inventory, 8).unwrap();
        assert_eq!(differing(&both, &kept), 0);
        record(&mut inventory, "c", &keys[1..]);
        let one_left = split(&inventory, 8).unwrap();
        assert_eq!(differing(&kept, &one_left), 1);
        assert_eq!(read(&inventory, &one_left), inventory);
        inventory.keep_nothing();
        let nothing = split(&inventory, 8).unwrap();
        assert_eq!(read(&inventory, &nothing), inventory);
    }
}
