//! Takes over what people made with `kubectl`.
//!
//! `kubectl apply`, `edit` and the like own every field that they set. Without more, a field that Git does not have would stay for
//! ever: Belay can only drop what is its own. So when Belay meets an object for the first time, the account of these managers
//! becomes Belay's; what Git does not have goes with the apply that follows. Labels and annotations that people put on by
//! `kubectl label` and `annotate` are theirs and stay, as do fields of other programs.
//!
//! Invariant: only the account of fields is written, and only if the object is still the one that was read.

use belay_api::names::FIELD_MANAGER;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{FieldsV1, ManagedFieldsEntry};
use kube::{
    Client, ResourceExt as _,
    api::{DynamicObject, Patch, PatchParams},
};
use serde_json::{Value, json};

use super::{Failure, Prepared, server_side};
use crate::limits;

/// Managers of `kubectl`'s commands that write whole objects.
const PEOPLE: [&str; 7] = [
    "kubectl",
    "kubectl-client-side-apply",
    "kubectl-create",
    "kubectl-edit",
    "kubectl-patch",
    "kubectl-replace",
    "before-first-apply",
];

/// Makes what people own in the live object Belay's.
pub async fn take_over(client: &Client, object: &Prepared) -> Result<(), Failure> {
    let Some(live) = read(client, object).await? else {
        return Ok(());
    };
    let managed = live.metadata.managed_fields.as_deref().unwrap_or_default();
    let Some(ours) = taken_over(managed, &object.kind.resource.api_version) else {
        return Ok(());
    };
    // Setting the version (instead of testing it) makes the API server answer a stale one with a conflict.
    let operations = json!([
        {"op": "replace", "path": "/metadata/resourceVersion", "value": live.resource_version()},
        {"op": "replace", "path": "/metadata/managedFields", "value": ours},
    ]);
    let patch: json_patch::Patch = serde_json::from_value(operations)
        .map_err(|error| Failure::passing(error.to_string()).at(object.place()))?;
    let parameters = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let api = server_side::api(client, object);
    let patch = Patch::Json::<()>(patch);
    let request = api.patch(&object.key.name, &parameters, &patch);
    match tokio::time::timeout(limits::API_CALL, request).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => Err(Failure::of(&error, server_side::secrecy(object)).at(object.place())),
        Err(_) => Err(slow(object)),
    }
}

async fn read(client: &Client, object: &Prepared) -> Result<Option<DynamicObject>, Failure> {
    let api = server_side::api(client, object);
    match tokio::time::timeout(limits::API_CALL, api.get_opt(&object.key.name)).await {
        Ok(Ok(live)) => Ok(live),
        Ok(Err(error)) => Err(Failure::of(&error, server_side::secrecy(object)).at(object.place())),
        Err(_) => Err(slow(object)),
    }
}

fn slow(object: &Prepared) -> Failure {
    Failure::passing("the API server did not answer in time").at(object.place())
}

/// The account in which what people own is Belay's; nothing if they own nothing. Fields of a subresource are not applied, and
/// fields in another API version can't be mixed with these.
fn taken_over(
    managed: &[ManagedFieldsEntry],
    api_version: &str,
) -> Option<Vec<ManagedFieldsEntry>> {
    let is_theirs = |entry: &&ManagedFieldsEntry| {
        PEOPLE.contains(&entry.manager.as_deref().unwrap_or_default())
            && entry.subresource.is_none()
            && entry.api_version.as_deref() == Some(api_version)
    };
    let is_ours = |entry: &&ManagedFieldsEntry| {
        entry.manager.as_deref() == Some(FIELD_MANAGER)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.is_none()
            && entry.api_version.as_deref() == Some(api_version)
    };
    managed.iter().find(is_theirs)?;
    let mut fields = json!({});
    for entry in managed.iter().filter(|e| is_theirs(e) || is_ours(e)) {
        if let Some(more) = &entry.fields_v1 {
            unite(&mut fields, &more.0);
        }
    }
    // A status is never applied, whoever wrote it without its subresource.
    if let Some(fields) = fields.as_object_mut() {
        fields.remove("f:status");
    }
    let ours = ManagedFieldsEntry {
        manager: Some(FIELD_MANAGER.to_owned()),
        operation: Some("Apply".to_owned()),
        api_version: Some(api_version.to_owned()),
        fields_type: Some("FieldsV1".to_owned()),
        fields_v1: Some(FieldsV1(fields)),
        ..ManagedFieldsEntry::default()
    };
    let others = managed.iter().filter(|e| !is_theirs(e) && !is_ours(e));
    Some(others.cloned().chain([ours]).collect())
}

fn unite(into: &mut Value, more: &Value) {
    let (Some(into), Some(more)) = (into.as_object_mut(), more.as_object()) else {
        return;
    };
    for (key, value) in more {
        unite(into.entry(key).or_insert_with(|| json!({})), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(manager: &str, operation: &str, fields: &Value) -> Value {
        json!({"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields})
    }

    #[test]
    fn what_people_applied_and_edited_becomes_one_account_of_belays() {
        let managed: Vec<ManagedFieldsEntry> = serde_json::from_value(json!([
            entry(
                "kubectl-client-side-apply",
                "Update",
                &json!({"f:data": {".": {}, "f:a": {}}})
            ),
            entry(
                "kubectl-edit",
                "Update",
                &json!({"f:data": {"f:b": {}}, "f:status": {"f:x": {}}})
            ),
            entry(
                "kubectl-annotate",
                "Update",
                &json!({"f:metadata": {"f:annotations": {"f:mine": {}}}})
            ),
            entry("controller", "Update", &json!({"f:data": {"f:c": {}}})),
        ]))
        .unwrap();
        let after = taken_over(&managed, "v1").unwrap();
        let managers: Vec<_> = after
            .iter()
            .map(|e| e.manager.as_deref().unwrap())
            .collect();
        assert_eq!(managers, ["kubectl-annotate", "controller", "belay"]);
        let ours = after.last().unwrap();
        assert_eq!(ours.operation.as_deref(), Some("Apply"));
        assert_eq!(
            ours.fields_v1.as_ref().unwrap().0,
            json!({"f:data": {".": {}, "f:a": {}, "f:b": {}}})
        );
        assert_eq!(taken_over(&after, "v1"), None, "it is done once");
    }

    #[test]
    fn fields_of_another_version_and_of_a_subresource_are_left() {
        let mut scaled = entry("kubectl", "Update", &json!({"f:spec": {"f:replicas": {}}}));
        scaled["subresource"] = json!("scale");
        let managed: Vec<ManagedFieldsEntry> = serde_json::from_value(json!([
            scaled,
            {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "v2", "fieldsV1": {}},
        ]))
        .unwrap();
        assert_eq!(taken_over(&managed, "v1"), None);
    }
}
