//! What the task of a source has found, and which request for a look that answers.

use belay_api::{Release, names::RECONCILE_ANNOTATION};
use belay_engine::release::{
    observed::Asked,
    requested::{LONGEST_BYTES, LookRequest},
};
use kube::ResourceExt as _;

/// What is known of a source.
#[derive(Clone, Debug)]
pub(in crate::release) struct Finding {
    /// What it asks for.
    pub(in crate::release) asked: Asked,
    /// The last request for a look that this answers.
    pub(super) answered: Option<String>,
}

impl Default for Finding {
    fn default() -> Self {
        Self {
            asked: Asked::Unknown,
            answered: None,
        }
    }
}

/// The request for a look that is on the Release and not handled yet. One that is too long is none.
pub(super) fn wanted(release: &Release) -> Option<String> {
    let request = release.annotations().get(RECONCILE_ANNOTATION)?;
    let status = release.status.as_ref();
    let handled = status
        .and_then(|status| status.reconciled.as_ref())
        .is_some_and(|handled| handled.request == *request);
    let fits = !request.is_empty() && request.len() <= LONGEST_BYTES;
    (fits && !handled).then(|| request.clone())
}

/// How far the request of `release` is.
pub(in crate::release) fn look_request(release: &Release, finding: &Finding) -> LookRequest {
    match wanted(release) {
        None => LookRequest::None,
        Some(request) if finding.answered.as_ref() == Some(&request) => {
            LookRequest::Answered { request }
        }
        Some(request) => LookRequest::Pending { request },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release(request: &str, handled: &str) -> Release {
        serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release",
            "metadata": {"name": "shop", "annotations": {RECONCILE_ANNOTATION: request}},
            "spec": {"source": {"git": {"url": "https://g/s.git", "ref": {"branch": "main"}}}, "serviceAccountName": "d"},
            "status": {"reconciled": {"request": handled, "at": "2026-01-01T00:00:00Z"}},
        }))
        .unwrap()
    }

    #[test]
    fn a_new_value_is_a_request_until_the_status_echoes_it() {
        assert_eq!(wanted(&release("two", "one")).as_deref(), Some("two"));
        assert_eq!(wanted(&release("two", "two")), None);
        assert_eq!(wanted(&release("", "two")), None);
        assert_eq!(
            wanted(&release(&"x".repeat(LONGEST_BYTES + 1), "two")),
            None
        );
    }

    #[test]
    fn only_a_finding_of_that_request_answers_it() {
        let of = |answered: &str| Finding {
            answered: Some(answered.to_owned()),
            ..Finding::default()
        };
        let asks = release("two", "one");
        assert!(matches!(
            look_request(&asks, &of("one")),
            LookRequest::Pending { .. }
        ));
        assert!(matches!(
            look_request(&asks, &of("two")),
            LookRequest::Answered { .. }
        ));
        assert_eq!(
            look_request(&release("two", "two"), &of("two")),
            LookRequest::None
        );
    }
}
