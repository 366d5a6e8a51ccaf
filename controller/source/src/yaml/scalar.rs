//! What an untagged, unquoted YAML word means.
//!
//! Invariant: a value read here equals the value `kubectl apply` would send for the same text. kubectl reads YAML 1.1
//! (`yes` is true, `0644` is 420), most newer parsers read YAML 1.2 (`yes` is a string, `0644` is 644). A tool
//! that differs from kubectl changes file modes and flags behind its user's back. Where kubectl would lose information
//! (integers beyond 64 bits, infinities) the text is refused with the advice to quote it.

use serde_json::{Number, Value};

/// An explicit tag of YAML's core schema on a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ScalarTag {
    /// `!!str`
    Text,
    /// `!!bool`
    Boolean,
    /// `!!int`
    Integer,
    /// `!!float`
    Float,
    /// `!!null`
    Null,
}

/// The value of an unquoted scalar without a tag.
pub(super) fn plain(text: &str) -> Result<Value, String> {
    if let Some(word) = keyword(text) {
        return Ok(word);
    }
    let Some(first) = text.bytes().next() else {
        return Ok(Value::Null);
    };
    match first {
        b'.' if matches!(text.to_ascii_lowercase().as_str(), ".nan" | ".inf") => {
            Err(not_json(text))
        }
        b'.' => {
            // Here, unlike in other numbers, underscores count only between digits.
            let is_grouped = text.split('_').skip(1).all(starts_with_digit)
                && text.rsplit('_').skip(1).all(ends_with_digit);
            let float = if is_grouped {
                decimal_float(&text.replace('_', ""))
            } else {
                None
            };
            Ok(float.map_or_else(|| Value::from(text), from_float))
        }
        b'+' | b'-' | b'0'..=b'9' => number(text),
        _ => Ok(Value::from(text)),
    }
}

/// The value of a scalar with an explicit tag.
pub(super) fn tagged(text: &str, tag: ScalarTag) -> Result<Value, String> {
    if tag == ScalarTag::Text {
        return Ok(Value::from(text));
    }
    let value = plain(text)?;
    let fits = match tag {
        ScalarTag::Text => true,
        ScalarTag::Boolean => value.is_boolean(),
        ScalarTag::Integer => value.is_i64() || value.is_u64(),
        ScalarTag::Float => value.is_number(),
        ScalarTag::Null => value.is_null(),
    };
    if fits {
        Ok(value)
    } else {
        Err("the value does not fit its tag; correct the value or drop the tag".to_owned())
    }
}

/// The object key an unquoted scalar stands for.
///
/// kubectl rewrites some keys (`on:` becomes `"true":`, `0644:` becomes `"420":`). Such a key never means what its
/// author wrote, so it is refused rather than followed.
pub(super) fn plain_key(text: &str) -> Result<String, String> {
    let rewritten = match plain(text)? {
        Value::String(key) => return Ok(key),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => "null".to_owned(),
    };
    if rewritten == text && rewritten != "null" {
        Ok(rewritten)
    } else {
        Err(format!(
            "the unquoted key {text:?} is read as {rewritten} by YAML 1.1; put the key in quotes"
        ))
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn ends_with_digit(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

fn keyword(text: &str) -> Option<Value> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(Value::Bool(true))
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(Value::Bool(false))
        }
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        _ => None,
    }
}

fn number(text: &str) -> Result<Value, String> {
    if matches!(text.to_ascii_lowercase().as_str(), "+.inf" | "-.inf") {
        return Err(not_json(text));
    }
    let digits = text.replace('_', "");
    match integer(&digits) {
        Integer::Value(value) => Ok(Value::Number(value)),
        Integer::TooLarge => Err(
            "the integer needs more than 64 bits and would lose digits; put it in quotes"
                .to_owned(),
        ),
        Integer::NotOne => Ok(decimal_float(&digits).map_or_else(|| Value::from(text), from_float)),
    }
}

enum Integer {
    Value(Number),
    TooLarge,
    NotOne,
}

/// Reads an integer with Go's prefixes: `0x`, `0o`, `0b`, and a leading `0` for octal.
fn integer(digits: &str) -> Integer {
    let (negative, unsigned) = match digits.as_bytes().first() {
        Some(b'-') => (true, digits.get(1..).unwrap_or_default()),
        Some(b'+') => (false, digits.get(1..).unwrap_or_default()),
        _ => (false, digits),
    };
    let (radix, body) = radix_of(unsigned);
    if body.is_empty() || !body.chars().all(|c| c.is_digit(radix)) {
        return Integer::NotOne;
    }
    let Ok(magnitude) = u64::from_str_radix(body, radix) else {
        return Integer::TooLarge;
    };
    if !negative {
        return Integer::Value(magnitude.into());
    }
    0_i64
        .checked_sub_unsigned(magnitude)
        .map_or(Integer::TooLarge, |value| Integer::Value(value.into()))
}

fn radix_of(unsigned: &str) -> (u32, &str) {
    let lower = unsigned.as_bytes().get(..2).map(<[u8]>::to_ascii_lowercase);
    let radix = match lower.as_deref() {
        Some(b"0x") => 16,
        Some(b"0o") => 8,
        Some(b"0b") => 2,
        _ => match unsigned.strip_prefix('0') {
            Some(rest) if !rest.is_empty() => return (8, rest),
            _ => return (10, unsigned),
        },
    };
    (radix, unsigned.get(2..).unwrap_or_default())
}

/// A float in plain decimal notation, or nothing where the text isn't one (dates, versions, addresses).
fn decimal_float(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let mantissa = unsigned.split(['e', 'E']).next().unwrap_or_default();
    let is_number = mantissa.bytes().any(|b| b.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !is_number {
        return None;
    }
    text.parse::<f64>().ok().filter(|value| value.is_finite())
}

/// A float as JSON. Whole numbers become integers, as they do on kubectl's way through JSON.
pub(super) fn from_float(value: f64) -> Value {
    // The shortest digits that stand for the float, and zeros after them: never an exponent.
    let whole = if value.fract() == 0.0 {
        format!("{value}").parse::<i64>().ok()
    } else {
        None
    };
    match whole {
        Some(whole) => Value::from(whole),
        None => Number::from_f64(value).map_or(Value::Null, Value::Number),
    }
}

fn not_json(text: &str) -> String {
    format!(
        "{text} has no JSON form and no Kubernetes field takes it; put it in quotes if text is meant"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_mean_what_kubectl_takes_them_for() {
        let table = [
            ("yes", json!(true)),
            ("Off", json!(false)),
            ("y", json!(true)),
            ("~", Value::Null),
            ("", Value::Null),
            ("nO", json!("nO")),
            ("0644", json!(420)),
            ("0o644", json!(420)),
            ("0x1F", json!(31)),
            ("-0b101", json!(-5)),
            ("1_000", json!(1000)),
            ("0899", json!(899)),
            ("+7", json!(7)),
            ("9223372036854775808", json!(9_223_372_036_854_775_808_u64)),
            ("-9223372036854775808", json!(i64::MIN)),
            ("1.0", json!(1)),
            ("1.50", json!(1.5)),
            (".5", json!(0.5)),
            (".8_75", json!(0.875)),
            (".8_", json!(".8_")),
            ("9E18", json!(9_000_000_000_000_000_000_i64)),
            ("-0.0", json!(0)),
            ("0x10", json!(16)),
            ("1e3", json!(1000)),
            ("1234e56", json!(1234e56)),
            ("1e400", json!("1e400")),
            ("1.2.3", json!("1.2.3")),
            ("2024-01-01", json!("2024-01-01")),
            ("10.0.0.1", json!("10.0.0.1")),
            ("1h", json!("1h")),
            ("12:30:45", json!("12:30:45")),
            ("-", json!("-")),
            ("0x", json!("0x")),
            ("100m", json!("100m")),
            ("1e", json!("1e")),
        ];
        for (text, expected) in table {
            assert_eq!(plain(text).as_ref(), Ok(&expected), "{text:?}");
        }
    }

    #[test]
    fn what_would_lose_information_is_refused() {
        for text in [
            "18446744073709551616",
            "-9223372036854775809",
            ".nan",
            "-.inf",
            "+.Inf",
            ".INF",
        ] {
            assert!(plain(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn keys_that_would_be_rewritten_are_refused() {
        for text in ["on", "y", "0644", "1.0", "~", "null", "True", "1_0"] {
            assert!(plain_key(text).is_err(), "{text:?}");
        }
        for text in ["8080", "true", "name", "1.5", "app.kubernetes.io/name"] {
            assert_eq!(plain_key(text).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_tag_decides_and_must_fit() {
        assert_eq!(tagged("0644", ScalarTag::Text), Ok(json!("0644")));
        assert_eq!(tagged("5", ScalarTag::Float), Ok(json!(5)));
        assert!(tagged("abc", ScalarTag::Integer).is_err());
    }
}
