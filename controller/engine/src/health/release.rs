//! A Release that is applied by another one.
//!
//! Stricter and more patient than kstatus: what Belay has not looked at is on its way, whatever it lacks; and what can still come right by
//! itself (a dependency that is not there yet, a quota) has not failed.

use serde_json::Value;

use super::{Health, condition, text};

/// Current once it has verified what its source asks for under its newest spec.
pub(super) fn assess(object: &Value) -> Health {
    let newest = object.pointer("/metadata/generation");
    let waits = || match text(object, "/status/waitingFor/message") {
        "" => "Belay has not verified it under its newest spec yet".to_owned(),
        message => message.to_owned(),
    };
    if newest.is_none() || object.pointer("/status/observedGeneration") != newest {
        return Health::progress("Belay has not looked at its newest spec yet");
    }
    let is_final = object.pointer("/status/refused/permanent") == Some(&Value::Bool(true));
    match text(object, "/status/phase") {
        "Rejected" | "Failed" => Health::failed(waits()),
        "Refused" if is_final => Health::failed(waits()),
        "Verified" if object.pointer("/status/askedGeneration") == newest => Health::Current,
        _ if has_refused_spec(object) => Health::failed(waits()),
        _ => Health::progress(waits()),
    }
}

/// A spec that can't be carried out needs somebody to change it.
fn has_refused_spec(object: &Value) -> bool {
    condition(object, "Stalled")
        .is_some_and(|stalled| stalled.holds() && stalled.reason == "SpecRefused")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn release(status: &Value) -> Health {
        super::super::assess(&json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Release",
            "metadata": {"name": "web", "generation": 2}, "status": status,
        }))
    }

    #[test]
    fn it_is_current_only_when_its_newest_spec_led_to_a_verified_version() {
        let verified = json!({"observedGeneration": 2, "askedGeneration": 2, "phase": "Verified"});
        assert_eq!(release(&verified), Health::Current);
        for early in [
            json!(null),
            json!({"observedGeneration": 1, "askedGeneration": 1, "phase": "Verified"}),
            json!({"observedGeneration": 2, "askedGeneration": 1, "phase": "Verified"}),
            json!({"observedGeneration": 2, "askedGeneration": 2, "phase": "Verifying"}),
        ] {
            assert!(matches!(release(&early), Health::InProgress { .. }));
        }
    }

    #[test]
    fn what_waits_for_another_release_or_a_quota_has_not_failed() {
        let stalled =
            json!([{"type": "Stalled", "status": "True", "reason": "Waiting", "message": "m"}]);
        for phase in ["Waiting", "Refused"] {
            let status = json!({"observedGeneration": 2, "phase": phase, "conditions": stalled});
            assert!(
                matches!(release(&status), Health::InProgress { .. }),
                "{phase}"
            );
        }
    }

    #[test]
    fn what_needs_somebody_has_failed_with_its_own_words() {
        let waiting = json!({"message": "main@1 is quarantined"});
        let refused =
            json!([{"type": "Stalled", "status": "True", "reason": "SpecRefused", "message": "m"}]);
        for failed in [
            json!({"observedGeneration": 2, "phase": "Rejected", "waitingFor": waiting}),
            json!({"observedGeneration": 2, "phase": "Refused", "refused": {"permanent": true}, "waitingFor": waiting}),
            json!({"observedGeneration": 2, "phase": "Pending", "conditions": refused, "waitingFor": waiting}),
        ] {
            let message = "main@1 is quarantined".to_owned();
            assert_eq!(release(&failed), Health::Failed { message });
        }
    }
}
