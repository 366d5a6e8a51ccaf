//! Metrics of Releases. What a Release is like now is read from the store at each scrape, and vanishes with the Release.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use belay_api::Release;
use belay_engine::release::{Phase, ReleaseStatus};
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::reflector::Store};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{
        MetricType, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};

use crate::telemetry::metrics::{LongTimes, ReasonLabel};

/// Every phase, for gauges that are 1 in one of them.
const PHASES: [Phase; 11] = [
    Phase::Pending,
    Phase::Waiting,
    Phase::Rehearsing,
    Phase::Applying,
    Phase::Verifying,
    Phase::Verified,
    Phase::RollingBack,
    Phase::Rejected,
    Phase::Refused,
    Phase::Failed,
    Phase::Terminating,
];

/// What is counted as it happens.
#[derive(Clone, Debug)]
pub struct ReleaseMetrics {
    rollbacks: Family<ReasonLabel, Counter>,
    verified_seconds: Histogram,
    corrections: Counter,
    present: Present,
}

impl ReleaseMetrics {
    /// Families that count, not registered yet.
    pub fn new() -> Self {
        use prometheus_client::metrics::family::MetricConstructor as _;
        Self {
            rollbacks: Family::default(),
            verified_seconds: LongTimes.new_metric(),
            corrections: Counter::default(),
            present: Present::default(),
        }
    }

    /// Registers everything; once in a process.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "release_rollbacks",
            "Releases that failed, by reason",
            self.rollbacks.clone(),
        );
        registry.register(
            "release_verification_seconds",
            "Time from the start of an attempt to its verification",
            self.verified_seconds.clone(),
        );
        registry.register(
            "release_drift_corrections",
            "Objects that were applied again because somebody changed them",
            self.corrections.clone(),
        );
        registry.register_collector(Box::new(self.present.clone()));
    }

    /// An object was put right.
    pub fn corrected(&self) {
        self.corrections.inc();
    }

    /// From now on the gauges are about the Releases in `store`; about none without one.
    pub fn show(&self, store: Option<Store<Release>>) {
        *self
            .present
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = store;
    }

    /// Counts what changed from one status to the next.
    pub fn count(&self, before: &ReleaseStatus, after: &ReleaseStatus, now: Timestamp) {
        if let Some(rollback) = &after.rollback
            && before.rollback.as_ref().map(|known| known.at) != Some(rollback.at)
        {
            let reason = format!("{:?}", rollback.reason);
            self.rollbacks.get_or_create(&ReasonLabel { reason }).inc();
        }
        let verified_at = |status: &ReleaseStatus| status.verified.as_ref().map(|v| v.at);
        if after.phase == Phase::Verified
            && before.phase == Phase::Verifying
            && verified_at(before) != verified_at(after)
            && let Some(target) = &after.target
        {
            let seconds = now.duration_since(target.started_at).as_secs_f64();
            self.verified_seconds.observe(seconds.max(0.0));
        }
    }
}

impl Default for ReleaseMetrics {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Default)]
struct Present(Arc<RwLock<Option<Store<Release>>>>);

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Present").finish_non_exhaustive()
    }
}

impl Collector for Present {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Some(store) = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
        else {
            return Ok(());
        };
        let releases = store.state();
        self::phases(&mut encoder, &releases)?;
        self::infos(&mut encoder, &releases)
    }
}

fn phases(encoder: &mut DescriptorEncoder<'_>, releases: &[Arc<Release>]) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "release_phase",
        "1 for the phase that the Release is in",
        None,
        MetricType::Gauge,
    )?;
    for release in releases {
        let present = release.status.as_ref().map_or(Phase::Pending, |s| s.phase);
        for phase in PHASES {
            let labels = [
                ("namespace", release.namespace().unwrap_or_default()),
                ("name", release.name_any()),
                ("phase", format!("{phase:?}")),
            ];
            let gauge = ConstGauge::new(i64::from(phase == present));
            gauge.encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn infos(encoder: &mut DescriptorEncoder<'_>, releases: &[Arc<Release>]) -> fmt::Result {
    let mut family = encoder.encode_descriptor(
        "release",
        "Revisions of the Release: what the source asks for, and what is verified",
        None,
        MetricType::Info,
    )?;
    for release in releases {
        let empty = ReleaseStatus::default();
        let status = release.status.as_ref().unwrap_or(&empty);
        let revision = status.asked.as_ref().map(|asked| asked.revision.clone());
        let verified = status.verified.as_ref().map(|v| v.content.revision.clone());
        let labels = [
            ("namespace", release.namespace().unwrap_or_default()),
            ("name", release.name_any()),
        ];
        let info = Info::new([
            ("revision", revision.unwrap_or_default()),
            ("verified", verified.unwrap_or_default()),
        ]);
        info.encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
