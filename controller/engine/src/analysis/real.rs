//! A number that can be kept in status: always finite, comparable and hashable.
//!
//! Invariant: a `Real` is finite and never a negative zero; the text in which the API server keeps it reads back as the very same
//! number. Small ones have eight decimals at most, so that the text is short.

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Steps between two whole numbers.
const STEPS: f64 = 1e8;

/// Beyond this, eight decimals do not fit a double's 53 bits.
const LARGEST: f64 = 9e7;

/// A finite number, rounded to eight decimals up to 90 million, and to a double's precision above.
#[derive(Clone, Copy, Default)]
pub struct Real(f64);

impl Real {
    /// Zero.
    pub const ZERO: Self = Self(0.0);

    /// Rounds `number`; what is no number counts as zero, and infinity as the largest finite number.
    pub fn new(number: f64) -> Self {
        if number.is_nan() {
            return Self::ZERO;
        }
        let finite = number.clamp(f64::MIN, f64::MAX);
        let rounded = if finite.abs() < LARGEST {
            (finite * STEPS).round() / STEPS
        } else {
            finite
        };
        // Adding zero turns a negative zero into a positive one.
        Self(rounded + 0.0)
    }

    /// A whole number.
    pub const fn whole(number: u32) -> Self {
        // Not `f64::from`, which is not const; every `u32` is a double.
        Self(number as f64)
    }

    /// The number.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl From<f64> for Real {
    fn from(number: f64) -> Self {
        Self::new(number)
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.0.to_bits() == other.0.to_bits()
    }
}

impl Eq for Real {}

impl std::hash::Hash for Real {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl fmt::Debug for Real {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Real {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0)
    }
}

impl<'de> Deserialize<'de> for Real {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::new)
    }
}

impl JsonSchema for Real {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        f64::schema_name()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        f64::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_made_one() {
        assert_eq!(Real::new(f64::NAN), Real::ZERO);
        assert_eq!(Real::new(-0.0), Real::ZERO);
        assert_eq!(Real::new(f64::INFINITY), Real::new(f64::MAX));
        assert_eq!(Real::new(f64::NEG_INFINITY), Real::new(f64::MIN));
    }

    #[test]
    fn a_number_reads_back_from_its_text_as_itself() {
        for number in [
            0.1 + 0.2,
            -1.0 / 3.0,
            123_456.789_012_345_6,
            8.9e7 / 7.0,
            1e-9,
        ] {
            let real = Real::new(number);
            let text = serde_json::to_string(&real).unwrap();
            assert_eq!(serde_json::from_str::<Real>(&text).unwrap(), real, "{text}");
        }
    }
}
