//! What gateways say of a route: conditions in its status, for each parent, with the generation that they are about.

use belay_engine::traffic::Acknowledgement;
use serde_json::Value;

/// Conditions that must hold. `Programmed` is optional in the API, and looked at where a gateway writes it.
const NEEDED: [&str; 2] = ["Accepted", "ResolvedRefs"];
const OPTIONAL: &str = "Programmed";

/// Whether every parent of the route has taken up this generation of it.
pub(super) fn by_gateways(object: &Value, generation: i64) -> Acknowledgement {
    let list = |pointer: &str| object.pointer(pointer).and_then(Value::as_array);
    let parents = list("/spec/parentRefs")
        .map(Vec::as_slice)
        .unwrap_or_default();
    let answers = list("/status/parents")
        .map(Vec::as_slice)
        .unwrap_or_default();
    let missing = parents.iter().map(|parent| {
        let mut own = answers
            .iter()
            .filter(|answer| {
                answer
                    .get("parentRef")
                    .is_some_and(|of| is_same(parent, of))
            })
            .peekable();
        if own.peek().is_none() {
            return Some(format!("{} has not taken it up", described(parent)));
        }
        own.find_map(|answer| objection(answer, generation))
            .map(|objection| format!("{}: {objection}", described(parent)))
    });
    match (parents.is_empty(), missing.flatten().next()) {
        (true, _) => Acknowledgement::Waiting(
            "it has no parent; name a gateway in its parentRefs".to_owned(),
        ),
        (false, Some(why)) => Acknowledgement::Waiting(why),
        (false, None) => Acknowledgement::Given,
    }
}

/// What is not as it must be in a parent's answer.
fn objection(answer: &Value, generation: i64) -> Option<String> {
    let conditions = answer.get("conditions").and_then(Value::as_array);
    let find = |name: &str| {
        conditions
            .into_iter()
            .flatten()
            .find(|condition| text(condition, "type") == Some(name))
    };
    for name in NEEDED.into_iter().chain([OPTIONAL]) {
        let Some(condition) = find(name) else {
            if name == OPTIONAL {
                continue;
            }
            return Some(format!("it says nothing of {name} yet"));
        };
        let seen = condition.get("observedGeneration").and_then(Value::as_i64);
        if seen.unwrap_or(0) < generation {
            return Some("it has not read the present version yet".to_owned());
        }
        if text(condition, "status") != Some("True") {
            let reason = text(condition, "reason").unwrap_or("no reason");
            let message = text(condition, "message").unwrap_or_default();
            return Some(
                format!("{name} is not true ({reason}) {message}")
                    .trim_end()
                    .to_owned(),
            );
        }
    }
    None
}

/// Whether both name the same parent. What is left out means the default.
fn is_same(parent: &Value, of: &Value) -> bool {
    let same = |key: &str| {
        parent
            .get(key)
            .is_none_or(|value| of.get(key) == Some(value))
    };
    ["group", "kind", "namespace", "name"].into_iter().all(same)
        && parent.get("sectionName") == of.get("sectionName")
        && parent.get("port") == of.get("port")
}

fn described(parent: &Value) -> String {
    let kind = text(parent, "kind").unwrap_or("Gateway");
    let name = text(parent, "name").unwrap_or_default();
    format!("{kind} {name}")
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key).and_then(Value::as_str)
}
