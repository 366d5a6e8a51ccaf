//! The rules of the definitions (`x-kubernetes-validations`), evaluated as the API server does for a new object.
//!
//! Invariant: a rule that can't be evaluated here is told as such, never taken for fulfilled. Rules about a change (`oldSelf`) say
//! nothing about a new object, here as there.

mod convert;

use std::{cell::RefCell, collections::HashMap, sync::Arc};

use cel::{Context, ExecutionError, Program, Value as Cel};
use serde_json::Value;

use super::schema::{Wrong, WrongKind};
use crate::lines::escaped;

/// What a rule says of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Fulfilled,
    Violated,
    NotEvaluated(String),
}

/// All rules that `object` violates, or that could not be evaluated.
pub(super) fn check(object: &Value, schema: &Value) -> Vec<Wrong> {
    let mut found = Vec::new();
    each(object, schema, &mut |pointer, rule, verdict| {
        let (kind, message) = match verdict {
            Verdict::Fulfilled => return,
            Verdict::Violated => (WrongKind::Rule, message(rule)),
            Verdict::NotEvaluated(why) => {
                let text = text(rule, "rule");
                (
                    WrongKind::NotEvaluated,
                    format!("the rule {text:?} can't be evaluated here: {why}"),
                )
            }
        };
        found.push(Wrong {
            pointer: pointer.to_owned(),
            kind,
            message,
        });
    });
    found
}

/// What the author of the rule says about a violation.
fn message(rule: &Value) -> String {
    let written = text(rule, "message");
    if written.is_empty() {
        format!("it violates the rule {}", text(rule, "rule"))
    } else {
        written.to_owned()
    }
}

fn text<'a>(rule: &'a Value, field: &str) -> &'a str {
    rule.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Evaluates every rule on every value that it is about.
pub(super) fn each(object: &Value, schema: &Value, found: &mut dyn FnMut(&str, &Value, Verdict)) {
    walk(object, schema, "", found);
}

fn walk(
    value: &Value,
    schema: &Value,
    pointer: &str,
    found: &mut dyn FnMut(&str, &Value, Verdict),
) {
    if value.is_null() {
        return;
    }
    let rules = schema
        .get("x-kubernetes-validations")
        .and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        if let Some(verdict) = evaluate(text(rule, "rule"), value, schema) {
            found(pointer, rule, verdict);
        }
    }
    match value {
        Value::Object(fields) => {
            let properties = schema.get("properties");
            let others = schema
                .get("additionalProperties")
                .filter(|others| others.is_object());
            for (name, field) in fields {
                let property = properties
                    .and_then(|properties| properties.get(name))
                    .or(others);
                if let Some(property) = property {
                    walk(
                        field,
                        property,
                        &format!("{pointer}/{}", escaped(name)),
                        found,
                    );
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    walk(item, schema, &format!("{pointer}/{index}"), found);
                }
            }
        }
        _ => {}
    }
}

thread_local! {
    /// Rules that were read already.
    static PROGRAMS: RefCell<HashMap<String, Arc<Result<Program, String>>>> = RefCell::default();
}

/// What `rule` says of `value`; nothing if it is about a change.
pub(super) fn evaluate(rule: &str, value: &Value, schema: &Value) -> Option<Verdict> {
    let program = program(rule);
    let program = match program.as_ref() {
        Ok(program) => program,
        Err(why) => return Some(Verdict::NotEvaluated(why.clone())),
    };
    if program.references().has_variable("oldSelf") {
        return None;
    }
    let mut context = Context::default();
    if let Err(error) = context.add_function("duration", nanoseconds) {
        return Some(Verdict::NotEvaluated(error.to_string()));
    }
    context.add_variable_from_value("self", convert::value(value, schema));
    Some(match program.execute(&context) {
        Ok(Cel::Bool(true)) => Verdict::Fulfilled,
        Ok(Cel::Bool(false)) => Verdict::Violated,
        Ok(_) => Verdict::NotEvaluated("it gives neither true nor false".to_owned()),
        Err(error) => Verdict::NotEvaluated(error.to_string()),
    })
}

fn program(rule: &str) -> Arc<Result<Program, String>> {
    let known = PROGRAMS.with_borrow(|programs| programs.get(rule).cloned());
    known.unwrap_or_else(|| {
        let read = Program::compile(rule).map_err(|error| error.to_string());
        let read = Arc::new(read);
        PROGRAMS.with_borrow_mut(|programs| programs.insert(rule.to_owned(), Arc::clone(&read)));
        read
    })
}

/// Kubernetes' `duration()`, as a number that compares like it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the interpreter hands texts over like this"
)]
fn nanoseconds(text: Arc<String>) -> Result<i64, ExecutionError> {
    let read = serde_json::from_value::<belay_api::Duration>(Value::from(text.as_str()));
    let failed = || ExecutionError::function_error("duration", "it is no span of time");
    let span = read.map_err(|_| failed())?.get();
    i64::try_from(span.as_nanos()).map_err(|_| failed())
}

#[cfg(test)]
mod tests;
