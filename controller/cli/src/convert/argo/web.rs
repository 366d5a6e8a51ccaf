//! HTTP requests whose JSON answer is judged.

use serde_json::{Map, Value, json};

use super::{
    condition::{Bound, Reading},
    expression::{Literal, Op},
    holes::{self, Secrets},
    prometheus::{auth, headers},
};
use crate::convert::{
    fields::Fields,
    manifest::put,
    note::{Effect, Notes},
};

/// The request with what its answer must be like.
pub(super) fn gate(
    mut own: Fields,
    condition: Result<(Reading, String), ()>,
    secrets: &Secrets,
    notes: &mut Notes,
) -> Option<Value> {
    let mut gate = Map::new();
    let at = own.path("url");
    let url = own.text("url", notes);
    put(&mut gate, "method", own.text("method", notes));
    put(&mut gate, "headers", headers(&mut own, secrets, notes));
    put(&mut gate, "auth", auth(&mut own, secrets, notes));
    put(&mut gate, "timeout", own.seconds("timeoutSeconds", notes));
    let body_at = own.path("jsonBody");
    let body = own
        .text("body", notes)
        .or_else(|| Some(own.take("jsonBody")?.to_string()));
    put(
        &mut gate,
        "body",
        body.map(|body| holes::translated(&body, &body_at, notes)),
    );
    let path = own.text("jsonPath", notes);
    own.end(
        &[(
            "insecure",
            Effect::Left,
            "certificates are always checked; name the authority under tls.ca",
        )],
        notes,
    );
    let (reading, condition_at) = condition.ok()?;
    gate.insert(
        "url".to_owned(),
        holes::translated(&url?, &at, notes).into(),
    );
    let path = json_path(path.as_deref().unwrap_or("$"));
    let mut json = Vec::new();
    for bound in &reading.bounds {
        let Some(condition) = expected(&path, bound, &condition_at, notes) else {
            notes.left(&condition_at, "this can't be written as a condition on the answer's JSON; write expect.json by hand");
            return None;
        };
        json.push(condition);
    }
    if !json.is_empty() {
        gate.insert("expect".to_owned(), json!({"json": json}));
    }
    Some(gate.into())
}

/// `{$.data.ok}` without its braces, and from the root.
fn json_path(path: &str) -> String {
    let path = path.trim().trim_start_matches('{').trim_end_matches('}');
    match path.strip_prefix('$') {
        Some(_) => path.to_owned(),
        None => format!(
            "${}{path}",
            if path.starts_with(['.', '[']) {
                ""
            } else {
                "."
            }
        ),
    }
}

fn expected(path: &str, bound: &Bound, at: &str, notes: &mut Notes) -> Option<Value> {
    let path = format!("{path}{}", bound.path);
    let as_text = match &bound.value {
        Literal::Number(number) => number.to_string(),
        Literal::Text(text) => holes::translated(text, at, notes),
        Literal::Bool(value) => value.to_string(),
        Literal::Argument(name) => holes::translated(&format!("{{{{args.{name}}}}}"), at, notes),
    };
    match (bound.op, &bound.value) {
        (Op::Equal, _) => Some(json!({"path": path, "equals": as_text})),
        (Op::NotEqual, _) => Some(json!({"path": path, "notEquals": as_text})),
        (Op::LessOrEqual, Literal::Number(number)) => Some(json!({"path": path, "max": number})),
        (Op::MoreOrEqual, Literal::Number(number)) => Some(json!({"path": path, "min": number})),
        (Op::Less, Literal::Number(number)) => {
            Some(json!({"path": path, "max": number.next_down()}))
        }
        (Op::More, Literal::Number(number)) => Some(json!({"path": path, "min": number.next_up()})),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_the_root() {
        for (given, expected) in [
            ("{$.data.ok}", "$.data.ok"),
            ("{.data.ok}", "$.data.ok"),
            ("$", "$"),
            ("data[0]", "$.data[0]"),
        ] {
            assert_eq!(json_path(given), expected);
        }
    }
}
