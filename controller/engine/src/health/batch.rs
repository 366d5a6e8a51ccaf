//! Pods and Jobs.

use serde_json::Value;

use super::{Health, condition, text};

/// Reasons for which a container waits and that do not go away by themselves. A failed pull or a missing Secret may, and is
/// awaited until the deadline.
const STUCK: [&str; 2] = ["CrashLoopBackOff", "InvalidImageName"];

/// A Pod: fails when it ended badly or a container can't run, is current when it ended well or is ready.
pub(super) fn pod(object: &Value) -> Health {
    match text(object, "/status/phase") {
        "Succeeded" => return Health::Current,
        "Failed" => {
            return Health::failed(match text(object, "/status/message") {
                "" => "the pod failed",
                message => message,
            });
        }
        _ => {}
    }
    let waiting = waiting_container(object);
    if let Some((container, reason)) = waiting.filter(|(_, reason)| STUCK.contains(reason)) {
        return Health::failed(format!("container {container}: {reason}"));
    }
    if condition(object, "Ready").is_some_and(|c| c.holds()) {
        return Health::Current;
    }
    if let Some(condition) = condition(object, "PodScheduled").filter(super::Condition::fails) {
        return Health::progress(condition.text());
    }
    match waiting {
        Some((container, reason)) => Health::progress(format!("container {container}: {reason}")),
        None => Health::progress("the pod is not ready"),
    }
}

fn waiting_container(object: &Value) -> Option<(&str, &str)> {
    ["/status/initContainerStatuses", "/status/containerStatuses"]
        .iter()
        .filter_map(|pointer| object.pointer(pointer)?.as_array())
        .flatten()
        .map(|status| (text(status, "/name"), text(status, "/state/waiting/reason")))
        .find(|(_, reason)| !reason.is_empty())
}

/// A Job: fails when it failed, is current when it is complete or suspended, and is awaited while it runs.
pub(super) fn job(object: &Value) -> Health {
    if let Some(condition) = condition(object, "Failed").filter(super::Condition::holds) {
        return Health::failed(condition.text());
    }
    if condition(object, "Complete").is_some_and(|c| c.holds()) {
        return Health::Current;
    }
    if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return Health::Current;
    }
    Health::progress("the job has not completed")
}
