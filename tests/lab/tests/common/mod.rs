//! What several test binaries of the lab use.

use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

/// More than anything here takes, even on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(90);

pub(crate) fn deployment(name: &str, image: &str, replicas: u32) -> Deployment {
    let object = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": image}]}},
        },
    });
    serde_json::from_value(object).expect("a Deployment")
}

/// For `wait_for_object`: all of `count` pods are ready.
pub(crate) fn ready(count: i32) -> impl Fn(Option<&Deployment>) -> Result<(), String> {
    move |object| match object.and_then(|object| object.status.as_ref()?.ready_replicas) {
        Some(ready) if ready == count => Ok(()),
        other => Err(format!("{other:?} ready")),
    }
}
