//! Controllers of pods.

use serde_json::Value;

use super::{Health, condition, number, text};

/// A Deployment: fails when its own progress deadline says so, is current when all pods are new, available and wanted.
pub(super) fn deployment(object: &Value) -> Health {
    let progressing = condition(object, "Progressing");
    if let Some(condition) = progressing
        .as_ref()
        .filter(|c| c.reason == "ProgressDeadlineExceeded")
    {
        return Health::failed(condition.text());
    }
    if object.pointer("/status/observedGeneration").is_none() {
        return Health::progress("its controller has not seen it yet");
    }
    let wanted = number(object, "/spec/replicas", 1);
    let total = number(object, "/status/replicas", 0);
    let updated = number(object, "/status/updatedReplicas", 0);
    let available = number(object, "/status/availableReplicas", 0);
    if updated < wanted {
        return Health::progress(format!("{updated} of {wanted} pods are updated"));
    }
    if total > updated {
        return Health::progress(format!("{} old pods still run", total - updated));
    }
    if total > wanted {
        return Health::progress(format!("{} pods too many still run", total - wanted));
    }
    if available < updated {
        return Health::progress(format!("{available} of {updated} pods are available"));
    }
    if let Some(condition) = condition(object, "Available").filter(|c| !c.holds()) {
        return Health::progress(condition.text());
    }
    Health::Current
}

/// A StatefulSet: with a partition, only the pods above it must be updated; with `OnDelete`, nothing is waited for.
pub(super) fn stateful_set(object: &Value) -> Health {
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Health::Current;
    }
    if object.pointer("/status/observedGeneration").is_none() {
        return Health::progress("its controller has not seen it yet");
    }
    let wanted = number(object, "/spec/replicas", 1);
    let ready = number(object, "/status/readyReplicas", 0);
    let total = number(object, "/status/replicas", 0);
    if ready < wanted {
        return Health::progress(format!("{ready} of {wanted} pods are ready"));
    }
    if total > wanted {
        return Health::progress(format!("{} pods too many still run", total - wanted));
    }
    let updated = number(object, "/status/updatedReplicas", 0);
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition", 0);
    if updated < wanted - partition {
        return Health::progress(format!(
            "{updated} of {} pods are updated",
            wanted - partition
        ));
    }
    let current = text(object, "/status/currentRevision");
    if partition == 0 && current != text(object, "/status/updateRevision") {
        return Health::progress("the rolling update is not complete");
    }
    Health::Current
}

/// A DaemonSet: every node that wants a pod has a new and available one.
pub(super) fn daemon_set(object: &Value) -> Health {
    if object.pointer("/status/observedGeneration").is_none() {
        return Health::progress("its controller has not seen it yet");
    }
    let wanted = number(object, "/status/desiredNumberScheduled", 0);
    let updated = number(object, "/status/updatedNumberScheduled", 0);
    let available = number(object, "/status/numberAvailable", 0);
    if text(object, "/spec/updateStrategy/type") != "OnDelete" && updated < wanted {
        return Health::progress(format!("{updated} of {wanted} pods are updated"));
    }
    if available < wanted {
        return Health::progress(format!("{available} of {wanted} pods are available"));
    }
    Health::Current
}

/// A ReplicaSet of its own: fails when its pods can't be made.
pub(super) fn replica_set(object: &Value) -> Health {
    if let Some(condition) = condition(object, "ReplicaFailure").filter(super::Condition::holds) {
        return Health::failed(condition.text());
    }
    if object.pointer("/status/observedGeneration").is_none() {
        return Health::progress("its controller has not seen it yet");
    }
    let wanted = number(object, "/spec/replicas", 1);
    let available = number(object, "/status/availableReplicas", 0);
    if available < wanted {
        return Health::progress(format!("{available} of {wanted} pods are available"));
    }
    let total = number(object, "/status/replicas", 0);
    if total > wanted {
        return Health::progress(format!("{} pods too many still run", total - wanted));
    }
    Health::Current
}
