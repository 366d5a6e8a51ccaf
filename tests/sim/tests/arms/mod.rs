//! Two arms that serve simulated requests.

use belay_engine::analysis::{
    Count,
    dispersion::Spread,
    ledger::{SeriesTick, Tick},
};
use fastrand::Rng;
use jiff::Timestamp;

pub(crate) const TICK_SECONDS: u32 = 15;

const STABLE_PODS: u32 = 10;

/// How errors come.
#[derive(Clone, Copy)]
pub(crate) enum Errors {
    /// One by one.
    Independent,
    /// One by one, at a rate that wanders by a factor of a hundred, with spikes of 20 % on both arms.
    Wandering,
    /// This many at once, on one pod.
    Clumps(u32),
}

/// A canary and ten stable pods.
#[derive(Clone, Copy)]
pub(crate) struct Arms {
    pub(crate) errors: Errors,
    pub(crate) rate: f64,
    pub(crate) canary_per_second: f64,
    pub(crate) stable_per_second: f64,
}

impl Arms {
    /// The rate of this tick; `rate` becomes the next one's.
    pub(crate) fn wander(&self, rng: &mut Rng, rate: &mut f64) -> f64 {
        if !matches!(self.errors, Errors::Wandering) {
            return *rate;
        }
        *rate = (*rate * (0.3 * (rng.f64() - 0.5)).exp()).clamp(0.000_2, 0.02);
        if rng.u8(0..40) == 0 { 0.2 } else { *rate }
    }

    /// One tick with these rates.
    pub(crate) fn tick(&self, rng: &mut Rng, index: u32, canary: f64, stable: f64) -> Tick {
        let at = |index: u32| {
            Timestamp::from_second(i64::from(index) * i64::from(TICK_SECONDS)).unwrap()
        };
        let pods = self.stable_pods(rng, stable);
        let requests = (self.canary_per_second * f64::from(TICK_SECONDS)).floor();
        let series = SeriesTick {
            canary: self.served(rng, requests, canary),
            stable: pods.iter().copied().sum(),
            spread: Spread::of(&pods),
            worst_pods: Vec::new(),
        };
        Tick {
            from: at(index),
            to: at(index + 1),
            series: vec![series],
            canary_pods: 1,
            stable_pods: STABLE_PODS,
            skipped: Vec::new(),
        }
    }

    /// What the stable pods showed in `ticks` before.
    pub(crate) fn history(&self, rng: &mut Rng, ticks: u32) -> Spread {
        (0..ticks)
            .map(|_| Spread::of(&self.stable_pods(rng, self.rate)))
            .fold(Spread::NONE, Spread::plus)
    }

    fn stable_pods(&self, rng: &mut Rng, rate: f64) -> Vec<Count> {
        let requests = self.stable_per_second * f64::from(TICK_SECONDS) / f64::from(STABLE_PODS);
        (0..STABLE_PODS)
            .map(|_| self.served(rng, requests.floor(), rate))
            .collect()
    }

    fn served(&self, rng: &mut Rng, requests: f64, rate: f64) -> Count {
        let size = match self.errors {
            Errors::Clumps(size) => f64::from(size),
            Errors::Independent | Errors::Wandering => 1.0,
        };
        Count::new(size * binomial(rng, requests, rate / size), requests)
    }
}

/// Successes in `n` trials of probability `p`, exactly: by the gaps between them.
fn binomial(rng: &mut Rng, n: f64, p: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    let log = (-p).ln_1p();
    let (mut at, mut found) = (0.0, 0.0);
    loop {
        at += ((1.0 - rng.f64()).ln() / log).floor() + 1.0;
        if at > n {
            return found;
        }
        found += 1.0;
    }
}
