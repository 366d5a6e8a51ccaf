//! What Prometheus answers, as values.

use std::collections::BTreeMap;

use belay_engine::analysis::{latency::Observed, threshold::Answer};
use jiff::Timestamp;
use serde::{Deserialize, Deserializer};

/// The data of an answer.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
pub enum Data {
    /// One number without labels.
    Scalar(Sample),
    /// Series with their present values.
    Vector(Vec<Series>),
    /// Series with their values over time.
    Matrix(Vec<RangeSeries>),
    /// A text; it is not read.
    String(serde::de::IgnoredAny),
}

/// A time in seconds, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Sample(pub f64, #[serde(deserialize_with = "number")] pub f64);

/// One series of a vector.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Series {
    /// Its labels.
    #[serde(default)]
    pub metric: BTreeMap<String, String>,
    /// Its number; absent for a native histogram.
    pub value: Option<Sample>,
    /// Its native histogram.
    pub histogram: Option<HistogramSample>,
}

/// One series of a matrix.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct RangeSeries {
    /// Its labels.
    #[serde(default)]
    pub metric: BTreeMap<String, String>,
    /// Its numbers in order of time.
    #[serde(default)]
    pub values: Vec<Sample>,
    /// Its native histograms in order of time.
    #[serde(default)]
    pub histograms: Vec<HistogramSample>,
}

/// A time in seconds, and a native histogram.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct HistogramSample(pub f64, pub NativeHistogram);

/// A native histogram.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct NativeHistogram {
    /// Observations.
    #[serde(deserialize_with = "number")]
    pub count: f64,
    /// Its buckets that are not empty, in rising order.
    #[serde(default)]
    pub buckets: Vec<Bucket>,
}

/// Which ends belong to the bucket, its lower and its upper end, and its observations.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub struct Bucket(
    pub u8,
    #[serde(deserialize_with = "number")] pub f64,
    #[serde(deserialize_with = "number")] pub f64,
    #[serde(deserialize_with = "number")] pub f64,
);

impl From<&NativeHistogram> for Observed {
    fn from(histogram: &NativeHistogram) -> Self {
        let buckets = histogram.buckets.iter();
        Self {
            count: histogram.count,
            buckets: buckets
                .map(|Bucket(_, lower, upper, count)| (*lower, *upper, *count))
                .collect(),
        }
    }
}

impl Data {
    /// The vectors of a matrix by their times, in order.
    pub fn vectors(self) -> Vec<(Timestamp, Self)> {
        let Self::Matrix(series) = self else {
            return Vec::new();
        };
        let mut by_time: BTreeMap<Timestamp, Vec<Series>> = BTreeMap::new();
        let mut add = |at: f64, series: Series| {
            if let Some(at) = time(at) {
                by_time.entry(at).or_default().push(series);
            }
        };
        for RangeSeries {
            metric,
            values,
            histograms,
        } in series
        {
            for value in values {
                add(
                    value.0,
                    Series {
                        metric: metric.clone(),
                        value: Some(value),
                        histogram: None,
                    },
                );
            }
            for histogram in histograms {
                add(
                    histogram.0,
                    Series {
                        metric: metric.clone(),
                        value: None,
                        histogram: Some(histogram),
                    },
                );
            }
        }
        let vectors = by_time.into_iter();
        vectors
            .map(|(at, series)| (at, Self::Vector(series)))
            .collect()
    }

    /// Whether it is a vector without any series.
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Vector(series) if series.is_empty())
    }

    /// As a gate with a threshold takes it: numbers without labels. A native histogram has no single number.
    pub fn numbers(&self) -> Answer {
        match self {
            Self::Scalar(Sample(_, number)) => Answer::Scalar(*number),
            Self::Vector(series) => Answer::Vector(
                series
                    .iter()
                    .map(|series| series.value.map_or(f64::NAN, |Sample(_, number)| number))
                    .collect(),
            ),
            Self::Matrix(_) => Answer::Matrix,
            Self::String(_) => Answer::Text,
        }
    }
}

/// The time that a number of seconds stands for; Prometheus keeps whole milliseconds.
pub fn time(seconds: f64) -> Option<Timestamp> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a number out of range becomes the nearest one, which is then no time"
    )]
    let milliseconds = (seconds * 1000.0).round() as i64;
    Timestamp::from_millisecond(milliseconds).ok()
}

/// A number as Prometheus writes it: as text, so that infinities fit.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}
