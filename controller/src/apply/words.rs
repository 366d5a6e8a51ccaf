//! The words on live objects (see `belay_engine::release::words`): all of them, or only those that are not Belay's own.

use belay_engine::release::words::Words;
use kube::core::ObjectMeta;
use serde_json::Value;

use super::fields;

/// What a live object says, whoever wrote it.
pub fn live(metadata: &ObjectMeta) -> Words {
    Words::live(|key| annotation(metadata, key))
}

/// What people and other programs wrote on a live object. What Belay applied itself is the source's word of an earlier version,
/// and does not outlive it.
pub fn foreign(metadata: &ObjectMeta) -> Words {
    let managed = metadata.managed_fields.as_deref().unwrap_or_default();
    Words::live(|key| {
        let path = ["f:metadata", "f:annotations", &format!("f:{key}")];
        annotation(metadata, key).filter(|_| !fields::owns(managed, &path))
    })
}

/// What a rendered object says.
pub fn rendered(body: &Value) -> Result<Words, String> {
    let annotations = body.pointer("/metadata/annotations");
    Words::rendered(|key| annotations?.get(key)?.as_str())
}

fn annotation<'a>(metadata: &'a ObjectMeta, key: &str) -> Option<&'a str> {
    let annotations = metadata.annotations.as_ref()?;
    annotations.get(key).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use belay_api::names::FIELD_MANAGER;
    use belay_engine::release::words::Care;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_belay_applied_is_no_word_of_others() {
        let owned_by = |manager: &str| -> ObjectMeta {
            serde_json::from_value(json!({
                "annotations": {"belay.dev/reconcile": "Disabled"},
                "managedFields": [{"manager": manager, "operation": "Apply",
                    "fieldsV1": {"f:metadata": {"f:annotations": {"f:belay.dev/reconcile": {}}}}}],
            }))
            .unwrap()
        };
        let (ours, theirs) = (owned_by(FIELD_MANAGER), owned_by("kubectl-annotate"));
        assert_eq!(foreign(&ours).reconcile, Care::Usual);
        assert_eq!(live(&ours).reconcile, Care::Disabled);
        assert_eq!(foreign(&theirs).reconcile, Care::Disabled);
    }
}
