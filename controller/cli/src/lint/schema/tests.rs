//! Schemas on real objects.

use serde_json::{Value, json};

use super::*;

/// Objects that are in order, and objects with one mistake each.
pub(in crate::lint) fn cases() -> Vec<Value> {
    serde_saphyr::from_multiple(include_str!("../cases.yaml")).unwrap()
}

/// An object with its defaults, and its schema, if it fits that: rules are for what does.
pub(in crate::lint) fn filled(object: &Value) -> Option<(Value, Value)> {
    let schema = SCHEMAS.get(object.get("kind")?.as_str()?)?;
    let mut object = object.clone();
    defaults::fill(&mut object, schema);
    structure::check(&object, schema)
        .is_empty()
        .then(|| (object, schema.clone()))
}

fn release(more: &Value) -> Value {
    let mut object = json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": "shop"},
        "spec": {"source": {"git": {"url": "https://g/s.git", "ref": {"branch": "main"}}}, "serviceAccountName": "d"},
    });
    let spec = object
        .get_mut("spec")
        .and_then(Value::as_object_mut)
        .unwrap();
    spec.extend(more.as_object().unwrap().clone());
    object
}

fn told(more: &Value) -> Vec<(String, String)> {
    let found = check(&release(more)).into_iter();
    found.map(|wrong| (wrong.pointer, wrong.message)).collect()
}

#[test]
fn what_is_in_order_has_no_findings() {
    assert_eq!(told(&json!({})), []);
}

#[test]
fn mistakes_are_told_with_their_field_and_what_to_write() {
    let one = |more: Value| {
        let mut found = told(&more);
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    };
    let (field, message) = one(json!({"sourse": 1}));
    assert_eq!(field, "/spec/sourse");
    assert!(message.contains("there is no field sourse"), "{message}");
    let (field, message) = one(json!({"Suspend": true}));
    assert_eq!(
        (field.as_str(), message.as_str()),
        (
            "/spec/Suspend",
            "there is no field Suspend; suspend is meant"
        )
    );
    let (field, message) = one(json!({"suspend": "yes"}));
    assert_eq!(
        (field.as_str(), message.as_str()),
        (
            "/spec/suspend",
            "it must be of type boolean, and is \"yes\""
        )
    );
    let (_, message) = one(json!({"deletionPolicy": "orphan"}));
    assert!(
        message.contains("none of \"Orphan\", \"Delete\""),
        "{message}"
    );
    let (field, message) = one(json!({"rollback": {"history": 30}}));
    assert_eq!(
        (field.as_str(), message.as_str()),
        ("/spec/rollback/history", "30 is too much: write at most 20")
    );
    let (field, message) = one(json!({"render": {"plain": {}, "helm": {}}}));
    assert_eq!(field, "/spec/render");
    assert!(
        message.contains("one of plain, kustomize and helm"),
        "{message}"
    );
}

#[test]
fn whole_free_objects_and_defaults_are_no_mistakes() {
    assert_eq!(
        told(&json!({"render": {"helm": {"values": {"any": [1, {"thing": null}]}}}})),
        []
    );
}
