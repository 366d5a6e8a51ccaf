//! Whether the pods of a Job start at all: one that can't, for want of a node or an image, says nothing about the version.
//!
//! At a Job's deadline the cluster deletes its pods, so they are looked at shortly before.
//!
//! Invariant: only what was seen counts. A Job at whose pods nobody looked in time has failed like any other.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{ContainerStatus, Pod},
};
use kube::{ResourceExt as _, api::ListParams};

use super::{Account, outcome};
use crate::{client::bounded, text};

/// Part of its deadline after which a Job's pods are looked at.
const LOOK_AFTER: f64 = 0.9;

/// Longest text of the cluster that is passed on.
const WORDS_BYTES: usize = 300;

impl Account {
    /// Waits until shortly before the deadline of `job`, and gives the cluster's reason if no pod of it has started by then.
    pub(super) async fn hindrance(&self, job: &Job) -> Option<String> {
        let created_at = job.creation_timestamp().map(|created| created.0);
        let age = Timestamp::now().duration_since(created_at.unwrap_or_else(Timestamp::now));
        let look_at = outcome::deadline(job).mul_f64(LOOK_AFTER);
        tokio::time::sleep(look_at.saturating_sub(age.try_into().unwrap_or(Duration::ZERO))).await;
        let name = job.name_any();
        let selector = format!("batch.kubernetes.io/job-name={name}");
        let (pods, parameters) = (self.pods(), ListParams::default().labels(&selector));
        let pods = bounded("listing a Job's pods", pods.list(&parameters)).await;
        let pods = pods.ok()?.items;
        if !pods.is_empty() {
            return why_none_started(&pods);
        }
        // Without pods it either never had any, or they went when it ended just now.
        let job = self.find(&name).await.ok()??;
        let conditions = job.status.and_then(|status| status.conditions);
        conditions.is_none_or(|met| met.is_empty()).then(|| {
            "the cluster has created no pod for it; see its events, most likely a quota is in the way"
                .to_owned()
        })
    }
}

/// The cluster's reason, unless a container of any of `pods` has started.
fn why_none_started(pods: &[Pod]) -> Option<String> {
    let has_started = |pod: &Pod| containers(pod).any(has_started);
    if pods.iter().any(has_started) {
        return None;
    }
    let newest = pods.iter().max_by_key(|pod| pod.creation_timestamp())?;
    Some(text::line(&words(newest), WORDS_BYTES))
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let initial = status.and_then(|status| status.init_container_statuses.as_deref());
    let main = status.and_then(|status| status.container_statuses.as_deref());
    initial.into_iter().chain(main).flatten()
}

fn has_started(container: &ContainerStatus) -> bool {
    let states = [container.state.as_ref(), container.last_state.as_ref()];
    let mut states = states.into_iter().flatten();
    states.any(|state| state.running.is_some() || state.terminated.is_some())
}

/// What the cluster says of a pod that has not started.
fn words(pod: &Pod) -> String {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let unscheduled = conditions
        .into_iter()
        .flatten()
        .find(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    if let Some(condition) = unscheduled {
        return sentence(condition.reason.as_deref(), condition.message.as_deref());
    }
    let waiting = containers(pod).find_map(|container| container.state.as_ref()?.waiting.as_ref());
    waiting.map_or_else(
        || "its pod waits for its node".to_owned(),
        |waiting| sentence(waiting.reason.as_deref(), waiting.message.as_deref()),
    )
}

fn sentence(reason: Option<&str>, message: Option<&str>) -> String {
    let parts: Vec<&str> = [reason, message].into_iter().flatten().collect();
    if parts.is_empty() {
        "no reason given".to_owned()
    } else {
        parts.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "smoke"}, "status": status})).unwrap()
    }

    fn container(state: &Value, last: &Value) -> Value {
        json!({"name": "main", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": state, "lastState": last})
    }

    #[test]
    fn a_pod_that_cannot_start_is_told_in_the_clusters_words() {
        let unscheduled = json!({"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "False",
            "reason": "Unschedulable", "message": "0/3 nodes are available"}]});
        let no_image = json!({"phase": "Pending", "containerStatuses": [container(
            &json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}), &json!({}))]});
        for (status, wanted) in [
            (unscheduled, "Unschedulable: 0/3 nodes are available"),
            (no_image, "ImagePullBackOff: no such image"),
            (json!({"phase": "Pending"}), "its pod waits for its node"),
        ] {
            assert_eq!(why_none_started(&[pod(&status)]).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn a_pod_that_runs_has_run_or_crashes_has_started() {
        let none = json!({});
        let ended = json!({"terminated": {"exitCode": 1}});
        for container in [
            container(&json!({"running": {}}), &none),
            container(&ended, &none),
            container(&json!({"waiting": {"reason": "CrashLoopBackOff"}}), &ended),
        ] {
            let running = pod(&json!({"containerStatuses": [container]}));
            assert_eq!(why_none_started(std::slice::from_ref(&running)), None);
            let initial = pod(&json!({"initContainerStatuses": [container]}));
            assert_eq!(why_none_started(&[pod(&none), initial]), None);
        }
    }
}
