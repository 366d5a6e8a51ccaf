//! Who owns what afterwards.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::{Value, json};

use crate::traffic::ownership::{MANAGER, given_back, is_owner};

const RULES: &[&str] = &["f:spec", "f:rules"];

fn entry(manager: &str, operation: &str, fields: &Value) -> ManagedFieldsEntry {
    serde_json::from_value(json!({
        "manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields,
    }))
    .unwrap()
}

fn ours() -> ManagedFieldsEntry {
    entry(MANAGER, "Update", &json!({"f:spec": {"f:rules": {}}}))
}

#[test]
fn a_field_goes_to_the_applier_of_its_neighbours() {
    let flux = entry(
        "kustomize-controller",
        "Apply",
        &json!({"f:spec": {"f:parentRefs": {}}}),
    );
    let person = entry(
        "kubectl-edit",
        "Update",
        &json!({"f:spec": {"f:hostnames": {}}}),
    );
    let labeller = entry(
        "labels",
        "Apply",
        &json!({"f:metadata": {"f:labels": {"f:a": {}}}}),
    );
    let managed = [person.clone(), ours(), flux, labeller.clone()];
    assert!(is_owner(&managed));
    let after = given_back(&managed, &[RULES]).unwrap();
    let flux = entry(
        "kustomize-controller",
        "Apply",
        &json!({"f:spec": {"f:parentRefs": {}, "f:rules": {}}}),
    );
    assert_eq!(after, [person, flux, labeller]);
    assert_eq!(given_back(&after, &[RULES]), None);
}

#[test]
fn a_field_that_somebody_took_back_has_an_owner_already() {
    let argo = entry(
        "argocd-controller",
        "Apply",
        &json!({"f:spec": {"f:parentRefs": {}, "f:rules": {}}}),
    );
    let managed = [ours(), argo.clone()];
    assert_eq!(given_back(&managed, &[RULES]).unwrap(), [argo]);
}

#[test]
fn without_any_neighbour_it_belongs_to_nobody() {
    let labeller = entry(
        "labels",
        "Apply",
        &json!({"f:metadata": {"f:labels": {"f:a": {}}}}),
    );
    let after = given_back(&[ours(), labeller.clone()], &[RULES]).unwrap();
    assert_eq!(after, [labeller]);
}

#[test]
fn an_account_in_which_nobody_else_is_left_begins_anew() {
    let after = given_back(&[ours()], &[RULES]).unwrap();
    assert_eq!(json!(after), json!([{}]));
    assert!(!is_owner(&after));
}

#[test]
fn a_status_writer_is_no_heir_and_fields_never_ours_stay_where_they_are() {
    let mut status = entry(
        "gateway",
        "Update",
        &json!({"f:spec": {"f:odd": {}}, "f:status": {}}),
    );
    status.subresource = Some("status".to_owned());
    let kubectl = entry(
        "kubectl-create",
        "Update",
        &json!({"f:spec": {"f:http": {}, "f:hosts": {}}}),
    );
    let ours = entry(MANAGER, "Update", &json!({"f:spec": {"f:tcp": {}}}));
    let paths: [&[&str]; 2] = [&["f:spec", "f:http"], &["f:spec", "f:tcp"]];
    let after = given_back(&[status.clone(), kubectl, ours], &paths).unwrap();
    let kubectl = entry(
        "kubectl-create",
        "Update",
        &json!({"f:spec": {"f:http": {}, "f:hosts": {}, "f:tcp": {}}}),
    );
    assert_eq!(after, [status, kubectl]);
}
