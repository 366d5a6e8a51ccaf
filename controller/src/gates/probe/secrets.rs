//! Which Secrets an object refers to, so that their values can be blotted out of what is told about it.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use serde_json::Value;

use super::redact::Redactor;
use crate::client::bounded;

/// Knows the values of all Secrets of this namespace that `spec` refers to.
pub(crate) async fn redactor(
    own: &Client,
    namespace: &str,
    spec: &Value,
) -> Result<Redactor, String> {
    let mut names = BTreeSet::new();
    secrets_of(spec, &mut names);
    let api: Api<Secret> = Api::namespaced(own.clone(), namespace);
    let mut values = Vec::new();
    for name in names {
        let secret = bounded("reading a Secret", api.get_opt(&name))
            .await
            .map_err(|_| {
                format!(
                    "Secret {namespace}/{name}, whose values must be kept out of it, can't be read"
                )
            })?;
        // An optional Secret that does not exist has no values.
        let data = secret.and_then(|secret| secret.data).unwrap_or_default();
        let texts = data.into_values();
        values.extend(texts.map(|bytes| String::from_utf8_lossy(&bytes.0).into_owned()));
    }
    Ok(Redactor::new(values.iter().map(String::as_str)))
}

/// Names of Secrets anywhere in a pod's spec: environment, volumes, and what drivers of volumes are given.
fn secrets_of(value: &Value, names: &mut BTreeSet<String>) {
    let mut take = |name: Option<&Value>| {
        names.extend(name.and_then(Value::as_str).map(str::to_owned));
    };
    match value {
        Value::Array(items) => items.iter().for_each(|item| secrets_of(item, names)),
        Value::Object(fields) => {
            for (key, inner) in fields {
                match key.as_str() {
                    "secretKeyRef" | "secretRef" => take(inner.get("name")),
                    "secret" => {
                        take(inner.get("name"));
                        take(inner.get("secretName"));
                    }
                    "secretName" => take(Some(inner)),
                    _ => {}
                }
            }
            for inner in fields.values() {
                secrets_of(inner, names);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_wherever_a_pod_refers_to_them() {
        let spec = json!({
            "containers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "a", "key": "k"}}}], "envFrom": [{"secretRef": {"name": "b"}}]}],
            "initContainers": [{"env": [{"valueFrom": {"secretKeyRef": {"name": "c", "key": "k"}}}]}],
            "volumes": [
                {"secret": {"secretName": "d"}},
                {"projected": {"sources": [{"secret": {"name": "e"}}, {"configMap": {"name": "not"}}]}},
            ],
        });
        let mut names = BTreeSet::new();
        secrets_of(&spec, &mut names);
        assert_eq!(names.into_iter().collect::<String>(), "abcde");
    }
}
