//! Blots the values of Secrets out of text that people will read.
//!
//! Invariant: no byte of a known value is left, neither as it is nor in the encodings in which programs like to print it. What is
//! derived from a value in other ways (a hash, a part of it) is not recognised.

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

use super::http::encode::percent_encoded;

/// What stands in the place of a value.
const BLOT: &str = "[redacted]";

/// Shorter lines of a value of several lines are common text (`}` in a key file) and are not looked for on their own.
const LINE_BYTES: usize = 4;

/// Knows what must not be shown.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    words: Vec<String>,
}

impl Redactor {
    /// One that blots out these values.
    pub(crate) fn new<'a>(values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut words: Vec<String> = values.into_iter().flat_map(forms).collect();
        words.retain(|word| !word.is_empty());
        words.sort_unstable();
        words.dedup();
        Self { words }
    }

    /// `text` without the values. Neighbouring and overlapping ones become one blot.
    pub(crate) fn apply(&self, text: &str) -> String {
        let mut hidden: Vec<(usize, usize)> = self
            .words
            .iter()
            .flat_map(|word| {
                starts(text, word).map(move |start| (start, start.saturating_add(word.len())))
            })
            .collect();
        hidden.sort_unstable();
        let mut shown = String::with_capacity(text.len());
        let mut at = 0;
        for (start, end) in hidden {
            if start >= at && (start > at || at == 0) {
                shown.push_str(text.get(at..start).unwrap_or_default());
                shown.push_str(BLOT);
            }
            at = at.max(end);
        }
        shown.push_str(text.get(at..).unwrap_or_default());
        shown
    }
}

/// No `Debug` of the words themselves.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} words)", self.words.len())
    }
}

/// Everywhere that `word` begins, overlapping ones included.
fn starts<'a>(text: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let found = from + text.get(from..)?.find(word)?;
        let first = word.chars().next().map_or(1, char::len_utf8);
        from = found + first;
        Some(found)
    })
}

/// A value as it may be printed.
fn forms(value: &str) -> Vec<String> {
    let trimmed = value.trim_end_matches(['\r', '\n']);
    let mut forms = vec![value.to_owned(), trimmed.to_owned()];
    for whole in [value, trimmed] {
        forms.extend([
            STANDARD_NO_PAD.encode(whole),
            URL_SAFE_NO_PAD.encode(whole),
            percent_encoded(whole),
            quoted(whole),
        ]);
    }
    // Logs are read line by line, and may begin in the middle of a value of several lines.
    let lines = trimmed.lines().map(str::trim);
    forms.extend(
        lines
            .filter(|line| line.len() >= LINE_BYTES)
            .map(str::to_owned),
    );
    forms
}

/// As in a JSON string, without its quotes.
fn quoted(value: &str) -> String {
    let json = serde_json::Value::from(value).to_string();
    json.trim_matches('"').to_owned()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn values_are_blotted_out_in_every_encoding() {
        let token = "hunter2/ä\"x";
        let redactor = Redactor::new([token]);
        for text in [
            token.to_owned(),
            STANDARD.encode(token),
            percent_encoded(token),
            serde_json::json!({ "token": token }).to_string(),
        ] {
            let shown = redactor.apply(&format!("before {text} after"));
            assert!(shown.starts_with("before "), "{shown}");
            assert!(shown.contains(BLOT), "{text} is left: {shown}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn overlapping_values_leave_nothing_of_each_other() {
        let redactor = Redactor::new(["abc", "bcd", "d"]);
        assert_eq!(redactor.apply("xabcdx"), "x[redacted]x");
        assert_eq!(redactor.apply("abc-bcd"), "[redacted]-[redacted]");
        assert_eq!(
            Redactor::new(["aa"]).apply("aaa b"),
            "[redacted] b",
            "a value that overlaps with itself"
        );
    }

    #[test]
    fn each_line_of_a_key_file_is_blotted_out() {
        let key = "-----BEGIN KEY-----\nMIIB\nAAbb\n-----END KEY-----\n";
        let shown = Redactor::new([key]).apply("loaded AAbb\n-----END KEY-----\nfine");
        assert_eq!(shown, "loaded [redacted]\n[redacted]\nfine");
    }

    #[test]
    fn without_values_text_stays_as_it_is() {
        assert_eq!(Redactor::new([""]).apply("as it is"), "as it is");
        assert_eq!(Redactor::default().apply(""), "");
    }
}
