//! Giving fields back to their owners.
//!
//! The API server keeps account of who set which field. Whoever writes a field that somebody else applied takes it out of the
//! other's account. When Belay is done with a field, its value is again what it was, and the account must be, too: otherwise the
//! next apply of its source would meet a conflict with Belay, or a field removed from the source would stay.
//!
//! Belay writes such fields under a manager of its own, [`MANAGER`], and at the end hands them to the manager that owns their
//! neighbours: a write to `managedFields` alone, which the API server takes as it is.
//!
//! Invariant: who owns any other field is not touched. Nothing is remembered: the heir is seen in the live object.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Map, Value};

/// Manager of fields that are Belay's only while a candidate is on trial.
pub const MANAGER: &str = "belay-traffic";

/// Path of a field as in `fieldsV1`.
pub type Path = [&'static str];

/// Whether Belay owns a field of the object for the time being.
pub fn is_owner(managed: &[ManagedFieldsEntry]) -> bool {
    managed.iter().any(is_ours)
}

/// The account with Belay's fields handed to their heirs; nothing if it owns none. `paths` are the fields that may be Belay's.
pub fn given_back(
    managed: &[ManagedFieldsEntry],
    paths: &[&Path],
) -> Option<Vec<ManagedFieldsEntry>> {
    if !is_owner(managed) {
        return None;
    }
    let ours = |path: &Path| {
        managed
            .iter()
            .filter(|entry| is_ours(entry))
            .any(|entry| owns(entry, path))
    };
    let mut others: Vec<ManagedFieldsEntry> = managed
        .iter()
        .filter(|entry| !is_ours(entry))
        .cloned()
        .collect();
    for path in paths.iter().filter(|path| ours(path)) {
        if others.iter().any(|entry| owns(entry, path)) {
            continue;
        }
        let heir = others
            .iter_mut()
            .filter(|entry| entry.subresource.is_none())
            .max_by_key(|entry| kinship(entry, path))
            .filter(|entry| kinship(entry, path).0 > 0);
        if let Some(fields) = heir.and_then(|heir| heir.fields_v1.as_mut()) {
            insert(&mut fields.0, path);
        }
    }
    if others.is_empty() {
        // Without a single entry the API server would keep the account that it has; an empty one makes it begin anew.
        others.push(ManagedFieldsEntry::default());
    }
    Some(others)
}

/// Whether this is Belay's account of fields for the time being.
pub fn is_ours(entry: &ManagedFieldsEntry) -> bool {
    entry.manager.as_deref() == Some(MANAGER)
}

fn owns(entry: &ManagedFieldsEntry, path: &Path) -> bool {
    let fields = entry.fields_v1.as_ref();
    fields.is_some_and(|fields| at(&fields.0, path).is_some())
}

/// What is at a path of an account.
pub(crate) fn at<'v>(fields: &'v Value, path: &Path) -> Option<&'v Value> {
    path.iter().try_fold(fields, |value, key| value.get(key))
}

/// How near an owner is to a field: how deep the fields are that it owns beside it, whether it applies, and how many they are.
fn kinship(entry: &ManagedFieldsEntry, path: &Path) -> (usize, bool, usize) {
    let Some(fields) = &entry.fields_v1 else {
        return (0, false, 0);
    };
    let near = (1..path.len()).rev().find_map(|depth| {
        let beside = at(&fields.0, path.get(..depth)?)?;
        let count = beside.as_object().map_or(0, Map::len);
        (count > 0).then_some((depth, count))
    });
    let applies = entry.operation.as_deref() == Some("Apply");
    near.map_or((0, applies, 0), |(depth, count)| (depth, applies, count))
}

/// Puts a field into an account, as one.
pub(crate) fn insert(fields: &mut Value, path: &Path) {
    let mut place = fields;
    for key in path {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        let Some(map) = place.as_object_mut() else {
            return;
        };
        place = map
            .entry((*key).to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
    }
}
