//! One cookie among those in the header, as a regular expression that works the same whether the router anchors it or not.

use belay_engine::traffic::{Condition, Part, Text};

use super::COOKIE;

const BEFORE: &str = "^(.*; ?)?";
const AFTER: &str = "(;.*)?$";
const GROUP: &str = "(?:";

/// The expression that a `Cookie` header with this cookie fits.
pub(super) fn pattern(name: &str, value: &Text) -> String {
    let name = escaped(name);
    match value {
        Text::Exact(value) => format!("{BEFORE}{name}={}{AFTER}", escaped(value)),
        Text::Regex(value) => format!("{BEFORE}{name}={GROUP}{value}){AFTER}"),
    }
}

/// A condition that was read: one on a cookie, if that is what the expression is about.
pub(super) fn told(part: Part, name: String, value: Text) -> Condition {
    let cookie = match &value {
        Text::Regex(pattern) if part == Part::Header && name.eq_ignore_ascii_case(COOKIE) => {
            parse(pattern)
        }
        _ => None,
    };
    match cookie {
        Some((name, value)) => Condition {
            part: Part::Cookie,
            name,
            value,
        },
        None => Condition { part, name, value },
    }
}

/// The cookie of an expression that [`pattern`] made.
fn parse(pattern: &str) -> Option<(String, Text)> {
    let middle = pattern.strip_prefix(BEFORE)?.strip_suffix(AFTER)?;
    let (name, value) = middle.split_once('=')?;
    let value = match value.strip_prefix(GROUP) {
        Some(rest) => Text::Regex(rest.strip_suffix(')')?.to_owned()),
        None => Text::Exact(plain(value)),
    };
    Some((plain(name), value))
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        if r"\.+*?()|[]{}^$".contains(letter) {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

fn plain(escaped: &str) -> String {
    let mut plain = String::with_capacity(escaped.len());
    let mut letters = escaped.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => plain.extend(letters.next()),
            other => plain.push(other),
        }
    }
    plain
}
