//! What an answer says.

use belay_api::analysis::http::HttpGate;
use belay_engine::gate::Result as GateResult;

use super::{
    super::redact::Redactor,
    condition::{Condition, Held},
    send::Answer,
    unavailable,
};

/// Whether this status is one that may be gone in a moment.
pub(super) fn is_passing_trouble(gate: &HttpGate, status: u16) -> bool {
    (status == 429 || status >= 500) && !gate.expect.status.contains(&status)
}

/// What `answer` says about `gate`, whose conditions are `conditions`. What `redactor` knows is not repeated.
pub(super) fn judge(
    gate: &HttpGate,
    conditions: &[Condition],
    answer: &Answer,
    redactor: &Redactor,
) -> GateResult {
    if let Some(result) = of_status(gate, answer) {
        return result;
    }
    let milliseconds = answer.latency.as_millis();
    let value = format!("{} in {milliseconds} ms", answer.status);
    if let Some(limit) = gate.expect.max_latency
        && answer.latency > limit.get()
    {
        let why = format!(
            "{} took {milliseconds} ms, longer than {limit}",
            answer.host
        );
        return GateResult::Fail { value, why };
    }
    if conditions.is_empty() {
        return GateResult::Pass { value };
    }
    match serde_json::from_slice(&answer.body) {
        Ok(document) => of_conditions(conditions, &document, redactor),
        Err(_) => GateResult::Error {
            why: format!("what {} answered is not JSON", answer.host),
        },
    }
}

/// What the status alone says, if it says enough.
fn of_status(gate: &HttpGate, answer: &Answer) -> Option<GateResult> {
    let Answer { host, status, .. } = answer;
    let wanted = &gate.expect.status;
    let fine = if wanted.is_empty() {
        (200..300).contains(status)
    } else {
        wanted.contains(status)
    };
    if fine {
        return None;
    }
    let why = match status {
        401 | 403 => format!("{host} answered {status}: it refuses the credentials"),
        _ => format!("{host} answered {status}"),
    };
    if is_passing_trouble(gate, *status) {
        return Some(unavailable(gate.unavailable_is, why));
    }
    Some(if wanted.is_empty() {
        GateResult::Error { why }
    } else {
        GateResult::Fail {
            value: status.to_string(),
            why,
        }
    })
}

/// A broken condition counts before one that can't be judged, and that before one without data.
fn of_conditions(
    conditions: &[Condition],
    document: &serde_json::Value,
    redactor: &Redactor,
) -> GateResult {
    let held: Vec<Held> = conditions
        .iter()
        .map(|condition| condition.judge(document, redactor))
        .collect();
    let rank = |held: &Held| match held {
        Held::No(..) => 3,
        Held::Error(_) => 2,
        Held::NoData(_) => 1,
        Held::Yes(_) => 0,
    };
    // The first of the worst: `max_by_key` would give the last.
    let worst = held.into_iter().rev().max_by_key(rank);
    match worst {
        Some(Held::No(value, why)) => GateResult::Fail { value, why },
        Some(Held::Error(why)) => GateResult::Error { why },
        Some(Held::NoData(why)) => GateResult::NoData { why },
        Some(Held::Yes(value)) => GateResult::Pass { value },
        None => GateResult::Error {
            why: "there is no condition".to_owned(),
        },
    }
}
