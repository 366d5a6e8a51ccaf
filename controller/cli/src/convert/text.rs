//! Small translations of values: spans of time, names, percentages, literals in regular expressions.

use std::time::Duration;

use serde_json::Value;

/// A span: seconds as a number or digits, or text with units.
pub(super) fn span(value: &Value) -> Option<Duration> {
    let digits = |text: &str| text.trim().parse::<u64>().ok().map(Duration::from_secs);
    match value {
        Value::Number(number) => number.as_u64().map(Duration::from_secs),
        Value::String(text) => digits(text).or_else(|| {
            let span: belay_api::Duration = serde_json::from_value(value.clone()).ok()?;
            Some(span.get())
        }),
        _ => None,
    }
}

/// A span as it is written.
pub(super) fn written(span: Duration) -> Value {
    let milliseconds = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let whole = Value::String(format!("{milliseconds}ms"));
    let read: Result<belay_api::Duration, _> = serde_json::from_value(whole);
    Value::String(read.unwrap_or_default().to_string())
}

/// A name that objects and gates may have: small letters, digits and dashes.
pub(super) fn name(text: &str) -> String {
    let mut name: String = text
        .to_ascii_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(63)
        .collect();
    while name.contains("--") {
        name = name.replace("--", "-");
    }
    let name = name.trim_matches('-');
    if name.is_empty() { "gate" } else { name }.to_owned()
}

/// A name that an argument may have: a letter, then letters, digits, `_` and `-`.
pub(super) fn argument(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '-' => c,
            _ => '_',
        })
        .take(63)
        .collect();
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name
    } else {
        format!("a{name}")
    }
}

/// A regular expression for whole values that begin with `text`.
pub(super) fn beginning(text: &str) -> String {
    format!("{}.*", literal(text))
}

/// A regular expression for whole values that end with `text`.
pub(super) fn ending(text: &str) -> String {
    format!(".*{}", literal(text))
}

fn literal(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// A weight as a percentage of `most`.
pub(super) fn percent(weight: i64, most: i64) -> Option<u8> {
    let scaled = weight.checked_mul(100)?.checked_div(most.max(1))?;
    u8::try_from(scaled).ok().filter(|percent| *percent <= 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_seconds_or_have_units() {
        for (given, expected) in [
            (Value::from(90), "1m30s"),
            (Value::from("90"), "1m30s"),
            (Value::from("1h"), "1h"),
            (Value::from("500ms"), "500ms"),
        ] {
            let span = span(&given).unwrap();
            assert_eq!(written(span), Value::from(expected), "{given}");
        }
        assert_eq!(span(&Value::from("soon")), None);
        assert_eq!(span(&Value::from(-1)), None);
    }

    #[test]
    fn names_fit_the_schema() {
        assert_eq!(name("Success Rate (5xx)"), "success-rate-5xx");
        assert_eq!(name("__"), "gate");
        assert_eq!(name(&"a".repeat(80)).len(), 63);
        assert_eq!(argument("service.name"), "service_name");
        assert_eq!(argument("5xx"), "a5xx");
    }

    #[test]
    fn a_prefix_means_just_its_letters() {
        assert_eq!(beginning("v1.2"), r"v1\.2.*");
        assert_eq!(ending("(b)"), r".*\(b\)");
    }

    #[test]
    fn weights_are_shares_of_the_most_there_is() {
        assert_eq!(percent(20, 100), Some(20));
        assert_eq!(percent(250, 1000), Some(25));
        assert_eq!(percent(101, 100), None);
        assert_eq!(percent(-1, 100), None);
    }
}
