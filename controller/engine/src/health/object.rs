//! Everything that is not a controller of pods.

use serde_json::Value;

use super::{Health, condition, text};

/// A `PersistentVolumeClaim` fails when its volume is lost. One that is not bound may well wait for its first pod: the pods
/// that need it tell.
pub(super) fn volume_claim(object: &Value) -> Health {
    match text(object, "/status/phase") {
        "Lost" => Health::failed("its volume is lost"),
        _ => Health::Current,
    }
}

/// A Service of type `LoadBalancer` needs an address; all others are current once they exist.
pub(super) fn service(object: &Value) -> Health {
    let has_address = object
        .pointer("/status/loadBalancer/ingress")
        .and_then(Value::as_array)
        .is_some_and(|addresses| !addresses.is_empty());
    if text(object, "/spec/type") == "LoadBalancer" && !has_address {
        return Health::progress("the load balancer has no address");
    }
    Health::Current
}

/// A Namespace.
pub(super) fn namespace(object: &Value) -> Health {
    match text(object, "/status/phase") {
        "Terminating" => Health::progress("it is being deleted"),
        _ => Health::Current,
    }
}

/// A `CustomResourceDefinition`: current once its API is served.
pub(super) fn definition(object: &Value) -> Health {
    if let Some(condition) = condition(object, "NamesAccepted").filter(super::Condition::fails) {
        return Health::failed(condition.text());
    }
    match condition(object, "Established") {
        Some(condition) if condition.holds() => Health::Current,
        Some(condition) if condition.fails() && condition.reason != "Installing" => {
            Health::failed(condition.text())
        }
        _ => Health::progress("its API is not served yet"),
    }
}

/// An `APIService`: current once its server answers.
pub(super) fn api_service(object: &Value) -> Health {
    match condition(object, "Available") {
        Some(condition) if condition.holds() => Health::Current,
        Some(condition) => Health::progress(condition.text()),
        None => Health::progress("its API is not served yet"),
    }
}

/// A `PodDisruptionBudget`: current once its controller has counted its pods, however many they are; awaited while it can't.
pub(super) fn disruption_budget(object: &Value) -> Health {
    if object.pointer("/status/observedGeneration").is_none() {
        return Health::progress("its controller has not seen it yet");
    }
    match condition(object, "DisruptionAllowed") {
        Some(condition) if condition.fails() && condition.reason == "SyncFailed" => {
            Health::progress(condition.text())
        }
        _ => Health::Current,
    }
}

/// A `HorizontalPodAutoscaler` is awaited until it finds what it should scale, and fails when it can't tell which pods these are or
/// shares them with another one. Missing metrics are not the Release's fault.
pub(super) fn autoscaler(object: &Value) -> Health {
    if let Some(condition) = condition(object, "ScalingActive")
        .filter(super::Condition::fails)
        .filter(|c| matches!(c.reason, "InvalidSelector" | "AmbiguousSelector"))
    {
        return Health::failed(condition.text());
    }
    match condition(object, "AbleToScale") {
        Some(condition)
            if condition.fails()
                && matches!(condition.reason, "FailedGetScale" | "FailedUpdateScale") =>
        {
            Health::progress(condition.text())
        }
        _ => Health::Current,
    }
}

/// Everything else: the condition `Ready` when there is one. A custom resource that shows a generation of its status but no
/// conditions yet is awaited by `unseen`; one that has no status at all by whoever knows whether its kind has any (see `first`).
pub(super) fn generic(object: &Value) -> Health {
    match condition(object, "Ready") {
        Some(condition) if !condition.holds() => Health::progress(condition.text()),
        _ => Health::Current,
    }
}
