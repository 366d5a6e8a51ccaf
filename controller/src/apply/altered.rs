//! Values that the cluster's admission (a webhook, a policy) changes on the way in.
//!
//! What comes back from an apply is compared with what was sent. A value that is there, of the same sort and not the same, was changed
//! by somebody in the cluster: sending it again would change nothing, and there is no drift that could be put right. It is only told.
//!
//! Left out, for they are no change of meaning: what is added, other spellings of a quantity or a time, lists that others add to, values
//! that a Rollout leads for a time, and all of a Secret, which the API server writes in another way than it takes it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use kube::api::DynamicObject;
use serde_json::Value;

use super::Prepared;
use crate::traffic::ownership;

/// Fields that are told of one object.
const TOLD: usize = 3;

/// Longest pointer that is told.
const POINTER_BYTES: usize = 256;

/// Depth to which is looked.
const DEPTH: usize = 64;

/// JSON pointers to the first few values of `sent` that `made` has otherwise.
pub fn altered(object: &Prepared, sent: &Value, made: &DynamicObject) -> Vec<String> {
    let is_secret = object.key.group.is_empty() && object.key.kind == "Secret";
    let managed = made.metadata.managed_fields.as_deref();
    if is_secret || is_led(managed.unwrap_or_default()) {
        return Vec::new();
    }
    let Ok(made) = serde_json::to_value(made) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    compare(sent, &made, &mut String::new(), DEPTH, &mut found);
    // The name may be that of a trial, and versions are the API server's to choose.
    found.retain(|pointer| pointer != "/apiVersion" && pointer != "/metadata/name");
    found.truncate(TOLD);
    found
}

fn is_led(managed: &[ManagedFieldsEntry]) -> bool {
    ownership::is_owner(managed)
}

fn compare(sent: &Value, made: &Value, at: &mut String, depth: usize, found: &mut Vec<String>) {
    if depth == 0 || found.len() > TOLD {
        return;
    }
    let mut go_on = |name: &str, sent: &Value, made: &Value| {
        let before = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        compare(sent, made, at, depth - 1, found);
        at.truncate(before);
    };
    match (sent, made) {
        (Value::Object(sent), Value::Object(made)) => {
            for (name, sent) in sent {
                if let Some(made) = made.get(name) {
                    go_on(name, sent, made);
                }
            }
        }
        (Value::Array(sent), Value::Array(made)) => {
            for (place, sent) in sent.iter().enumerate() {
                if let Some((place, made)) = counterpart(sent, place, made) {
                    go_on(&place.to_string(), sent, made);
                }
            }
        }
        (Value::String(sent), Value::String(made)) if differ(sent, made) => tell(at, found),
        (Value::Bool(sent), Value::Bool(made)) if sent != made => tell(at, found),
        (Value::Number(sent), Value::Number(made)) if sent.as_f64() != made.as_f64() => {
            tell(at, found);
        }
        _ => {}
    }
}

fn tell(at: &str, found: &mut Vec<String>) {
    if at.len() <= POINTER_BYTES {
        found.push(at.to_owned());
    }
}

/// The element of a list that stands for this one: the one of the same name. Lists of nameless things are not compared, for others may
/// add to them.
fn counterpart<'a>(sent: &Value, place: usize, made: &'a [Value]) -> Option<(usize, &'a Value)> {
    let name = sent.get("name")?;
    let same = |element: &Value| element.get("name") == Some(name);
    let at = made.get(place).filter(|element| same(element));
    at.map(|element| (place, element))
        .or_else(|| made.iter().enumerate().find(|(_, element)| same(element)))
}

fn differ(sent: &str, made: &str) -> bool {
    if sent == made {
        return false;
    }
    let time = |text: &str| text.parse::<jiff::Timestamp>().ok();
    let same_quantity = quantity(sent).is_some_and(|value| Some(value) == quantity(made));
    let same_time = time(sent).is_some_and(|value| Some(value) == time(made));
    !same_quantity && !same_time && sent.trim_end() != made.trim_end()
}

/// The value of a quantity such as `500m` or `1Gi`, in thousandths.
/// See <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>.
fn quantity(text: &str) -> Option<i128> {
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || "+-.".contains(c)))
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at_checked(end)?;
    let number: f64 = number.parse().ok()?;
    let factor = match suffix {
        "n" => 1e-9,
        "u" => 1e-6,
        "m" => 1e-3,
        "" => 1.0,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "P" => 1e15,
        "E" => 1e18,
        "Ki" => 1024.0,
        "Mi" => 1024_f64.powi(2),
        "Gi" => 1024_f64.powi(3),
        "Ti" => 1024_f64.powi(4),
        "Pi" => 1024_f64.powi(5),
        "Ei" => 1024_f64.powi(6),
        exponent => 10_f64.powi(exponent.strip_prefix(['e', 'E'])?.parse().ok()?),
    };
    let thousandths = number * factor * 1e3;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates, and is only compared"
    )]
    thousandths
        .is_finite()
        .then_some(thousandths.ceil() as i128)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(sent: &Value, made: &Value) -> Vec<String> {
        let mut found = Vec::new();
        compare(sent, made, &mut String::new(), DEPTH, &mut found);
        found
    }

    #[test]
    fn a_value_that_is_there_and_another_one_was_changed_on_the_way_in() {
        let sent = json!({"metadata": {"labels": {"a/b": "one"}}, "spec": {"replicas": 3, "paused": true,
            "containers": [{"name": "web", "image": "web:v1"}, {"name": "log", "image": "log:v1"}]}});
        let made = json!({"metadata": {"labels": {"a/b": "two", "more": "x"}}, "spec": {"replicas": 1, "paused": false,
            "containers": [{"name": "proxy", "image": "proxy:v7"}, {"name": "log", "image": "log:v1"}, {"name": "web", "image": "mirror/web:v1"}]}});
        assert_eq!(
            found(&sent, &made),
            [
                "/metadata/labels/a~1b",
                "/spec/containers/2/image",
                "/spec/paused",
                "/spec/replicas"
            ]
        );
    }

    #[test]
    fn other_spellings_additions_and_what_is_gone_are_no_change() {
        let sent = json!({"cpu": "1000m", "memory": "1024Mi", "share": "0.5", "big": "1e3", "at": "2020-01-01T00:00:00+00:00",
            "text": "a\n", "port": 80.0, "gone": "x", "args": ["a"], "null": null});
        let made = json!({"cpu": "1", "memory": "1Gi", "share": "500m", "big": "1k", "at": "2020-01-01T00:00:00Z",
            "text": "a", "port": 80, "args": ["b", "a"], "more": 1, "null": 1});
        assert_eq!(found(&sent, &made), [""; 0]);
        assert_eq!(found(&json!({"v": "1"}), &json!({"v": "2"})), ["/v"]);
    }

    #[test]
    fn much_and_deep_is_told_in_part() {
        let many: Value = (0..50)
            .map(|n| (format!("k{n:02}"), json!("a")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        let other: Value = (0..50)
            .map(|n| (format!("k{n:02}"), json!("b")))
            .collect::<serde_json::Map<_, _>>()
            .into();
        assert!(found(&many, &other).len() <= TOLD + 1);
        let deep = |leaf: &str| (0..200).fold(json!(leaf), |inner, _| json!({ "a": inner }));
        assert_eq!(found(&deep("x"), &deep("y")), [""; 0]);
    }
}
