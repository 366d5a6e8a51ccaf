//! Counters and histograms in OpenMetrics, served at `/metrics`.
//!
//! Invariant: labels are bounded. Labels of objects belong only to gauges that are read from the stores when they are asked
//! for, and so vanish with their object.

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{
        counter::Counter,
        family::{Family, MetricConstructor},
        gauge::Gauge,
        histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};

use crate::{
    prometheus::metrics::PrometheusMetrics, release::metrics::ReleaseMetrics,
    rollout::metrics::RolloutMetrics,
};

/// Label: which controller.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ControllerLabel {
    /// `rollout` or `release`.
    pub controller: &'static str,
}

/// Labels: which controller, and what went wrong.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ErrorLabels {
    /// `rollout` or `release`.
    pub controller: &'static str,
    /// One word, see [`crate::Error::reason`].
    pub reason: &'static str,
}

/// Labels of one kind of request to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct RequestLabels {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: &'static str,
    /// Resource, with the subresource after a slash.
    pub resource: String,
    /// HTTP status, or `error` when there was no answer.
    pub code: String,
}

/// Label: which resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ResourceLabel {
    /// Plural name.
    pub resource: &'static str,
}

/// Label: one word.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReasonLabel {
    /// The word.
    pub reason: String,
}

/// Label: what became of a webhook.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct HookLabel {
    /// `accepted`, `refused` or `failed`.
    pub outcome: &'static str,
}

/// Makes histograms of short times, from a tenth of a millisecond to ten seconds.
#[derive(Clone, Copy, Debug)]
pub struct ShortTimes;

impl MetricConstructor<Histogram> for ShortTimes {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            0.0001, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
        ])
    }
}

/// Makes histograms of the times of rollouts and releases, from a second to a day.
#[derive(Clone, Copy, Debug)]
pub struct LongTimes;

impl MetricConstructor<Histogram> for LongTimes {
    fn new_metric(&self) -> Histogram {
        Histogram::new([
            1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0,
        ])
    }
}

/// All metrics that are counted as things happen. Cheap to clone families; the struct itself is shared by `Arc`.
pub struct Metrics {
    registry: Mutex<Registry>,
    /// Time of one reconciliation, with all of its requests.
    pub reconcile_seconds: Family<ControllerLabel, Histogram, ShortTimes>,
    /// Reconciliations that failed and are repeated.
    pub reconcile_errors: Family<ErrorLabels, Counter>,
    /// Objects that wait to be reconciled because something they depend on changed.
    pub queue_depth: Family<ControllerLabel, Gauge>,
    /// Requests to the API server.
    pub api_requests: Family<RequestLabels, Counter>,
    /// Watches that had to be started again after an error.
    pub watch_errors: Family<ResourceLabel, Counter>,
    /// Whether this process holds the lease.
    pub lease_held: Gauge,
    /// Events that were dropped because the API server did not take them fast enough.
    pub events_dropped: Counter,
    /// Webhooks of Git servers.
    pub hooks: Family<HookLabel, Counter>,
    /// Questions to Prometheus servers.
    pub prometheus: PrometheusMetrics,
    /// Metrics of Rollouts.
    pub rollouts: RolloutMetrics,
    /// Metrics of Releases.
    pub releases: ReleaseMetrics,
}

impl Metrics {
    /// All families, registered.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("belay")),
            reconcile_seconds: Family::new_with_constructor(ShortTimes),
            reconcile_errors: Family::default(),
            queue_depth: Family::default(),
            api_requests: Family::default(),
            watch_errors: Family::default(),
            lease_held: Gauge::default(),
            events_dropped: Counter::default(),
            hooks: Family::default(),
            prometheus: PrometheusMetrics::new(),
            rollouts: RolloutMetrics::new(),
            releases: ReleaseMetrics::new(),
        };
        metrics.register_all();
        metrics
    }

    fn register_all(&self) {
        self.register(|r| {
            let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
            r.register("build", "Version of the controller", build);
            r.register(
                "reconcile_seconds",
                "Time of one reconciliation",
                self.reconcile_seconds.clone(),
            );
            r.register(
                "reconcile_errors",
                "Reconciliations that failed and are repeated",
                self.reconcile_errors.clone(),
            );
            r.register(
                "queue_depth",
                "Objects that wait to be reconciled",
                self.queue_depth.clone(),
            );
            r.register(
                "api_requests",
                "Requests to the Kubernetes API",
                self.api_requests.clone(),
            );
            r.register(
                "watch_errors",
                "Watches that had to be started again after an error",
                self.watch_errors.clone(),
            );
            r.register(
                "lease_held",
                "1 while this process holds the lease and acts",
                self.lease_held.clone(),
            );
            r.register(
                "events_dropped",
                "Kubernetes events that were not written in time",
                self.events_dropped.clone(),
            );
            r.register(
                "webhooks",
                "Webhooks of Git servers, by what became of them",
                self.hooks.clone(),
            );
            self.prometheus.register(r);
            self.rollouts.register(r);
            self.releases.register(r);
        });
    }

    /// Adds families. Names get the prefix `belay_`.
    fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Everything as OpenMetrics text.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_openmetrics_with_our_prefix() {
        let metrics = Metrics::new();
        metrics.lease_held.set(1);
        let text = metrics.text().unwrap();
        assert!(text.contains("belay_lease_held 1"), "{text}");
        assert!(text.contains("belay_build_info{version="), "{text}");
        assert!(text.ends_with("# EOF\n"), "{text}");
    }
}
