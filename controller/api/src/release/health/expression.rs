//! One expression of a rule: read, checked, and asked of objects.
//!
//! Invariant: an answer costs bounded time and memory. What could cost more is refused when the expression is read: functions and macros
//! that build lists or texts for every element, regular expressions, and loops within loops within loops. What an object may
//! hold is bounded, too, and only the variables that an expression names are handed to it.

mod convert;
mod cost;

use std::collections::BTreeSet;

use belay_engine::health::Answer;
use cel::{Context, Env, ExecutionError, ParseErrors, Program, Value as Cel};
use serde_json::Value;

/// Longest expression, in bytes.
const LONGEST: usize = 1024;

/// Everything that an expression can be about.
const VARIABLES: [&str; 5] = ["status", "spec", "metadata", "self", "object"];

#[derive(Debug)]
pub(super) struct Expression {
    program: Program,
    variables: BTreeSet<&'static str>,
}

impl Expression {
    /// Reads `text`, or says what is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it is longer than {LONGEST} characters"));
        }
        // As it is written, before macros become loops: what it costs is told by their names.
        let written = Env::default()
            .with_optional_support(false)
            .compile(text)
            .map_err(|errors| wrong(&errors))?;
        let variables = cost::check(written.expression())?;
        let program = Program::compile(text).map_err(|errors| wrong(&errors))?;
        Ok(Self { program, variables })
    }

    /// Asks it of `object`.
    pub(super) fn ask(&self, object: &Value) -> Answer {
        let mut context = Context::default();
        for name in &self.variables {
            match convert::variable(object, name) {
                Ok(value) => context.add_variable_from_value(*name, value),
                Err(why) => return Answer::Unknown(why),
            }
        }
        match self.program.execute(&context) {
            Ok(Cel::Bool(true)) => Answer::Yes,
            Ok(Cel::Bool(false)) => Answer::No,
            Ok(_) => Answer::Unknown("it gives neither true nor false".to_owned()),
            Err(error) => Answer::Unknown(reason(&error)),
        }
    }
}

/// The first mistake, in one line.
fn wrong(errors: &ParseErrors) -> String {
    let first = errors.errors.first();
    let message = first.map_or("it can't be read", |error| error.msg.as_str());
    let line = message.lines().next().unwrap_or_default();
    format!("it is no CEL expression: {line}")
}

/// Why it could not be evaluated, without values of the object.
fn reason(error: &ExecutionError) -> String {
    match error {
        ExecutionError::NoSuchKey(key) => format!("there is no {key}"),
        ExecutionError::UndeclaredReference(name) => format!("{name} is not known"),
        _ => "the types of its values don't fit".to_owned(),
    }
}
