//! Filling a template's holes for reading: known values as they are, unknown ones by something of the right shape.

use std::collections::{BTreeMap, BTreeSet};

/// A text with its holes filled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filled {
    /// The text.
    pub(crate) text: String,
    /// The arguments that it uses.
    pub(crate) used: BTreeSet<String>,
    /// Whether a hole is not closed.
    pub(crate) is_open: bool,
}

/// What a hole outside of quotes and brackets may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    /// The name of a metric or label.
    Name,
    /// A number.
    Number,
}

/// Fills the holes of `text` from `known`. What is not known is guessed from where it stands: a text in quotes, a time in
/// brackets, elsewhere what `bare` says.
pub(crate) fn fill(text: &str, known: &BTreeMap<String, String>, bare: Bare) -> Filled {
    let mut filled = Filled {
        text: String::with_capacity(text.len()),
        used: BTreeSet::new(),
        is_open: false,
    };
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        filled.text.push_str(before);
        let Some((name, after)) = after.split_once("}}") else {
            filled.is_open = true;
            return filled;
        };
        let name = name.trim();
        let value = known
            .get(name)
            .map_or_else(|| stand_in(&filled.text, bare), String::as_str);
        filled.text.push_str(value);
        filled.used.insert(name.to_owned());
        rest = after;
    }
    filled.text.push_str(rest);
    filled
}

fn stand_in(before: &str, bare: Bare) -> &'static str {
    match (last_quote(before), before.trim_end()) {
        (true, _) => "value",
        (false, open) if open.ends_with(['[', ':']) || open.ends_with("offset") => "1h",
        _ => match bare {
            Bare::Name => "value",
            Bare::Number => "1",
        },
    }
}

/// Whether the end of `text` is inside quotes.
fn last_quote(text: &str) -> bool {
    let mut open: Option<char> = None;
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match (open, letter) {
            (Some('"' | '\''), '\\') => {
                letters.next();
            }
            (Some(quote), _) if quote == letter => open = None,
            (None, '"' | '\'' | '`') => open = Some(letter),
            _ => {}
        }
    }
    open.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_holes_get_something_that_fits_where_they_stand() {
        let known = BTreeMap::from([("service".to_owned(), "shop".to_owned())]);
        let text = r#"{{ metric }}{s="{{service}}",z='{{zone}}'}[{{window}}]"#;
        let filled = fill(text, &known, Bare::Name);
        assert_eq!(filled.text, r#"value{s="shop",z='value'}[1h]"#);
        assert_eq!(filled.used.len(), 4);
        let number = fill("x * {{factor}}", &known, Bare::Number);
        assert_eq!(number.text, "x * 1");
        assert!(fill("{{x", &known, Bare::Name).is_open);
    }
}
