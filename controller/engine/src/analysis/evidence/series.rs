//! The evidence of one series: four mixtures of likelihood ratios.
//!
//! The two that speak against the canary keep a reserve. Evidence that has been in favour of the canary for an hour would have
//! to be used up before a failure that begins now could be seen. So only [`STAKED`] of the capital is staked at the beginning;
//! the rest is staked bit by bit as time goes by, on the same alternatives. Capital that waits neither grows nor shrinks, so the
//! sum stays a supermartingale that began at one, and `α` holds as before; what it costs is a quarter of a nat at the start.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Direction, Policy};
use crate::analysis::{Count, Real, dispersion::Spread, floor, ledger::SeriesTick, mixture, ratio};

/// Share of the capital that is staked at the beginning.
const STAKED: f64 = 0.8;

/// Time after which half of the rest is staked.
const HALF_STAKED_SECONDS: f64 = 300.0;

/// Reassurance does not grow beyond this many nats over what is needed, so that a canary that turns bad loses it soon.
const REASSURANCE_SLACK: f64 = 2.0;

/// What was counted of one series, and the logarithms of the capital staked on each alternative.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SeriesEvidence {
    /// Canary's events.
    pub canary: Count,
    /// Stable pods' events in the same ticks.
    pub stable: Count,
    /// How unevenly bad events fell on the stable pods.
    pub spread: Spread,
    /// The canary errs more often, relative to the stable pods.
    pub ratio: Vec<Real>,
    /// The canary errs more often than is negligible; empty without a floor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub floor: Vec<Real>,
    /// The canary is not unacceptable relative to the stable pods.
    pub acceptable: Vec<Real>,
    /// The canary's rate is negligible; empty without a floor.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub negligible: Vec<Real>,
}

/// Seconds since counting began, before and after a tick.
#[derive(Clone, Copy, Debug)]
pub(super) struct Elapsed {
    pub(super) before: f64,
    pub(super) after: f64,
}

/// Capital that is not staked yet after `seconds`.
fn reserve(seconds: f64) -> f64 {
    (1.0 - STAKED) / (1.0 + seconds.max(0.0) / HALF_STAKED_SECONDS)
}

impl SeriesEvidence {
    /// Nothing.
    pub(super) const fn none() -> Self {
        Self {
            canary: Count::ZERO,
            stable: Count::ZERO,
            spread: Spread::NONE,
            ratio: Vec::new(),
            floor: Vec::new(),
            acceptable: Vec::new(),
            negligible: Vec::new(),
        }
    }

    pub(super) fn count(
        &mut self,
        policy: &Policy,
        tick: &SeriesTick,
        dispersion: f64,
        elapsed: Elapsed,
    ) {
        self.spread = self.spread.plus(tick.spread);
        let stake = reserve(elapsed.before) - reserve(elapsed.after);
        let (canary, stable) = (tick.canary, tick.stable);
        let compared = canary.total() > 0.0 && stable.total() > 0.0;
        if compared {
            self.canary = self.canary.plus(canary);
            self.stable = self.stable.plus(stable);
        }
        let (canary, stable) = if compared {
            (canary, stable)
        } else {
            (Count::ZERO, Count::ZERO)
        };
        let tolerated = policy.tolerated_ratio();
        let (worse, better) = match policy.direction {
            Direction::Increase => (ratio::INCREASE, ratio::ACCEPTABLE),
            Direction::Decrease => (ratio::DECREASE, ratio::ACCEPTABLE.map(f64::recip)),
        };
        stake_on(&mut self.ratio, &worse, stake, |multiple| {
            ratio::log_ratio(canary, stable, tolerated, multiple) / dispersion
        });
        let unacceptable = policy.unacceptable();
        let enough = -policy.miss_rate.get().ln() + REASSURANCE_SLACK;
        grow(&mut self.acceptable, &better, enough, |multiple| {
            ratio::log_ratio(canary, stable, unacceptable, multiple) / dispersion
        });
        let least = policy.min_absolute.get();
        if least > 0.0 && policy.direction == Direction::Increase {
            stake_on(&mut self.floor, &floor::ABOVE, stake, |multiple| {
                floor::log_ratio(canary, least, multiple) / dispersion
            });
            grow(&mut self.negligible, &floor::BELOW, enough, |multiple| {
                floor::log_ratio(canary, least, multiple) / dispersion
            });
        }
    }

    /// Logarithm of the evidence against the canary: the smaller of ratio and floor.
    pub(super) fn log_evidence(&self, elapsed: f64) -> f64 {
        let capital = |staked: &[Real]| {
            let held = reserve(elapsed).ln();
            mixture::log_sum([mixture::log_mean(staked), held].into_iter())
        };
        if self.ratio.is_empty() {
            return 0.0;
        }
        let ratio = capital(&self.ratio);
        if self.floor.is_empty() {
            ratio
        } else {
            ratio.min(capital(&self.floor))
        }
    }

    /// Logarithm of the evidence that the canary is good enough: not unacceptable, or negligible.
    pub(super) fn log_reassurance(&self) -> f64 {
        let acceptable = mixture::log_mean(&self.acceptable);
        if self.negligible.is_empty() {
            return acceptable;
        }
        let negligible = mixture::log_mean(&self.negligible);
        mixture::log_sum([acceptable, negligible].into_iter()) - 2.0_f64.ln()
    }
}

/// Stakes `stake` more, evenly over the alternatives, then multiplies each by its likelihood ratio.
fn stake_on(logs: &mut Vec<Real>, alternatives: &[f64], stake: f64, log: impl Fn(f64) -> f64) {
    if logs.len() != alternatives.len() {
        *logs = vec![Real::new(STAKED.ln()); alternatives.len()];
    }
    for (own, multiple) in logs.iter_mut().zip(alternatives) {
        let staked = mixture::log_sum([own.get(), stake.max(0.0).ln()].into_iter());
        *own = bounded(staked + log(*multiple));
    }
}

/// Multiplies each alternative by its likelihood ratio, and keeps the sum from growing beyond `enough`.
fn grow(logs: &mut Vec<Real>, alternatives: &[f64], enough: f64, log: impl Fn(f64) -> f64) {
    if logs.len() != alternatives.len() {
        *logs = vec![Real::ZERO; alternatives.len()];
    }
    for (own, multiple) in logs.iter_mut().zip(alternatives) {
        *own = bounded(own.get() + log(*multiple));
    }
    let excess = mixture::log_mean(logs) - enough;
    if excess > 0.0 {
        for own in logs.iter_mut() {
            *own = bounded(own.get() - excess);
        }
    }
}

/// Beyond a million nats nothing changes, and eight decimals still fit.
fn bounded(log: f64) -> Real {
    Real::new(log.clamp(-1e6, 1e6))
}
