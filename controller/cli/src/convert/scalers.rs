//! Autoscalers that scale a Rollout of Argo's: they scale its Deployment from now on.

use serde_json::Value;

use super::{argo, input::Object, manifest, note::Notes};

/// Adds the autoscalers of `objects` to `items`, with their target changed.
pub(super) fn convert(objects: &[Object], items: &mut Vec<Value>, notes: &mut Notes) {
    let scalers = objects.iter().filter(|object| {
        object.is("autoscaling", "HorizontalPodAutoscaler") || object.is("keda.sh", "ScaledObject")
    });
    for object in scalers {
        let target = |name: &str| {
            let pointer = format!("/spec/scaleTargetRef/{name}");
            object
                .document
                .pointer(&pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let group = target("apiVersion");
        if target("kind") != "Rollout" || !group.starts_with(argo::GROUP) {
            continue;
        }
        notes.turn_to(object.about.clone());
        let at = "spec.scaleTargetRef";
        let named = |item: &&Value, name: &str| {
            item.pointer("/kind").and_then(Value::as_str) == Some("Rollout")
                && item.pointer("/metadata/name").and_then(Value::as_str) == Some(name)
                && item.pointer("/metadata/namespace").and_then(Value::as_str)
                    == object.about.namespace.as_deref()
        };
        let name = target("name");
        let deployment = items
            .iter()
            .find(|item| named(item, &name))
            .and_then(|rollout| rollout.pointer("/spec/workloadRef/name"))
            .cloned();
        let Some(deployment) = deployment else {
            notes.left(
                at,
                format!("convert Rollout {name} together with this, or name its Deployment here"),
            );
            continue;
        };
        let mut scaler = object.document.clone();
        let (metadata, _) = manifest::parts(object.clone(), notes);
        if let Some(own) = scaler.as_object_mut() {
            own.remove("status");
            own.insert("metadata".to_owned(), metadata);
        }
        let reference = scaler.pointer_mut("/spec/scaleTargetRef");
        if let Some(reference) = reference.and_then(Value::as_object_mut) {
            reference.insert("apiVersion".to_owned(), "apps/v1".into());
            reference.insert("kind".to_owned(), "Deployment".into());
            reference.insert("name".to_owned(), deployment);
        }
        items.push(scaler);
    }
}
