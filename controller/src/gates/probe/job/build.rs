//! The Job of a gate, from its template.
//!
//! Invariant: for one ticket there is one name. What Belay needs to keep its word (once per measurement, bounded in time) can't be
//! overwritten by a template.

use std::fmt::Write as _;

use belay_api::{
    analysis::{JobGate, arguments},
    names::{FIELD_MANAGER, PROBE_ANNOTATION, PROBE_LABEL, TRIAL_LABEL},
};
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

use super::{Ticket, outcome::DEADLINE};
use crate::gates::probe::http::Values;

/// Longest part of a Job's name that is taken from its gate. Names of pods must not become longer than 63 bytes.
const NAME_BYTES: usize = 36;

/// Bytes of the hash in a name, twice as many digits.
const HASH_BYTES: usize = 6;

/// Seconds after its end at which the cluster deletes a Job that Belay could not delete: long after any trial.
const TTL_SECONDS: i64 = 7 * 24 * 3600;

/// Fields that would break the promise of one run for each measurement, with what to do instead.
const NOT_THE_AUTHORS: [(&str, &str); 5] = [
    (
        "ttlSecondsAfterFinished",
        "Belay keeps the Job as long as the change lasts and deletes it then",
    ),
    ("suspend", "it would never run"),
    ("manualSelector", "the cluster chooses the selector"),
    ("selector", "the cluster chooses it"),
    ("managedBy", "the cluster's own controller must run it"),
];

/// The name of the Job of `ticket`.
pub(super) fn name(ticket: &Ticket) -> String {
    let round = ticket.round.to_string();
    let parts = [
        ticket.owner.uid.as_str(),
        ticket.trial.as_str(),
        ticket.gate.as_str(),
        ticket.segment.as_str(),
        round.as_str(),
    ];
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part.as_bytes());
        hasher.update([0]);
    }
    let gate = ticket.gate.rsplit('/').next().unwrap_or_default();
    let gate = gate.get(..NAME_BYTES).unwrap_or(gate);
    let mut name = format!("{}-", gate.trim_end_matches('-'));
    for byte in hasher.finalize().iter().take(HASH_BYTES) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The whole Job.
pub(super) fn job(ticket: &Ticket, name: &str, spec: &Value) -> Value {
    let about = format!("{} {} round {}", ticket.gate, ticket.segment, ticket.round);
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "labels": {
                "app.kubernetes.io/managed-by": FIELD_MANAGER,
                PROBE_LABEL: ticket.owner.uid,
                TRIAL_LABEL: ticket.trial,
            },
            "annotations": {PROBE_ANNOTATION: about},
            "ownerReferences": [ticket.owner],
        },
        "spec": spec,
    })
}

/// The spec with its holes filled and its defaults set. `secret` are the names of arguments that come from Secrets.
pub(super) fn spec(gate: &JobGate, values: &Values, secret: &[&str]) -> Result<Value, String> {
    let mut open = values.clone();
    open.retain(|name, _| !secret.contains(&name.as_str()));
    let mut spec = Map::new();
    for (key, value) in &gate.spec {
        spec.insert(key.clone(), filled(value, &open)?);
    }
    for (field, why) in NOT_THE_AUTHORS {
        if spec.contains_key(field) {
            return Err(format!("leave {field} out of the Job's spec: {why}"));
        }
    }
    let pod = spec
        .get_mut("template")
        .and_then(|template| template.get_mut("spec"))
        .and_then(Value::as_object_mut)
        .ok_or("the Job's spec has no template.spec; write it as in any Job")?;
    let containers = pod.get("containers").and_then(Value::as_array);
    if containers.is_none_or(Vec::is_empty) {
        return Err("the Job's template has no containers".to_owned());
    }
    pod.entry("restartPolicy").or_insert_with(|| json!("Never"));
    let deadline = spec
        .entry("activeDeadlineSeconds")
        .or_insert_with(|| json!(DEADLINE.as_secs()));
    if deadline.as_i64().is_none_or(|seconds| seconds < 1) {
        return Err(
            "activeDeadlineSeconds of the Job must be a whole number above zero".to_owned(),
        );
    }
    spec.entry("backoffLimit").or_insert_with(|| json!(0));
    spec.insert("ttlSecondsAfterFinished".to_owned(), json!(TTL_SECONDS));
    Ok(Value::Object(spec))
}

/// `value` with the holes in its texts filled. Keys are left as they are.
fn filled(value: &Value, open: &Values) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => {
            Value::String(arguments::fill(text, open).map_err(|error| explained(&error))?)
        }
        Value::Array(items) => {
            let items = items.iter().map(|item| filled(item, open));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let fields = fields
                .iter()
                .map(|(key, value)| Ok((key.clone(), filled(value, open)?)));
            Value::Object(fields.collect::<Result<_, String>>()?)
        }
        other => other.clone(),
    })
}

fn explained(error: &arguments::ArgumentError) -> String {
    match error {
        arguments::ArgumentError::Undeclared(name) => format!(
            "the Job uses {{{{{name}}}}}, which is not among the template's args, or comes from a Secret; take values of Secrets into the pod with secretKeyRef, so that nobody can read them in the Job"
        ),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

    use super::*;

    fn gate(spec: &Value) -> JobGate {
        serde_json::from_value(json!({"serviceAccountName": "tester", "spec": spec})).unwrap()
    }

    fn ticket() -> Ticket {
        Ticket {
            namespace: "shop".into(),
            owner: OwnerReference {
                api_version: "belay.dev/v1alpha1".into(),
                kind: "Rollout".into(),
                name: "web".into(),
                uid: "7c0e".into(),
                ..OwnerReference::default()
            },
            trial: "abc".into(),
            gate: "smoke/test-".to_owned() + &"x".repeat(60),
            segment: "step-0".into(),
            round: 0,
        }
    }

    fn minimal() -> Value {
        json!({"template": {"spec": {"containers": [{"name": "main", "image": "test:1", "args": ["--url=http://{{service}}"]}]}}})
    }

    #[test]
    fn each_measurement_has_a_name_of_its_own_and_always_the_same() {
        let first = name(&ticket());
        assert_eq!(first, name(&ticket()));
        assert!(first.len() <= 50, "{first}");
        let mut others = vec![ticket(); 5];
        others[0].round = 1;
        others[1].segment = "step-1".into();
        others[2].trial = "abd".into();
        others[3].gate = "other/test".into();
        others[4].owner.uid = "8".into();
        for other in others {
            assert_ne!(name(&other), first);
        }
    }

    #[test]
    fn holes_are_filled_and_defaults_are_set_where_nothing_is_said() {
        let values = Values::from([("service".to_owned(), "web".to_owned())]);
        let built = spec(&gate(&minimal()), &values, &[]).unwrap();
        let pod = &built["template"]["spec"];
        assert_eq!(pod["containers"][0]["args"][0], "--url=http://web");
        assert_eq!(
            (
                &pod["restartPolicy"],
                &built["activeDeadlineSeconds"],
                &built["backoffLimit"]
            ),
            (&json!("Never"), &json!(600), &json!(0))
        );
        let mut own = minimal();
        own["activeDeadlineSeconds"] = json!(30);
        own["somethingNew"] = json!({"kept": true});
        let built = spec(&gate(&own), &values, &[]).unwrap();
        assert_eq!(built["activeDeadlineSeconds"], 30);
        assert_eq!(built["somethingNew"]["kept"], true);
    }

    #[test]
    fn what_would_break_the_promise_is_refused_with_a_sentence() {
        let values = Values::from([("service".to_owned(), "web".to_owned())]);
        let why = spec(&gate(&minimal()), &values, &["service"]).unwrap_err();
        assert!(why.contains("secretKeyRef"), "{why}");
        for (field, value) in [
            ("ttlSecondsAfterFinished", json!(1)),
            ("suspend", json!(true)),
            ("activeDeadlineSeconds", json!("soon")),
            ("template", json!({"spec": {"containers": []}})),
            ("template", json!("{{service}}")),
        ] {
            let mut wrong = minimal();
            wrong[field] = value;
            assert!(spec(&gate(&wrong), &values, &[]).is_err(), "{field}");
        }
    }
}
