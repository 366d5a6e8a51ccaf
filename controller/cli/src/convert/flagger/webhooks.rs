//! Webhooks: checks become gates, confirmations become approvals.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{canary::Subject, metrics::template, steps::Tempo};
use crate::convert::{
    fields::Fields,
    manifest::put,
    note::{Effect, Notes},
    text::written,
};

/// Longest time that a gate's request may take.
const LONGEST: Duration = Duration::from_mins(2);

/// What the webhooks come to.
#[derive(Default)]
pub(super) struct Hooks {
    /// Gate that holds throughout.
    pub(super) each_tick: Option<Value>,
    /// Gates of the first step.
    pub(super) first: Vec<Value>,
    /// Whether a person lets it begin, rise, and be promoted.
    pub(super) start: bool,
    pub(super) increase: bool,
    pub(super) promotion: bool,
    pub(super) template: Vec<Value>,
}

/// Reads the webhooks of `analysis`.
pub(super) fn hooks(
    analysis: &mut Fields,
    subject: &Subject,
    tempo: &Tempo,
    metadata: &Value,
    notes: &mut Notes,
) -> Hooks {
    let mut hooks = Hooks::default();
    let (mut throughout, mut before) = (Vec::new(), Vec::new());
    for mut hook in analysis.each("webhooks", notes) {
        let at = hook.path("type");
        let kind = hook
            .text("type", notes)
            .unwrap_or_else(|| "rollout".to_owned());
        let by_person = "a person confirms it, by kubectl belay approve; a program does the same by creating an Action";
        match kind.as_str() {
            "rollout" => throughout.extend(gate(&mut hook, subject, tempo, notes)),
            "pre-rollout" => {
                notes.differs(&at, "it is a gate of the first step, which has its share of the requests already; blueGreen has a preview without any");
                before.extend(gate(&mut hook, subject, tempo, notes));
            }
            "confirm-rollout" => {
                notes.differs(&at, format!("the first step waits until {by_person}"));
                hooks.start = true;
            }
            "confirm-traffic-increase" => {
                notes.differs(&at, format!("each step waits until {by_person}"));
                hooks.increase = true;
            }
            "confirm-promotion" => {
                notes.differs(&at, format!("the last step waits until {by_person}"));
                hooks.promotion = true;
            }
            "rollback" => notes.left(&at, "a person rolls back by kubectl belay abort; a program does the same by creating an Action"),
            _ => notes.left(&at, "Belay tells nobody by itself: watch the Rollout's status and events, or its metrics"),
        }
        for name in ["name", "url", "timeout", "metadata", "retries", "muteAlert"] {
            hook.take(name);
        }
        hook.end(
            &[(
                "disableTLS",
                Effect::Left,
                "certificates are always checked; name the authority under tls.ca",
            )],
            notes,
        );
    }
    for (suffix, gates) in [("webhooks", throughout), ("before", before)] {
        if gates.is_empty() {
            continue;
        }
        let name = format!("{}-{suffix}", subject.name);
        let (template, reference) = template(&name, gates, metadata);
        hooks.template.push(template);
        if suffix == "before" {
            hooks.first.push(reference);
        } else {
            hooks.each_tick = Some(reference);
        }
    }
    hooks
}

/// The same request as a gate: any answer from 200 to 202 is fine.
fn gate(hook: &mut Fields, subject: &Subject, tempo: &Tempo, notes: &mut Notes) -> Option<Value> {
    let name = hook.text("name", notes).unwrap_or_default();
    let url_at = hook.path("url");
    let Some(url) = hook.text("url", notes) else {
        notes.left(&url_at, "a gate needs to know whom to ask");
        return None;
    };
    let timeout_at = hook.path("timeout");
    let timeout = hook.span("timeout", notes);
    if timeout.is_some_and(|timeout| timeout > LONGEST) {
        notes.differs(
            &timeout_at,
            "a request may take two minutes at most; take a job for what lasts longer",
        );
    }
    let retries = hook.whole("retries", notes).filter(|retries| *retries > 0);
    let metadata: Map<String, Value> = hook
        .texts("metadata", notes)
        .into_iter()
        .map(|(key, value)| (key, value.into()))
        .collect();
    let body = json!({
        "name": subject.name,
        "namespace": "{{namespace}}",
        "phase": "Progressing",
        "checksum": "{{hash}}",
        "metadata": metadata,
    });
    let mut http = Map::new();
    http.insert("url".to_owned(), url.into());
    http.insert("method".to_owned(), "POST".into());
    http.insert(
        "headers".to_owned(),
        json!([{"name": "Content-Type", "value": "application/json"}]),
    );
    http.insert("body".to_owned(), body.to_string().into());
    put(
        &mut http,
        "timeout",
        timeout.map(|timeout| written(timeout.min(LONGEST))),
    );
    put(
        &mut http,
        "retries",
        retries.map(|limit| json!({"limit": limit.min(10)})),
    );
    http.insert("unavailableIs".to_owned(), "Fail".into());
    http.insert("expect".to_owned(), json!({"status": [200, 201, 202]}));
    let mut gate = tempo.gate(&name);
    gate.insert("http".to_owned(), http.into());
    Some(gate.into())
}
