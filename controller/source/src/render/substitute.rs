//! Variables in rendered objects: `${name}`, `${name:=default}`, and `$${` for a literal `${`.
//!
//! Invariant: a value stands where its reference stood and nowhere else: references are looked for in parsed text, so a value
//! can't become a key, a list or another object, and is not searched for references itself. What has no value is an error, never
//! an empty text. No error holds a value. Left out: expressions of shells beside the default.

mod parse;
mod place;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Number, Value};

use super::object::{Draft, ObjectSource};
use super::{RenderError, Secrecy};
use crate::text::one_line;
use crate::yaml::push_step;

use parse::Piece;

/// An object with this annotation and the value `Disabled` is left as it is.
const ANNOTATION: &str = "belay.dev/substitute";
const DISABLED: &str = "Disabled";

/// What values may make of all objects together, in bytes.
const EXPANDED_BYTES: usize = 48 << 20;

/// Lists inside lists, as in `object`.
const LIST_DEPTH: usize = 4;

/// Values by name. Cheap to clone; `Debug` shows the names alone.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Substitution(Arc<BTreeMap<String, Variable>>);

/// One value.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Variable {
    value: String,
    secrecy: Secrecy,
}

impl Substitution {
    /// No variable; every reference needs a default.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether a reference can have this name.
    pub fn is_name(name: &str) -> bool {
        parse::is_name(name)
    }

    /// With a variable more; a later one of the same name wins. One line break at the end of a value is left out, for it is an
    /// editor's doing. Names that no reference can have are passed over.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str, secrecy: Secrecy) -> Self {
        if parse::is_name(name) {
            let value = value.strip_suffix('\n').unwrap_or(value);
            let value = value.strip_suffix('\r').unwrap_or(value).to_owned();
            Arc::make_mut(&mut self.0).insert(name.to_owned(), Variable { value, secrecy });
        }
        self
    }

    /// Puts the values into all drafts.
    pub(super) fn apply(&self, drafts: &mut [Draft]) -> Result<(), RenderError> {
        let mut left_bytes = EXPANDED_BYTES;
        for draft in drafts {
            let mut work = Work {
                variables: &self.0,
                unquoted: &draft.document.unquoted,
                origin: ObjectSource {
                    file: draft.file.clone(),
                    document: draft.document.number,
                },
                left_bytes,
                secrecy: draft.secrecy,
            };
            work.object(&mut draft.document.value, &mut String::new(), 0)?;
            (left_bytes, draft.secrecy) = (work.left_bytes, work.secrecy);
        }
        Ok(())
    }
}

impl fmt::Debug for Substitution {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// The work on one document.
struct Work<'a> {
    variables: &'a BTreeMap<String, Variable>,
    unquoted: &'a std::collections::BTreeSet<String>,
    origin: ObjectSource,
    left_bytes: usize,
    /// Whether the value of a Secret has come into the document.
    secrecy: Secrecy,
}

impl Work<'_> {
    /// One object, or a list of objects, each of which may ask to be left alone.
    fn object(
        &mut self,
        value: &mut Value,
        pointer: &mut String,
        depth: usize,
    ) -> Result<(), RenderError> {
        let Value::Object(object) = value else {
            return Ok(());
        };
        if is_disabled(object) {
            return Ok(());
        }
        let is_list = object
            .get("kind")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.ends_with("List"));
        match object.get_mut("items") {
            Some(Value::Array(items)) if is_list && depth < LIST_DEPTH => {
                for (index, item) in items.iter_mut().enumerate() {
                    let length = pointer.len();
                    push_step(pointer, "items");
                    push_step(pointer, &index.to_string());
                    self.object(item, pointer, depth + 1)?;
                    pointer.truncate(length);
                }
                Ok(())
            }
            _ => self.fields(object, pointer),
        }
    }

    fn value(&mut self, value: &mut Value, pointer: &mut String) -> Result<(), RenderError> {
        match value {
            Value::String(text) if text.contains("${") => {
                *value = self.text(text, pointer)?;
                Ok(())
            }
            Value::Array(items) => items.iter_mut().enumerate().try_for_each(|(index, item)| {
                let length = pointer.len();
                push_step(pointer, &index.to_string());
                let done = self.value(item, pointer);
                pointer.truncate(length);
                done
            }),
            Value::Object(object) => self.fields(object, pointer),
            _ => Ok(()),
        }
    }

    fn fields(
        &mut self,
        object: &mut Map<String, Value>,
        pointer: &mut String,
    ) -> Result<(), RenderError> {
        if let Some(key) = object.keys().find(|key| has_reference(key)) {
            let shown = one_line(key, 80);
            return Err(self.problem(format!(
                "the key {shown:?} holds a variable; variables stand in values only"
            )));
        }
        object.iter_mut().try_for_each(|(key, value)| {
            let length = pointer.len();
            push_step(pointer, key);
            let done = self.value(value, pointer);
            pointer.truncate(length);
            done
        })
    }

    fn text(&mut self, text: &str, pointer: &str) -> Result<Value, RenderError> {
        let pieces = parse::pieces(text).map_err(|problem| self.problem_at(pointer, &problem))?;
        let mut made = String::with_capacity(text.len());
        for piece in &pieces {
            let part = match piece {
                Piece::Text(part) => part,
                Piece::Reference { name, default } => self.resolve(name, *default, pointer)?,
            };
            self.left_bytes =
                self.left_bytes
                    .checked_sub(part.len())
                    .ok_or_else(|| RenderError::TooLarge {
                        what: format!("what variables make of {}", self.origin.file),
                        limit: format!("{} MiB", EXPANDED_BYTES >> 20),
                    })?;
            made.push_str(part);
        }
        let is_whole = matches!(pieces.as_slice(), [Piece::Reference { .. }]);
        let is_typed = is_whole && self.unquoted.contains(pointer) && !place::takes_text(pointer);
        Ok(if is_typed { typed(made) } else { made.into() })
    }

    fn resolve<'v>(
        &mut self,
        name: &str,
        default: Option<&'v str>,
        pointer: &str,
    ) -> Result<&'v str, RenderError>
    where
        Self: 'v,
    {
        let variables: &BTreeMap<String, Variable> = self.variables;
        match (variables.get(name), default) {
            (Some(variable), _) if !variable.value.is_empty() || default.is_none() => {
                self.secrecy = self.secrecy.max(variable.secrecy);
                // Borrowed from the variables, which outlive this work.
                Ok(&variable.value)
            }
            (_, Some(default)) => Ok(default),
            (_, None) => {
                let name = one_line(name, 100);
                let problem = format!(
                    "the variable ${{{name}}} has no value; define it under render.substitute, give it a default with \
                     ${{{name}:=…}}, or write $${{{name}}} if the text is meant as it stands"
                );
                Err(self.problem_at(pointer, &problem))
            }
        }
    }

    fn problem_at(&self, pointer: &str, problem: &str) -> RenderError {
        self.problem(format!("at {}: {problem}", one_line(pointer, 200)))
    }

    fn problem(&self, problem: String) -> RenderError {
        RenderError::Variable {
            origin: self.origin.clone(),
            problem,
        }
    }
}

fn is_disabled(object: &Map<String, Value>) -> bool {
    let annotations = object.get("metadata").and_then(|m| m.get("annotations"));
    annotations
        .and_then(|annotations| annotations.get(ANNOTATION))
        .is_some_and(|value| value == DISABLED)
}

fn has_reference(key: &str) -> bool {
    parse::pieces(key).map_or(true, |pieces| {
        pieces
            .iter()
            .any(|piece| matches!(piece, Piece::Reference { .. }))
    })
}

/// A number or a boolean, if the text is exactly how one is written; no digit is ever lost.
fn typed(text: String) -> Value {
    match text.as_str() {
        "true" => return true.into(),
        "false" => return false.into(),
        _ => {}
    }
    match text.parse::<Number>() {
        Ok(number) if number.to_string() == text => number.into(),
        _ => text.into(),
    }
}

#[cfg(test)]
mod tests;
