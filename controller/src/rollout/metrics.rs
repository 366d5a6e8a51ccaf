//! Metrics of Rollouts. What a Rollout is like now is read from the store at each scrape, and vanishes with the Rollout.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use belay_api::Rollout;
use belay_engine::{
    gate::Result as GateResult,
    rollout::{RolloutStatus, status::Phase},
};
use jiff::Timestamp;
use kube::{ResourceExt as _, runtime::reflector::Store};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType, counter::Counter, family::Family, gauge::ConstGauge, histogram::Histogram,
        info::Info,
    },
    registry::Registry,
};

use crate::telemetry::metrics::{LongTimes, ReasonLabel};

/// Every phase, for gauges that are 1 in one of them.
const PHASES: [Phase; 8] = [
    Phase::Pending,
    Phase::Healthy,
    Phase::Progressing,
    Phase::Promoting,
    Phase::Baking,
    Phase::RollingBack,
    Phase::Rejected,
    Phase::Terminating,
];

/// Label: what a measurement said.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// Label: how a rollout ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// Counts measurements.
#[derive(Clone, Debug, Default)]
pub struct Readings(Family<ResultLabel, Counter>);

impl Readings {
    /// Counts one.
    pub fn count(&self, result: &GateResult) {
        let result = match result {
            GateResult::Pass { .. } => "pass",
            GateResult::Fail { .. } => "fail",
            GateResult::Continue { .. } | GateResult::Frozen { .. } => "continue",
            GateResult::Counted(_) => "counted",
            GateResult::Unchanged => "unchanged",
            GateResult::NoBaseline => "no_baseline",
            GateResult::NoData { .. } => "no_data",
            GateResult::Error { .. } => "error",
        };
        self.0.get_or_create(&ResultLabel { result }).inc();
    }
}

/// What is counted as it happens.
#[derive(Clone, Debug)]
pub struct RolloutMetrics {
    /// Measurements.
    pub readings: Readings,
    rollbacks: Family<ReasonLabel, Counter>,
    duration: Family<OutcomeLabel, Histogram, LongTimes>,
    present: Present,
}

impl RolloutMetrics {
    /// Families that count, not registered yet.
    pub fn new() -> Self {
        Self {
            readings: Readings::default(),
            rollbacks: Family::default(),
            duration: Family::new_with_constructor(LongTimes),
            present: Present::default(),
        }
    }

    /// Registers everything; once in a process.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "gate_readings",
            "Measurements by what they said",
            self.readings.0.clone(),
        );
        registry.register(
            "rollout_rollbacks",
            "Rollbacks by reason",
            self.rollbacks.clone(),
        );
        registry.register(
            "rollout_duration_seconds",
            "Time from the start of a canary to its end",
            self.duration.clone(),
        );
        registry.register_collector(Box::new(self.present.clone()));
    }

    /// From now on the gauges are about the Rollouts in `store`; about none without one.
    pub fn show(&self, store: Option<Store<Rollout>>) {
        *self
            .present
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = store;
    }

    /// Counts what changed from one status to the next.
    pub fn count(&self, before: &RolloutStatus, after: &RolloutStatus, now: Timestamp) {
        if let Some(rollback) = &after.rollback
            && before.rollback.as_ref().map(|r| r.at) != Some(rollback.at)
        {
            let reason = format!("{:?}", rollback.reason);
            self.rollbacks.get_or_create(&ReasonLabel { reason }).inc();
        }
        let ended = match (&before.candidate, &after.candidate) {
            (Some(old), Some(new)) if old.started_at == new.started_at => None,
            (old, _) => old.as_ref(),
        };
        if let Some(candidate) = ended {
            let promoted = after
                .stable
                .as_ref()
                .is_some_and(|stable| stable.digest == candidate.version.digest);
            let outcome = if promoted { "promoted" } else { "rolled_back" };
            let seconds = now.duration_since(candidate.started_at).as_secs_f64();
            self.duration
                .get_or_create(&OutcomeLabel { outcome })
                .observe(seconds);
        }
    }
}

impl Default for RolloutMetrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The Rollouts as they are now.
#[derive(Clone, Default)]
struct Present(Arc<RwLock<Option<Store<Rollout>>>>);

impl fmt::Debug for Present {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Present")
    }
}

type Labels<'a> = Vec<(&'static str, String)>;

impl Collector for Present {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let store = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let Some(rollouts) = store.as_ref().map(Store::state) else {
            return Ok(());
        };
        info(&rollouts, &mut encoder)?;
        phases(&rollouts, &mut encoder)?;
        gauges(
            &rollouts,
            &mut encoder,
            "rollout_step",
            "Present step, from one; 0 when there is none",
            |status| {
                status
                    .step
                    .as_ref()
                    .map_or(0, |step| i64::from(step.index) + 1)
            },
        )?;
        gauges(
            &rollouts,
            &mut encoder,
            "rollout_weight_percent",
            "Share of the candidate in percent",
            |status| i64::from(status.weight_percent.unwrap_or(0)),
        )
    }
}

fn info(rollouts: &[Arc<Rollout>], encoder: &mut DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
    let mut family =
        encoder.encode_descriptor("rollout", "Versions of a Rollout", None, MetricType::Info)?;
    for rollout in rollouts {
        let status = rollout.status.clone().unwrap_or_default();
        let stable = status.stable.map(|version| version.version);
        let candidate = status.candidate.map(|candidate| candidate.version.version);
        let versions = vec![
            ("stable", stable.unwrap_or_default()),
            ("candidate", candidate.unwrap_or_default()),
        ];
        Info::new(versions).encode(family.encode_family(&identity(rollout))?)?;
    }
    Ok(())
}

fn phases(
    rollouts: &[Arc<Rollout>],
    encoder: &mut DescriptorEncoder<'_>,
) -> Result<(), fmt::Error> {
    let help = "1 for the phase that a Rollout is in";
    let mut family = encoder.encode_descriptor("rollout_phase", help, None, MetricType::Gauge)?;
    for rollout in rollouts {
        let present = rollout.status.as_ref().map(|s| s.phase).unwrap_or_default();
        for phase in PHASES {
            let mut labels = identity(rollout);
            labels.push(("phase", format!("{phase:?}")));
            ConstGauge::new(i64::from(phase == present)).encode(family.encode_family(&labels)?)?;
        }
    }
    Ok(())
}

fn gauges(
    rollouts: &[Arc<Rollout>],
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: impl Fn(&RolloutStatus) -> i64,
) -> Result<(), fmt::Error> {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for rollout in rollouts {
        let value = rollout.status.as_ref().map_or(0, &value);
        ConstGauge::new(value).encode(family.encode_family(&identity(rollout))?)?;
    }
    Ok(())
}

fn identity(rollout: &Rollout) -> Labels<'static> {
    vec![
        ("namespace", rollout.namespace().unwrap_or_default()),
        ("name", rollout.name_any()),
    ]
}
