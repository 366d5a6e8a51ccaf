//! Foreign text in messages: bounded, and on one line.
//!
//! Invariant: what comes out is never longer than was asked for, and never cut within a character. Redaction comes before: half a
//! secret would not be recognised.

/// At most `limit_bytes` of the beginning of `text`.
pub(crate) fn beginning(text: &str, limit_bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(limit_bytes))
        .unwrap_or(text)
}

/// The same on one line: line breaks and other control characters become spaces.
pub(crate) fn line(text: &str, limit_bytes: usize) -> String {
    beginning(text, limit_bytes).replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(beginning("aé", 2), "a");
        assert_eq!(beginning("ab", 2), "ab");
    }

    #[test]
    fn a_line_has_no_breaks() {
        assert_eq!(line("a\nb\r\tc and more", 6), "a b  c");
    }
}
