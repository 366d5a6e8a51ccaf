//! The evidence of one gate that compares the canary with the stable pods: as small as its number of series, whatever the
//! number of pods, and kept in status.
//!
//! Invariant: evidence belongs to one candidate and is never reset between its steps, so that `α` holds for the whole rollout
//! however often it is looked at. Each tick counts once: one that begins before [`Evidence::counted_through`] is dropped.

mod policy;
mod series;
mod words;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Count, Real,
    dispersion::Spread,
    ledger::{PodCount, Tick},
    mixture,
};

pub use policy::{Direction, Dispersion, OnInconclusive, Policy};
pub use series::SeriesEvidence;

/// Series of one gate that are kept; more bounds of a histogram add little.
pub const MAX_SERIES: usize = 20;

/// Canary pods whose bad events are told apart.
const NAMED_PODS: usize = 3;

/// What was counted for one candidate, and what it says.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evidence {
    /// When counting began.
    pub since: Timestamp,
    /// Time of the last counted look at the counters. After a restart the ledger's baseline is taken there.
    pub counted_through: Timestamp,
    /// Canary's events since then, of the worst series.
    pub canary: Count,
    /// Stable pods' events in the same ticks, of the worst series.
    pub stable: Count,
    /// Canary's rate of bad events as a multiple of the stable pods'; absent while the stable pods have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Real>,
    /// The smallest false-rollback rate at which this evidence would have rolled back so far: an always valid p-value.
    pub p_value: Real,
    /// Natural logarithm of the evidence against the canary, at this moment.
    pub log_evidence: Real,
    /// Natural logarithm of the evidence that the canary is good enough.
    pub log_reassurance: Real,
    /// How much bad events come in clumps; one when they don't.
    pub dispersion: Real,
    /// Canary's events that were counted in the present step.
    pub step_requests: Real,
    /// Canary pods that served in the last tick.
    pub canary_pods: u32,
    /// Canary pods with the most bad events, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub worst_pods: Vec<WorstPod>,
    /// Which series is the worst, from zero.
    pub worst_series: u32,
    /// The state of the calculation, one entry per series.
    pub series: Vec<SeriesEvidence>,
}

/// Bad events of one canary pod.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct WorstPod {
    /// Name.
    pub pod: String,
    /// Its bad events; at least this many.
    pub bad: Real,
}

impl Evidence {
    /// Nothing, counted from `since`.
    pub fn none(since: Timestamp) -> Self {
        Self {
            since,
            counted_through: since,
            canary: Count::ZERO,
            stable: Count::ZERO,
            ratio: None,
            p_value: Real::new(1.0),
            log_evidence: Real::ZERO,
            log_reassurance: Real::ZERO,
            dispersion: Real::new(1.0),
            step_requests: Real::ZERO,
            canary_pods: 0,
            worst_pods: Vec::new(),
            worst_series: 0,
            series: Vec::new(),
        }
    }

    /// Adds one tick. `false`: it was dropped, because it counts from before [`Self::counted_through`].
    pub fn count(&mut self, policy: &Policy, tick: &Tick) -> bool {
        if tick.from < self.counted_through || tick.to <= tick.from {
            return false;
        }
        let series = tick.series.len().min(MAX_SERIES);
        if self.series.len() < series {
            self.series.resize_with(series, SeriesEvidence::none);
        }
        let elapsed = series::Elapsed {
            before: seconds(self.since, self.counted_through),
            after: seconds(self.since, tick.to),
        };
        let spread_so_far = |spread: Spread, own: &SeriesEvidence| own.spread.plus(spread);
        // Latencies of neighbouring buckets move together: the most clumped of them rules all.
        let dispersion = tick
            .series
            .iter()
            .zip(&self.series)
            .map(|(tick, own)| policy.dispersion.value(spread_so_far(tick.spread, own)))
            .fold(1.0, f64::max);
        for (own, tick) in self.series.iter_mut().zip(&tick.series) {
            own.count(policy, tick, dispersion, elapsed);
        }
        self.dispersion = Real::new(dispersion);
        self.counted_through = tick.to;
        self.canary_pods = tick.canary_pods;
        self.sum_up(elapsed.after);
        self.name_worst(tick);
        true
    }

    /// Counts `tick` for the present step: its canary's requests.
    pub fn count_for_step(&mut self, tick: &Tick) {
        let requests = tick.series.first().map_or(0.0, |series| {
            if series.stable.total() > 0.0 {
                series.canary.total()
            } else {
                0.0
            }
        });
        self.step_requests = Real::new(self.step_requests.get() + requests);
    }

    /// The present step's own counts begin anew; the evidence stays.
    pub fn begin_step(&mut self) {
        self.step_requests = Real::ZERO;
    }

    /// The clock was set back to `now`: what comes is counted from there on, or nothing would be until it catches up.
    pub fn not_after(&mut self, now: Timestamp) {
        self.since = self.since.min(now);
        self.counted_through = self.counted_through.min(now);
    }

    /// Whether the canary must go, when `gates` gates share the rollout's false-rollback rate.
    pub fn rejects(&self, policy: &Policy, gates: u32) -> bool {
        let shared = policy.false_rollback_rate.get() / f64::from(gates.max(1));
        self.p_value.get() <= shared
    }

    /// Whether the canary is shown to be good enough.
    pub fn reassures(&self, policy: &Policy) -> bool {
        self.log_reassurance.get() >= -policy.miss_rate.get().ln()
    }

    /// Whether evidence against the canary is building up: halfway to a rollback, as logarithms count.
    pub fn suspects(&self, policy: &Policy) -> bool {
        self.log_evidence.get() >= -policy.false_rollback_rate.get().ln() / 2.0
    }

    /// The pod that has more than four fifths of the canary's bad events, although several pods serve.
    pub fn dominant_pod(&self) -> Option<&WorstPod> {
        let worst = self.worst_pods.first()?;
        (self.canary_pods > 1 && worst.bad.get() > 0.8 * self.canary.bad()).then_some(worst)
    }

    fn sum_up(&mut self, elapsed: f64) {
        let logs = self.series.iter().map(|own| own.log_evidence(elapsed));
        let logs: Vec<Real> = logs.map(Real::new).collect();
        self.log_evidence = Real::new(mixture::log_mean(&logs));
        let p_value = (-self.log_evidence.get()).exp().min(1.0);
        self.p_value = Real::new(p_value).min(self.p_value);
        let reassured = self.series.iter().map(SeriesEvidence::log_reassurance);
        self.log_reassurance = Real::new(reassured.fold(f64::INFINITY, f64::min));
        let worst = logs.iter().enumerate().max_by_key(|(_, log)| **log);
        let Some((index, own)) =
            worst.and_then(|(index, _)| self.series.get(index).map(|own| (index, own)))
        else {
            return;
        };
        self.worst_series = u32::try_from(index).unwrap_or(u32::MAX);
        self.canary = own.canary;
        self.stable = own.stable;
        self.ratio = match (own.canary.rate(), own.stable.rate()) {
            (Some(canary), Some(stable)) if stable > 0.0 => Some(Real::new(canary / stable)),
            _ => None,
        };
    }

    /// Keeps the worst pods' bad events in a fixed number of places.
    fn name_worst(&mut self, tick: &Tick) {
        let worst = usize::try_from(self.worst_series).unwrap_or(0);
        let Some(series) = tick.series.get(worst) else {
            return;
        };
        for PodCount { pod, count } in &series.worst_pods {
            add_to(&mut self.worst_pods, pod, count.bad());
        }
        self.worst_pods
            .sort_by_key(|pod| std::cmp::Reverse(pod.bad));
    }
}

/// Misra's and Gries's sketch of frequent items: what a newcomer takes from all places, no place can have had too much.
fn add_to(places: &mut Vec<WorstPod>, pod: &str, bad: f64) {
    if let Some(place) = places.iter_mut().find(|place| place.pod == pod) {
        place.bad = Real::new(place.bad.get() + bad);
        return;
    }
    let mut rest = bad;
    if places.len() >= NAMED_PODS {
        let least = places.iter().map(|place| place.bad).min();
        let least = least.map_or(0.0, Real::get).min(rest);
        for place in places.iter_mut() {
            place.bad = Real::new(place.bad.get() - least);
        }
        places.retain(|place| place.bad.get() > 0.0);
        rest -= least;
    }
    if rest > 0.0 && places.len() < NAMED_PODS {
        places.push(WorstPod {
            pod: pod.to_owned(),
            bad: Real::new(rest),
        });
    }
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

#[cfg(test)]
mod tests;
