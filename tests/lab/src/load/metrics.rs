//! The metrics that pods of a usual web service would expose, with the labels a cluster's scrape adds.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::native;

/// Upper bounds in seconds.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct PodLabels {
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) service: String,
    pub(super) version: String,
}

impl PodLabels {
    /// Names and values.
    pub(super) fn pairs(&self) -> [(&'static str, &str); 4] {
        [
            ("namespace", &self.namespace),
            ("pod", &self.pod),
            ("service", &self.service),
            ("version", &self.version),
        ]
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    namespace: String,
    pod: String,
    service: String,
    version: String,
    code: &'static str,
}

#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<PodLabels, Histogram>,
    native_durations: native::Family,
}

/// One pod's series.
#[derive(Debug)]
pub(super) struct PodSeries {
    succeeded: Counter,
    failed: Counter,
    durations: Histogram,
    native_durations: native::Series,
}

impl Default for Metrics {
    fn default() -> Self {
        let (requests, mut registry) = (Family::default(), Registry::default());
        let durations = Family::new_with_constructor(histogram as fn() -> Histogram);
        registry.register(
            "http_requests",
            "Requests that were answered",
            requests.clone(),
        );
        registry.register_with_unit(
            "http_request_duration",
            "Time until the answer",
            Unit::Seconds,
            durations.clone(),
        );
        Self {
            registry,
            requests,
            durations,
            native_durations: native::Family::default(),
        }
    }
}

fn histogram() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Metrics {
    /// A pod's series. Both codes exist from the start, as good clients do it: a first error is a rise, not a new series.
    pub(super) fn add(&self, pod: &PodLabels) -> PodSeries {
        PodSeries {
            succeeded: self
                .requests
                .get_or_create_owned(&request_labels(pod, "200")),
            failed: self
                .requests
                .get_or_create_owned(&request_labels(pod, "500")),
            durations: self.durations.get_or_create_owned(pod),
            native_durations: self.native_durations.add(pod),
        }
    }

    pub(super) fn remove(&self, pod: &PodLabels) {
        for code in ["200", "500"] {
            self.requests.remove(&request_labels(pod, code));
        }
        self.durations.remove(pod);
        self.native_durations.remove(pod);
    }

    /// Latencies as native histograms, in the protobuf format.
    pub(super) fn native(&self) -> Vec<u8> {
        self.native_durations.page()
    }

    /// All series in the text format.
    pub(super) fn text(&self) -> String {
        let mut page = String::new();
        // Writing into a string does not fail.
        let _ = text::encode(&mut page, &self.registry);
        page
    }
}

impl PodSeries {
    pub(super) fn count(&self, succeeded: bool, latency: Duration) {
        let counter = if succeeded {
            &self.succeeded
        } else {
            &self.failed
        };
        counter.inc();
        self.durations.observe(latency.as_secs_f64());
        self.native_durations.observe(latency);
    }
}

fn request_labels(pod: &PodLabels, code: &'static str) -> RequestLabels {
    let PodLabels {
        namespace,
        pod,
        service,
        version,
    } = pod.clone();
    RequestLabels {
        namespace,
        pod,
        service,
        version,
        code,
    }
}
