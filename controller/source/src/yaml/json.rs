//! JSON files, with duplicate keys and oversized integers refused as in YAML files.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::{Document, Limits, Problem, scalar};

pub(super) fn parse(text: &str, limits: &Limits) -> Result<Vec<Document>, Problem> {
    let mut documents = Vec::new();
    let stream = serde_json::Deserializer::from_str(text).into_iter::<Exact>();
    for next in stream {
        let number = documents.len() + 1;
        let Exact(value) = next.map_err(|error| describe(number, &error))?;
        if number > limits.documents {
            let text = format!(
                "more than {} documents in one file; split the file",
                limits.documents
            );
            return Err(Problem::new(number, 1, text));
        }
        documents.push(Document::new(number, value));
    }
    Ok(documents)
}

fn describe(document: usize, error: &serde_json::Error) -> Problem {
    // Syntax errors may carry nothing of the file but its position; our own texts are written below.
    let text = match error.classify() {
        serde_json::error::Category::Data => error.to_string(),
        _ => "not valid JSON".to_owned(),
    };
    Problem::new(document, error.line(), text)
}

/// A value read with nothing lost.
struct Exact(Value);

impl<'de> de::Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ExactSeed.deserialize(deserializer).map(Exact)
    }
}

struct ExactSeed;

impl<'de> DeserializeSeed<'de> for ExactSeed {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ExactSeed {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        // Beyond 64 bits, integers arrive here with their last digits lost.
        const SMALLEST: f64 = -9_223_372_036_854_775_808.0;
        const LARGEST: f64 = 18_446_744_073_709_551_616.0;
        if value <= SMALLEST || value >= LARGEST {
            return Err(E::custom(
                "a number too large to keep every digit; write it as text",
            ));
        }
        Ok(scalar::from_float(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(ExactSeed)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(ExactSeed)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(de::Error::custom(format!(
                    "the key {key:?} appears twice in one object; remove one"
                )));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn several_documents_and_escapes_are_read() {
        let documents = parse(
            "{\"a\": \"\\ud83d\\ude00 \\/\"}\n\t{\"b\": 1.0}",
            &Limits::default(),
        )
        .unwrap();
        assert_eq!(documents[0].value, json!({"a": "\u{1f600} /"}));
        assert_eq!(
            (documents[1].number, &documents[1].value),
            (2, &json!({"b": 1}))
        );
    }

    #[test]
    fn duplicate_keys_large_numbers_and_depth_are_refused_without_values() {
        let duplicate =
            parse("{\"a\": \"hush\",\n\"a\": \"hush\"}", &Limits::default()).unwrap_err();
        assert!(
            duplicate.line == 2 && !duplicate.text.contains("hush"),
            "{duplicate:?}"
        );
        assert!(parse("{\"a\": 18446744073709551616}", &Limits::default()).is_err());
        assert!(parse(&"[".repeat(100_000), &Limits::default()).is_err());
    }
}
