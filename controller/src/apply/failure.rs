//! Why something could not be applied, for people, and where the fault lies.
//!
//! Invariant: no message holds a value of a Secret. The API server's own text about one is not passed on, for it may quote it.

use std::fmt;

use belay_engine::release::observed::Fault;
use kube::core::{
    Status,
    response::{StatusCause, reason},
};

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Where the fault lies.
    pub fault: Fault,
    /// What happened, in one or two sentences; the same for the same cause.
    pub message: String,
}

impl Failure {
    /// The content is at fault: trying again is useless.
    pub fn content(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Content,
            message: message.into(),
        }
    }

    /// The cluster as it is does not take it.
    pub fn environment(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Environment,
            message: message.into(),
        }
    }

    /// It may well work in a moment.
    pub fn passing(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Passing,
            message: message.into(),
        }
    }

    /// What was applied before is not ready for the next.
    pub fn waiting(message: impl Into<String>) -> Self {
        Self {
            fault: Fault::Waiting,
            message: message.into(),
        }
    }

    /// The same with `place` in front.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self {
            message: format!("{place}: {}", self.message),
            ..self
        }
    }

    /// What the API server's answer means.
    pub fn of(error: &kube::Error, secrecy: Secrecy) -> Self {
        match error {
            kube::Error::Api(status) => of_status(status, secrecy),
            _ => Self::passing("the API server could not be reached"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Whether the API server's words may be repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrecy {
    /// They may.
    Open,
    /// They may quote a secret value.
    Secret,
}

fn of_status(status: &Status, secrecy: Secrecy) -> Failure {
    let said = words(status, secrecy);
    match status.code {
        _ if is_denied_by_policy(status) => Failure::environment(said),
        // The API server calls a field that its schema does not have an internal error.
        500 if status
            .message
            .contains("failed to create typed patch object") =>
        {
            Failure::content(said)
        }
        422 => Failure::content(explain_invalid(status, said)),
        400 | 413 | 415 => Failure::content(said),
        409 if status.reason == reason::CONFLICT => {
            Failure::passing("the object changed in the meantime")
        }
        403..=405 | 409 => Failure::environment(said),
        _ => Failure::passing(said),
    }
}

/// Admission says no with various codes; what it says may change without new content.
fn is_denied_by_policy(status: &Status) -> bool {
    (400..500).contains(&status.code)
        && (status.message.contains("denied request")
            || status.message.contains("denied the request"))
}

fn words(status: &Status, secrecy: Secrecy) -> String {
    // The authorizer has not seen the object: what it says is about the account.
    let is_authorizers = status.code == 403 && status.message.contains("is forbidden: User \"");
    match secrecy {
        Secrecy::Secret if is_authorizers => status.message.clone(),
        Secrecy::Open => status.message.clone(),
        Secrecy::Secret => {
            let fields: Vec<&str> = causes(status)
                .iter()
                .map(|cause| cause.field.as_str())
                .filter(|field| !field.is_empty())
                .collect();
            let reason = if status.reason.is_empty() {
                "refused"
            } else {
                &status.reason
            };
            match fields.as_slice() {
                [] => format!("{reason} (details are withheld: they may quote a secret value)"),
                fields => format!("{reason}: {}", fields.join(", ")),
            }
        }
    }
}

/// Whether a change was refused because of immutable fields and for no other reason: by the causes, never by the text as a whole.
pub fn is_only_immutable(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => status.code == 422 && all_immutable(causes(status)),
        _ => false,
    }
}

fn all_immutable(causes: &[StatusCause]) -> bool {
    !causes.is_empty() && causes.iter().all(is_immutable)
}

/// Validation of Kubernetes and of custom resources calls such a field immutable; a few kinds have words of their own.
fn is_immutable(cause: &StatusCause) -> bool {
    let is_about_a_value =
        ["FieldValueInvalid", "FieldValueForbidden"].contains(&cause.reason.as_str());
    let words = [
        "immutable",
        "updates to statefulset spec for fields other than",
        "cannot change roleRef",
        "may not change once set",
    ];
    is_about_a_value && words.iter().any(|word| cause.message.contains(word))
}

/// An immutable field is recognised by its cause. What to do about it is for people: deleting the object is theirs to decide.
fn explain_invalid(status: &Status, said: String) -> String {
    let immutable = causes(status)
        .iter()
        .find(|cause| cause.message.contains("immutable"));
    match immutable {
        Some(cause) => format!(
            "{} is immutable; give the object another name, or delete it yourself so that it is made anew ({said})",
            cause.field
        ),
        None => said,
    }
}

fn causes(status: &Status) -> &[StatusCause] {
    status
        .details
        .as_ref()
        .map_or(&[], |details| details.causes.as_slice())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(value: serde_json::Value) -> Status {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn an_immutable_field_is_the_contents_fault_and_is_named() {
        let status = status(json!({
            "code": 422, "reason": "Invalid", "status": "Failure", "message": "Deployment is invalid",
            "details": {"causes": [{"reason": "FieldValueInvalid", "field": "spec.selector", "message": "field is immutable"}]},
        }));
        let failure = of_status(&status, Secrecy::Open);
        assert_eq!(failure.fault, Fault::Content);
        assert!(failure.message.starts_with("spec.selector is immutable"));
    }

    #[test]
    fn only_causes_that_are_all_immutable_fields_let_an_object_be_made_anew() {
        let cause = |reason: &str, message: &str| -> StatusCause {
            serde_json::from_value(json!({"reason": reason, "field": "spec.x", "message": message}))
                .unwrap()
        };
        let immutable = cause("FieldValueInvalid", "Invalid value: 1: field is immutable");
        let stateful = cause(
            "FieldValueForbidden",
            "Forbidden: updates to statefulset spec for fields other than 'replicas' are forbidden",
        );
        let wrong = cause("FieldValueInvalid", "Invalid value: -1: must be positive");
        let odd = cause("FieldManagerConflict", "immutable");
        assert!(all_immutable(&[immutable.clone(), stateful]));
        for causes in [
            vec![],
            vec![wrong.clone()],
            vec![immutable, wrong],
            vec![odd],
        ] {
            assert!(!all_immutable(&causes), "{causes:?}");
        }
    }

    #[test]
    fn permissions_policies_and_outages_are_not() {
        for (code, message, fault) in [
            (403, "deployments is forbidden", Fault::Environment),
            (
                422,
                "ValidatingAdmissionPolicy 'x' denied request: no",
                Fault::Environment,
            ),
            (
                400,
                "admission webhook \"x\" denied the request: no",
                Fault::Environment,
            ),
            (400, "strict decoding error", Fault::Content),
            (
                500,
                "failed to create typed patch object (a/b): .datta: field not declared in schema",
                Fault::Content,
            ),
            (500, "etcd", Fault::Passing),
            (429, "slow down", Fault::Passing),
        ] {
            let status = status(
                json!({"code": code, "message": message, "reason": "r", "status": "Failure"}),
            );
            assert_eq!(of_status(&status, Secrecy::Open).fault, fault, "{message}");
        }
    }

    #[test]
    fn what_is_said_about_a_secret_is_not_repeated() {
        let status = status(json!({
            "code": 422, "reason": "Invalid", "status": "Failure", "message": "Invalid value: \"hunter2\"",
            "details": {"causes": [{"field": "data.password", "message": "Invalid value: \"hunter2\""}]},
        }));
        let failure = of_status(&status, Secrecy::Secret);
        assert_eq!(failure.message, "Invalid: data.password");
    }
}
