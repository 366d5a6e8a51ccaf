//! What happens when somebody else owns a field that a Release sets.
//!
//! Rule: people and programs that *updated* a field (`kubectl edit`, `scale`, `set image`, a controller's update) are overruled:
//! the source says what the field is. Whoever *applies* the field declares it, too, as another GitOps tool does; then two
//! sources contradict each other, and the object is refused until one of them lets go. `kubectl` in any form is a person.

use kube::core::{Status, response::reason};

/// Reason of a cause that names the owner of a field.
const FIELD_MANAGER_CONFLICT: &str = "FieldManagerConflict";

/// What to do about a conflict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Send it again with force.
    Overrule,
    /// Another applier declares a field; the text says who and which.
    Refuse(String),
}

/// What to do about this answer, if it is a conflict over fields.
pub fn judge(error: &kube::Error) -> Option<Verdict> {
    match error {
        kube::Error::Api(status) if status.code == 409 && status.reason == reason::CONFLICT => {
            judge_status(status)
        }
        _ => None,
    }
}

fn judge_status(status: &Status) -> Option<Verdict> {
    let causes = status.details.as_ref().map(|details| &details.causes)?;
    let mut conflicts = causes
        .iter()
        .filter(|cause| cause.reason == FIELD_MANAGER_CONFLICT)
        .peekable();
    conflicts.peek()?;
    let applier = conflicts.find_map(|cause| {
        let manager = applier(&cause.message)?;
        Some((manager, cause.field.clone()))
    });
    Some(match applier {
        None => Verdict::Overrule,
        Some((manager, field)) => Verdict::Refuse(format!(
            "field {field} is applied by {manager:?}, too; take it out of one of the two sources"
        )),
    })
}

/// The manager in `conflict with "manager" using v1`, if it applies. Updates are told by the API version that they used.
fn applier(message: &str) -> Option<String> {
    let (_, rest) = message.split_once('"')?;
    let (manager, rest) = rest.split_once('"')?;
    let updates = rest.contains(" using ");
    let is_person = manager.starts_with("kubectl") || manager == "before-first-apply";
    (!updates && !is_person).then(|| manager.to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn verdict(messages: &[&str]) -> Option<Verdict> {
        let causes: Vec<_> = messages
            .iter()
            .map(|message| json!({"reason": FIELD_MANAGER_CONFLICT, "message": message, "field": ".spec.replicas"}))
            .collect();
        let status = serde_json::from_value(json!({
            "code": 409, "reason": "Conflict", "status": "Failure", "message": "Apply failed", "details": {"causes": causes},
        }))
        .unwrap();
        judge_status(&status)
    }

    #[test]
    fn updates_and_people_are_overruled() {
        for message in [
            r#"conflict with "kubectl-edit" using apps/v1"#,
            r#"conflict with "kube-controller-manager" with subresource "scale" using apps/v1 at 2026-01-01T00:00:00Z"#,
            r#"conflict with "kubectl""#,
            r#"conflict with "kubectl-client-side-apply" using apps/v1"#,
        ] {
            assert_eq!(verdict(&[message]), Some(Verdict::Overrule), "{message}");
        }
    }

    #[test]
    fn another_applier_is_named() {
        let refused = verdict(&[
            r#"conflict with "kubectl-edit" using apps/v1"#,
            r#"conflict with "argocd-controller""#,
        ]);
        let Some(Verdict::Refuse(text)) = refused else {
            panic!("{refused:?}")
        };
        assert!(text.contains("argocd-controller") && text.contains(".spec.replicas"));
    }

    #[test]
    fn other_conflicts_are_not_about_fields() {
        assert_eq!(verdict(&[]), None);
    }
}
