//! Native histograms of pods, in Prometheus's protobuf format: the only one in which it takes them.
//!
//! Invariant: each latency is in exactly one bucket of width 2^(1/8), so that both kinds of histogram count the same requests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prost::encoding;

use super::metrics::PodLabels;

/// Name of the metric, the same as that of the classic histogram without its suffix.
const NAME: &str = "http_request_duration_seconds";
/// What a server says the page is.
pub(super) const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";
/// Buckets between two powers of two, as a power of two: eight.
const SCHEMA: i32 = 3;
/// What is not above this is zero: the value that client libraries take.
const ZERO_THRESHOLD: f64 = f64::from_bits((1023 - 128) << 52);
/// The number of `HISTOGRAM` among the types of metrics.
const HISTOGRAM: i32 = 4;

/// The histograms of all pods.
#[derive(Debug, Default)]
pub(super) struct Family(Mutex<HashMap<PodLabels, Series>>);

/// The histogram of one pod.
#[derive(Clone, Debug, Default)]
pub(super) struct Series(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    count: u64,
    sum: f64,
    /// By the index of the bucket, whose upper bound is 2^(index / 8).
    buckets: BTreeMap<i32, u64>,
}

impl Family {
    pub(super) fn add(&self, pod: &PodLabels) -> Series {
        lock(&self.0).entry(pod.clone()).or_default().clone()
    }

    pub(super) fn remove(&self, pod: &PodLabels) {
        lock(&self.0).remove(pod);
    }

    /// All of them as one page.
    pub(super) fn page(&self) -> Vec<u8> {
        let mut family = Vec::new();
        encoding::string::encode(1, &NAME.to_owned(), &mut family);
        encoding::int32::encode(3, &HISTOGRAM, &mut family);
        for (pod, series) in &*lock(&self.0) {
            let mut metric = Vec::new();
            for (name, value) in pod.pairs() {
                encoding::bytes::encode(1, &label(name, value), &mut metric);
            }
            encoding::bytes::encode(7, &lock(&series.0).encoded(), &mut metric);
            encoding::bytes::encode(4, &metric, &mut family);
        }
        let mut page = Vec::new();
        encoding::encode_varint(family.len() as u64, &mut page);
        page.extend(family);
        page
    }
}

impl Series {
    pub(super) fn observe(&self, latency: Duration) {
        let seconds = latency.as_secs_f64();
        let mut counts = lock(&self.0);
        counts.count += 1;
        counts.sum += seconds;
        *counts.buckets.entry(index(seconds)).or_default() += 1;
    }
}

impl Counts {
    fn encoded(&self) -> Vec<u8> {
        let mut out = Vec::new();
        encoding::uint64::encode(1, &self.count, &mut out);
        encoding::double::encode(2, &self.sum, &mut out);
        encoding::sint32::encode(5, &SCHEMA, &mut out);
        encoding::double::encode(6, &ZERO_THRESHOLD, &mut out);
        for (offset, length) in self.spans() {
            let mut span = Vec::new();
            encoding::sint32::encode(1, &offset, &mut span);
            encoding::uint32::encode(2, &length, &mut span);
            encoding::bytes::encode(12, &span, &mut out);
        }
        encoding::sint64::encode_packed(13, &self.deltas(), &mut out);
        out
    }

    /// Runs of neighbouring buckets: how far each begins behind the last one's end, and how many they are.
    fn spans(&self) -> Vec<(i32, u32)> {
        let mut spans: Vec<(i32, u32)> = Vec::new();
        let mut next = 0;
        for index in self.buckets.keys() {
            match spans.last_mut() {
                Some((_, length)) if *index == next => *length += 1,
                _ => spans.push((index - next, 1)),
            }
            next = index + 1;
        }
        spans
    }

    /// What each bucket has more than the one before.
    fn deltas(&self) -> Vec<i64> {
        let mut before = 0;
        let counts = self.buckets.values().copied().map(u64::cast_signed);
        counts
            .map(|count| count - std::mem::replace(&mut before, count))
            .collect()
    }
}

/// The bucket of a latency.
fn index(seconds: f64) -> i32 {
    let steps = f64::from(1 << SCHEMA);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the logarithm of a duration is a small number"
    )]
    let index = (seconds.max(f64::MIN_POSITIVE).log2() * steps).ceil() as i32;
    index
}

fn label(name: &str, value: &str) -> Vec<u8> {
    let mut pair = Vec::new();
    encoding::string::encode(1, &name.to_owned(), &mut pair);
    encoding::string::encode(2, &value.to_owned(), &mut pair);
    pair
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latencies_are_in_the_bucket_whose_bounds_hold_them() {
        for (seconds, upper) in [(1.0, 0), (1.05, 1), (0.5, -8), (0.95, 0), (2.0, 8)] {
            assert_eq!(index(seconds), upper, "for {seconds}");
        }
    }

    #[test]
    fn buckets_are_written_as_runs_and_differences() {
        let series = Series::default();
        for milliseconds in [1000, 1000, 1050, 4000] {
            series.observe(Duration::from_millis(milliseconds));
        }
        let counts = lock(&series.0);
        // Given buckets 0 (twice), 1 and 16.
        assert_eq!(counts.spans(), [(0, 2), (14, 1)]);
        assert_eq!(counts.deltas(), [2, -1, 0]);
        assert_eq!(counts.count, 4);
    }
}
