//! Fields that the spec says others look after (`apply.ignore`).
//!
//! They are sent when an object is made. After that, as long as such a field is still Belay's, its live value is sent, for leaving
//! it out would take it away; once somebody else has it, it is left out. Whoever takes one changes Belay's account of fields, and
//! that is no drift: accounts are compared without these fields.
//!
//! Invariant: a pointer that leads nowhere changes nothing.

use belay_api::{names::FIELD_MANAGER, release::IgnoreRule};
use belay_engine::{digest::Digest, release::observed::ObjectKey};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;

/// A path to a field: names, and places in lists.
type Path = Vec<String>;

/// The fields of this object that are left to others.
pub fn paths(rules: &[IgnoreRule], key: &ObjectKey, object: &Value) -> Vec<Path> {
    let labels = object.pointer("/metadata/labels");
    let label = |name: &str| labels?.get(name)?.as_str();
    let mut paths: Vec<Path> = rules
        .iter()
        .filter(|rule| rule.selector.matches(key, label))
        .flat_map(|rule| &rule.pointers)
        .filter_map(|pointer| parse(pointer))
        .collect();
    // From the back, so that taking an element out of a list moves none that is still to come.
    paths.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| place(b).cmp(&place(a))));
    paths.dedup();
    paths
}

fn parse(pointer: &str) -> Option<Path> {
    let rest = pointer.strip_prefix('/')?;
    let part = |part: &str| part.replace("~1", "/").replace("~0", "~");
    Some(rest.split('/').map(part).collect())
}

fn place(path: &Path) -> usize {
    let last = path.last().and_then(|last| last.parse().ok());
    last.unwrap_or_default()
}

/// `body` as it is sent to a cluster in which `live` is: without what others have, and with what is still Belay's as it is there.
pub fn leave(body: &Value, paths: &[Path], live: &Value, managed: &[ManagedFieldsEntry]) -> Value {
    let ours = account(managed);
    let mut left = body.clone();
    for path in paths {
        if at(&left, path).is_none() {
            continue;
        }
        let there = counterpart(body, live, path);
        let kept = ours
            .filter(|ours| owns(ours, live, &there))
            .and_then(|_| at(live, &there));
        put(&mut left, path, kept);
    }
    left
}

/// A text that changes when the set of fields that Belay applied changes, apart from these.
pub fn fingerprint(paths: &[Path], live: &Value, managed: &[ManagedFieldsEntry]) -> Option<String> {
    let mut ours = account(managed)?.clone();
    for path in paths {
        disown(&mut ours, live, path);
    }
    Some(Digest::of(&ours).short())
}

/// What Belay applied, as `fieldsV1`.
fn account(managed: &[ManagedFieldsEntry]) -> Option<&Value> {
    let entry = managed.iter().find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
    });
    Some(&entry?.fields_v1.as_ref()?.0)
}

/// The same field in the live object: elements of lists are found by their name, and else by their place.
fn counterpart(body: &Value, live: &Value, path: &Path) -> Path {
    let (mut here, mut there) = (Some(body), Some(live));
    let mut found = Path::with_capacity(path.len());
    for part in path {
        let element = child(here, part);
        let name = element.and_then(|element| element.get("name"));
        let twin = there.and_then(Value::as_array).and_then(|list| {
            list.iter()
                .position(|other| name.is_some() && other.get("name") == name)
        });
        let part = twin.map_or_else(|| part.clone(), |place| place.to_string());
        there = child(there, &part);
        here = element;
        found.push(part);
    }
    found
}

fn child<'a>(value: Option<&'a Value>, part: &str) -> Option<&'a Value> {
    match value? {
        Value::Object(fields) => fields.get(part),
        Value::Array(list) => list.get(part.parse::<usize>().ok()?),
        _ => None,
    }
}

fn at<'a>(value: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter()
        .try_fold(value, |value, part| child(Some(value), part))
}

fn put(value: &mut Value, path: &[String], new: Option<&Value>) {
    let Some((field, parents)) = path.split_last() else {
        return;
    };
    let parent = parents.iter().try_fold(value, |value, part| match value {
        Value::Object(fields) => fields.get_mut(part),
        Value::Array(list) => list.get_mut(part.parse::<usize>().ok()?),
        _ => None,
    });
    match (parent, new) {
        (Some(Value::Object(fields)), Some(new)) => {
            fields.insert(field.clone(), new.clone());
        }
        (Some(Value::Object(fields)), None) => {
            fields.remove(field);
        }
        (Some(Value::Array(list)), new) => {
            let Some(place) = field.parse().ok().filter(|place| *place < list.len()) else {
                return;
            };
            match new {
                Some(new) => list.splice(place..=place, [new.clone()]).for_each(drop),
                None => drop(list.remove(place)),
            }
        }
        _ => {}
    }
}

/// Whether `account` has the field. A part of something that is owned as a whole is owned with it.
fn owns(account: &Value, live: &Value, path: &[String]) -> bool {
    let (mut account, mut live) = (account, Some(live));
    for part in path {
        if is_whole(account) {
            return true;
        }
        let next = step(account, live, part).and_then(|step| account.get(step));
        let Some(next) = next else { return false };
        account = next;
        live = child(live, part);
    }
    true
}

/// Takes the field out of `account`.
fn disown(account: &mut Value, live: &Value, path: &[String]) {
    let Some((field, parents)) = path.split_last() else {
        return;
    };
    let (mut account, mut live) = (account, Some(live));
    for part in parents {
        let Some(step) = step(account, live, part).map(str::to_owned) else {
            return;
        };
        let Some(next) = account.get_mut(&step) else {
            return;
        };
        account = next;
        live = child(live, part);
    }
    let Some(step) = step(account, live, field).map(str::to_owned) else {
        return;
    };
    if let Some(fields) = account.as_object_mut() {
        fields.remove(&step);
    }
}

fn is_whole(account: &Value) -> bool {
    account.as_object().is_some_and(serde_json::Map::is_empty)
}

/// What `account` calls this part of `live`: `f:name` for a field, `k:{…}` or `v:…` for an element of a list.
fn step<'a>(account: &'a Value, live: Option<&Value>, part: &str) -> Option<&'a str> {
    let names = account.as_object()?.keys();
    let element = live
        .filter(|live| live.is_array())
        .map(|list| child(Some(list), part));
    let Some(element) = element else {
        return names
            .map(String::as_str)
            .find(|name| name.strip_prefix("f:") == Some(part));
    };
    let element = element?;
    names.map(String::as_str).find(|name| {
        let keys = name.strip_prefix("k:").map(serde_json::from_str::<Value>);
        let value = name.strip_prefix("v:").map(serde_json::from_str::<Value>);
        match (keys, value) {
            (Some(Ok(Value::Object(keys))), _) => keys
                .iter()
                .all(|(key, value)| element.get(key) == Some(value)),
            (_, Some(Ok(value))) => *element == value,
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn managed(fields: &Value) -> Vec<ManagedFieldsEntry> {
        serde_json::from_value(
            json!([{"manager": "belay", "operation": "Apply", "fieldsV1": fields}]),
        )
        .unwrap()
    }

    fn path(pointer: &str) -> Path {
        parse(pointer).unwrap()
    }

    #[test]
    fn a_field_goes_with_its_live_value_until_somebody_else_has_it() {
        let body = json!({"spec": {"replicas": 2, "x": 1}});
        let live = json!({"spec": {"replicas": 7, "x": 1}});
        let paths = [
            path("/spec/replicas"),
            path("/spec/nowhere"),
            path("/a/0/b"),
        ];
        let ours = managed(&json!({"f:spec": {"f:replicas": {}, "f:x": {}}}));
        assert_eq!(
            leave(&body, &paths, &live, &ours),
            json!({"spec": {"replicas": 7, "x": 1}})
        );
        let theirs = managed(&json!({"f:spec": {"f:x": {}}}));
        assert_eq!(
            leave(&body, &paths, &live, &theirs),
            json!({"spec": {"x": 1}})
        );
    }

    #[test]
    fn elements_of_lists_are_found_by_name_and_by_their_keys() {
        let body = json!({"c": [{"name": "main", "image": "v2", "tty": true}]});
        let live =
            json!({"c": [{"name": "sidecar", "image": "s"}, {"name": "main", "image": "v9"}]});
        let ours = managed(&json!({"f:c": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {}}}}));
        let paths = [path("/c/0/image"), path("/c/0/tty")];
        assert_eq!(
            leave(&body, &paths, &live, &ours),
            json!({"c": [{"name": "main", "image": "v9"}]})
        );
    }

    #[test]
    fn who_takes_an_ignored_field_does_not_change_the_account_without_it() {
        let live = json!({"metadata": {"annotations": {"a/b": "1"}}, "c": [{"name": "main", "image": "v9"}]});
        let both = managed(&json!({"f:metadata": {"f:annotations": {"f:a/b": {}}},
            "f:c": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {}}}}));
        let one = managed(&json!({"f:metadata": {"f:annotations": {}},
            "f:c": {"k:{\"name\":\"main\"}": {".": {}, "f:image": {}}}}));
        let none = managed(&json!({"f:metadata": {"f:annotations": {}},
            "f:c": {"k:{\"name\":\"main\"}": {".": {}}}}));
        let ignored = [path("/metadata/annotations/a~1b")];
        let before = fingerprint(&ignored, &live, &both);
        assert!(before.is_some());
        assert_eq!(fingerprint(&ignored, &live, &one), before);
        assert_ne!(fingerprint(&ignored, &live, &none), before);
    }

    #[test]
    fn several_elements_of_one_list_are_taken_out_from_the_back() {
        let body = json!({"l": ["a", "b", "c"]});
        let rules: Vec<IgnoreRule> =
            serde_json::from_value(json!([{"pointers": ["/l/0", "/l/2", "/l/9"]}])).unwrap();
        let key = ObjectKey {
            group: String::new(),
            kind: "Thing".into(),
            namespace: None,
            name: "x".into(),
        };
        let paths = paths(&rules, &key, &body);
        assert_eq!(leave(&body, &paths, &json!({}), &[]), json!({"l": ["b"]}));
    }
}
