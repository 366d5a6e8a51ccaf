//! What governed StatefulSets and DaemonSets have in common for tests: pods with an image and a UID, and a Rollout of the same name.

use std::collections::BTreeMap;

use belay_api::Rollout;
use belay_lab::wait_for;
use k8s_openapi::api::core::v1::Pod;
use kube::{Api, ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use crate::{Error, scene::SOON};

/// What each pod is told by, with its image's tag and its UID.
pub type Pods = BTreeMap<String, (String, String)>;

/// The pods of `app` that are not going away, each by what `key` tells it by; without one it is left out.
pub(crate) async fn live(
    pods: &Api<Pod>,
    app: &str,
    key: impl Fn(&Pod) -> Option<String>,
) -> Result<Pods, Error> {
    let labelled = ListParams::default().labels(&format!("app={app}"));
    let list = pods.list(&labelled).await?;
    let live = list
        .into_iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none());
    Ok(live
        .filter_map(|pod| {
            let (key, uid) = (key(&pod)?, pod.uid().unwrap_or_default());
            let image = pod
                .spec?
                .containers
                .into_iter()
                .find_map(|main| main.image)?;
            Some((key, (image.replace(&format!("{app}:"), ""), uid)))
        })
        .collect())
}

/// Waits until the pods, in the order of what they are told by, are of these versions.
pub(crate) async fn runs<F>(pods: impl Fn() -> F, tags: &[&str]) -> Result<Pods, Error>
where
    F: Future<Output = Result<Pods, Error>>,
{
    let runs = wait_for("the pods of each version", SOON, || async {
        let pods = pods().await.map_err(|error| error.to_string())?;
        let present: Vec<&str> = pods.values().map(|(tag, _)| tag.as_str()).collect();
        if present == tags {
            Ok(pods)
        } else {
            Err(format!("{present:?}"))
        }
    });
    Ok(runs.await?)
}

/// The Rollout of the workload of this kind and name, with this spec, which lacks only its `workloadRef`.
pub(crate) fn rollout(kind: &str, name: &str, mut spec: Value) -> Result<Rollout, Error> {
    if let Some(spec) = spec.as_object_mut() {
        let workload = json!({"kind": kind, "name": name});
        spec.insert("workloadRef".to_owned(), workload);
    }
    Ok(serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": name}, "spec": spec,
    }))?)
}
