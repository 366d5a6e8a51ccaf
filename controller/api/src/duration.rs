//! A span of time as people write it in manifests: `90s`, `5m`, `1h30m`.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A span of time, never negative. Units: `ms`, `s`, `m`, `h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// The span for computing.
    pub const fn get(self) -> std::time::Duration {
        self.0
    }
}

impl Serialize for Duration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// As people write it, and as the schema's pattern wants it: `0s`, `90s` as `1m30s`, `1h`. Below a millisecond nothing is kept.
impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let parts = [
            (seconds / 3600, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (u64::from(self.0.subsec_millis()), "ms"),
        ];
        if parts.iter().all(|(count, _)| *count == 0) {
            return f.write_str("0s");
        }
        parts
            .iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let parsed = kube::core::duration::Duration::deserialize(deserializer)?;
        if parsed.is_negative() {
            return Err(serde::de::Error::custom(
                "a duration can't be negative; write for example 90s, 5m or 1h30m",
            ));
        }
        Ok(Self(parsed.into()))
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "maxLength": 32,
            "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        let span: Duration = serde_json::from_str("\"1h30m\"").unwrap();
        assert_eq!(span.get().as_secs(), 5400);
        let written = serde_json::to_string(&span).unwrap();
        assert_eq!(serde_json::from_str::<Duration>(&written).unwrap(), span);
    }

    #[test]
    fn what_is_written_keeps_to_the_schemas_pattern() {
        let written = |text: &str| {
            let span: Duration = serde_json::from_value(text.into()).unwrap();
            span.to_string()
        };
        assert_eq!(Duration::default().to_string(), "0s");
        assert_eq!(written("90s"), "1m30s");
        assert_eq!(written("1.5s"), "1s500ms");
        assert_eq!(written("25h"), "25h");
    }

    #[test]
    fn a_negative_span_is_refused_with_advice() {
        let error = serde_json::from_str::<Duration>("\"-5m\"").unwrap_err();
        assert!(error.to_string().contains("write for example"));
    }
}
