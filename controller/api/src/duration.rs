//! A span of time as people write it in manifests: `90s`, `5m`, `1h30m`.

use std::borrow::Cow;

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
        kube::core::duration::Duration::from(self.0).serialize(serializer)
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
    fn a_negative_span_is_refused_with_advice() {
        let error = serde_json::from_str::<Duration>("\"-5m\"").unwrap_err();
        assert!(error.to_string().contains("write for example"));
    }
}
