//! Where a text stops being PromQL, as far as brackets and quotes tell. The parser itself does not say.

use std::fmt;

/// A place in a text; both count from one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl Position {
    /// The place of a byte of `text`.
    pub(crate) fn of(text: &str, byte: usize) -> Self {
        let before = text.get(..byte).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |end| end + 1);
        let in_line = before.get(line_start..).unwrap_or_default();
        Self {
            line: before.matches('\n').count() + 1,
            column: in_line.chars().count() + 1,
        }
    }
}

/// The first bracket or quote that has no partner, and what is wrong with it.
pub(crate) fn unbalanced(text: &str) -> Option<(Position, String)> {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' | '\'' | '`' => {
                let is_closed = skip_quoted(&mut letters, letter);
                if !is_closed {
                    return Some((Position::of(text, at), format!("{letter} is never closed")));
                }
            }
            '#' => {
                letters.by_ref().find(|(_, letter)| *letter == '\n');
            }
            '(' | '[' | '{' => open.push((at, letter)),
            ')' | ']' | '}' => {
                let opened = open.pop().map(|(_, opened)| opened);
                if opened.map(closing) != Some(letter) {
                    let message = match opened {
                        Some(opened) => format!("{letter} where {opened} is to be closed"),
                        None => format!("{letter} closes nothing"),
                    };
                    return Some((Position::of(text, at), message));
                }
            }
            _ => {}
        }
    }
    open.pop()
        .map(|(at, letter)| (Position::of(text, at), format!("{letter} is never closed")))
}

/// Goes past the end of a quoted text; says whether it has one.
fn skip_quoted(letters: &mut std::str::CharIndices<'_>, quote: char) -> bool {
    while let Some((_, letter)) = letters.next() {
        if letter == quote {
            return true;
        }
        if letter == '\\' && quote != '`' {
            letters.next();
        }
    }
    false
}

const fn closing(opening: char) -> char {
    match opening {
        '(' => ')',
        '[' => ']',
        _ => '}',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_and_quotes_without_a_partner_are_pointed_at() {
        let place = |text: &str| unbalanced(text).map(|(at, _)| (at.line, at.column));
        assert_eq!(place("sum(rate(x[5m]))"), None);
        assert_eq!(place("sum(\n  rate(x[5m])"), Some((1, 4)));
        assert_eq!(place("sum(\n  rate(x[5m)))"), Some((2, 12)));
        assert_eq!(place("x{a=\"b}"), Some((1, 5)));
        assert_eq!(
            place(r#"x{a="\"}"} # it's"#),
            None,
            "escapes and comments count"
        );
        assert_eq!(place("x)"), Some((1, 2)));
    }
}
