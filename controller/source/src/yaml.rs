//! YAML and JSON text to JSON values, within limits.
//!
//! Invariant: the values are those kubectl would send ([`scalar`]); whatever is ambiguous (duplicate keys, unknown tags,
//! merge keys after the keys they touch) is refused with its place. Error texts never quote values, only keys and places:
//! a manifest may hold a Secret. Left out: comments, styles, and writing YAML.

mod builder;
mod json;
mod scalar;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::text::one_line;

/// Bounds for one file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Deepest nesting of lists and objects.
    pub(crate) depth: usize,
    /// Size of all values after aliases are expanded, in bytes (an estimate: text plus a fixed sum per node).
    pub(crate) expanded_bytes: usize,
    /// Documents in one file.
    pub(crate) documents: usize,
}

impl Default for Limits {
    fn default() -> Self {
        // serde_json reads at most 128 levels, and stored renders are read back with it.
        Self {
            depth: 100,
            expanded_bytes: 48 << 20,
            documents: 10_000,
        }
    }
}

/// One document of a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Document {
    /// Position in the file, from 1.
    pub(crate) number: usize,
    /// The content; `null` for an empty document.
    pub(crate) value: Value,
    /// Where unquoted texts of the form `${…}` stand, as JSON pointers. Whether a text was quoted is lost in the value.
    pub(crate) unquoted: BTreeSet<String>,
}

impl Document {
    pub(crate) fn new(number: usize, value: Value) -> Self {
        Self {
            number,
            value,
            unquoted: BTreeSet::new(),
        }
    }
}

/// Adds one step to a JSON pointer.
pub(crate) fn push_step(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&step.replace('~', "~0").replace('/', "~1"));
}

/// Why a file can't be read, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The document's position in the file, from 1.
    pub(crate) document: usize,
    /// Line in the file, from 1.
    pub(crate) line: usize,
    /// What is wrong, without values from the file.
    pub(crate) text: String,
}

/// Reads all documents of a YAML file.
pub(crate) fn parse_yaml(text: &str, limits: &Limits) -> Result<Vec<Document>, Problem> {
    builder::parse(text, limits)
}

/// Reads all documents of a JSON file.
pub(crate) fn parse_json(text: &str, limits: &Limits) -> Result<Vec<Document>, Problem> {
    json::parse(text, limits)
}

impl Problem {
    fn new(document: usize, line: usize, text: impl AsRef<str>) -> Self {
        Self {
            document,
            line,
            text: one_line(text.as_ref(), 300),
        }
    }
}
