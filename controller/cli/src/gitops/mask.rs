//! Values of Secrets, kept off screens and out of logs of CI.
//!
//! Invariant: what is masked says at most that two values differ. A comparison is made on the values, never on a digest that
//! could be tried out.

use serde_json::{Map, Value};

/// What stands for a value.
const HIDDEN: &str = "***";

/// Fields of a Secret that hold values.
const FIELDS: [&str; 2] = ["data", "stringData"];

/// Notes of tools that repeat a whole object.
const COPIES: [&str; 1] = ["kubectl.kubernetes.io/last-applied-configuration"];

/// Whether the object's values are secret.
pub(crate) fn is_secret(object: &Value) -> bool {
    let text = |field: &str| object.get(field).and_then(Value::as_str);
    text("kind") == Some("Secret") && text("apiVersion") == Some("v1")
}

/// Hides all values of a Secret; leaves other objects alone.
pub(crate) fn hide(object: &mut Value) {
    if !is_secret(object) {
        return;
    }
    for field in FIELDS {
        for (_, value) in entries(object, field) {
            *value = Value::String(HIDDEN.to_owned());
        }
    }
    if let Some(annotations) = object
        .pointer_mut("/metadata/annotations")
        .and_then(Value::as_object_mut)
    {
        annotations.retain(|name, _| !COPIES.contains(&name.as_str()));
    }
}

/// Hides the values of two states of a Secret so that it can be seen which of them differ.
pub(crate) fn hide_pair(before: &mut Value, after: &mut Value) {
    if is_secret(before) || is_secret(after) {
        for field in FIELDS {
            let old = values(before, field);
            let new = values(after, field);
            let differs = |name: &String| {
                let (old, new) = (old.get(name), new.get(name));
                old.is_some() && new.is_some() && old != new
            };
            for (object, state) in [(&mut *before, "before"), (&mut *after, "after")] {
                for (name, value) in entries(object, field) {
                    let text = if differs(name) {
                        format!("{HIDDEN} ({state})")
                    } else {
                        HIDDEN.to_owned()
                    };
                    *value = Value::String(text);
                }
            }
        }
    }
    hide_rest(before);
    hide_rest(after);
}

/// Hides whatever of a Secret is not hidden yet; masks stay.
fn hide_rest(object: &mut Value) {
    if !is_secret(object) {
        return;
    }
    for field in FIELDS {
        for (_, value) in entries(object, field) {
            let masked = value.as_str().is_some_and(|text| text.starts_with(HIDDEN));
            if !masked {
                *value = Value::String(HIDDEN.to_owned());
            }
        }
    }
}

fn values(object: &Value, field: &str) -> Map<String, Value> {
    let found = object.get(field).and_then(Value::as_object);
    found.cloned().unwrap_or_default()
}

fn entries<'a>(
    object: &'a mut Value,
    field: &str,
) -> impl Iterator<Item = (&'a String, &'a mut Value)> {
    let map = object.get_mut(field).and_then(Value::as_object_mut);
    map.into_iter().flat_map(Map::iter_mut)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "data": data})
    }

    #[test]
    fn no_value_of_a_secret_is_left_and_other_objects_are_untouched() {
        let mut object = secret(&json!({"a": "aHVzaA=="}));
        object["stringData"] = json!({"b": "hush"});
        object["metadata"]["annotations"] = json!({COPIES[0]: "{\"hush\"}", "kept": "yes"});
        hide(&mut object);
        let text = object.to_string();
        assert!(!text.contains("hush") && !text.contains("aHVzaA"), "{text}");
        assert!(text.contains("\"a\"") && text.contains("kept"), "{text}");

        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"a": "seen"}});
        let mut same = map.clone();
        hide(&mut same);
        assert_eq!(same, map);
    }

    #[test]
    fn two_states_show_which_values_differ_and_nothing_more() {
        let mut before = secret(&json!({"same": "MQ==", "other": "b25l", "gone": "Z29uZQ=="}));
        let mut after = secret(&json!({"same": "MQ==", "other": "dHdv", "new": "bmV3"}));
        hide_pair(&mut before, &mut after);
        assert_eq!(
            before["data"],
            json!({"same": "***", "other": "*** (before)", "gone": "***"})
        );
        assert_eq!(
            after["data"],
            json!({"same": "***", "other": "*** (after)", "new": "***"})
        );
    }

    #[test]
    fn a_value_that_looks_like_a_mask_is_masked_as_well() {
        let mut before = secret(&json!({"a": "***hush"}));
        let mut after = json!(null);
        hide_pair(&mut before, &mut after);
        assert_eq!(before["data"]["a"], "***");
    }
}
