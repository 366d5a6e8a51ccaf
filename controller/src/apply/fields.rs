//! Which fields of an object are ours, as one short text.
//!
//! The API server keeps account of who owns which field. Whoever changes or removes a field that Belay applied takes it out of
//! Belay's account, and nothing else does: not a status, not an autoscaler's field that is not in the source, not a label of
//! somebody else. So a changed account means drift, and a watch on metadata is enough to see it.
//!
//! What a Rollout leads for a time is no drift: the fields that are Belay's for that reason count as still applied, and what it adds
//! beside them for that time does not count at all.

use belay_api::names::FIELD_MANAGER;
use belay_engine::digest::Digest;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;

use crate::traffic::{self, ownership};

/// A text that changes when the set of fields that Belay applied changes; nothing if it applied none.
pub fn fingerprint(managed: &[ManagedFieldsEntry]) -> Option<String> {
    let fields = |entry: &ManagedFieldsEntry| Some(entry.fields_v1.as_ref()?.0.clone());
    let applied = managed.iter().find(|entry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
    });
    let mut applied = applied.and_then(fields)?;
    for led in managed.iter().filter(|entry| ownership::is_ours(entry)) {
        let led = fields(led).unwrap_or_default();
        for path in traffic::led_fields() {
            if ownership::at(&led, path).is_some() {
                ownership::insert(&mut applied, path);
            }
        }
    }
    Some(Digest::of(&applied).short())
}

/// Whether Belay's account has the field at `path`, given as in `fieldsV1` (`["f:spec", "f:replicas"]`).
pub fn owns(managed: &[ManagedFieldsEntry], path: &[&str]) -> bool {
    managed
        .iter()
        .filter(|entry| {
            entry.manager.as_deref() == Some(FIELD_MANAGER)
                && entry.operation.as_deref() == Some("Apply")
        })
        .filter_map(|entry| entry.fields_v1.as_ref())
        .any(|fields| {
            path.iter()
                .try_fold(&fields.0, |value, key| value.get(key))
                .is_some()
        })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn entry(manager: &str, operation: &str, fields: &Value) -> ManagedFieldsEntry {
        serde_json::from_value(
            json!({"manager": manager, "operation": operation, "fieldsV1": fields}),
        )
        .unwrap()
    }

    #[test]
    fn only_our_own_applied_fields_count() {
        let ours = entry("belay", "Apply", &json!({"f:spec": {"f:replicas": {}}}));
        let before = fingerprint(std::slice::from_ref(&ours));
        let other = entry("belay", "Update", &json!({"f:spec": {"f:paused": {}}}));
        let status = entry(
            "kube-controller-manager",
            "Update",
            &json!({"f:status": {}}),
        );
        assert_eq!(fingerprint(&[status, ours.clone(), other]), before);
        let less = entry("belay", "Apply", &json!({"f:spec": {}}));
        assert_ne!(fingerprint(&[less]), before);
        assert!(owns(&[ours], &["f:spec", "f:replicas"]));
    }

    #[test]
    fn a_field_that_is_led_for_a_time_is_no_drift() {
        let spec = |fields: Value| json!({ "f:spec": fields });
        let all = entry(
            "belay",
            "Apply",
            &spec(json!({"f:parentRefs": {}, "f:rules": {}})),
        );
        let before = fingerprint(&[all]);
        let rest = entry("belay", "Apply", &spec(json!({"f:parentRefs": {}})));
        let led = entry("belay-traffic", "Update", &spec(json!({"f:rules": {}})));
        assert_ne!(fingerprint(std::slice::from_ref(&rest)), before);
        assert_eq!(fingerprint(&[rest, led]), before);
        // A field that is there for a time only was never applied.
        let sticky = entry(
            "belay-traffic",
            "Update",
            &spec(json!({"f:weighted": {"f:sticky": {"f:cookie": {"f:name": {}}}}})),
        );
        let all = entry(
            "belay",
            "Apply",
            &spec(json!({"f:parentRefs": {}, "f:rules": {}})),
        );
        assert_eq!(fingerprint(&[all, sticky]), before);
    }
}
