//! Foreign text made fit for a status line, and small ways to write text.

use std::fmt::Write as _;

/// One line without control characters, at most `limit_chars` long.
pub(crate) fn one_line(text: &str, limit_chars: usize) -> String {
    let mut line = String::new();
    for word in text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|word| !word.is_empty())
    {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    match line.char_indices().nth(limit_chars) {
        Some((cut, _)) => format!("{}…", line.get(..cut).unwrap_or_default()),
        None => line,
    }
}

/// Each word on a line of its own, each line ended.
pub(crate) fn lines<W: AsRef<str>>(words: impl IntoIterator<Item = W>) -> String {
    let mut text = String::new();
    for word in words {
        text.push_str(word.as_ref());
        text.push('\n');
    }
    text
}

/// Bytes as hexadecimal digits.
pub(crate) fn hex(bytes: impl IntoIterator<Item = u8>) -> String {
    let mut digits = String::new();
    for byte in bytes {
        // Writing to a string can't fail.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

/// Whether the text holds a control character (newlines included).
pub(crate) fn has_control(text: &str) -> bool {
    text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_length_are_tamed() {
        assert_eq!(one_line("  a\u{1b}[31m\n\tb  ", 80), "a [31m b");
        assert_eq!(one_line("äöü", 2), "äö…");
    }
}
