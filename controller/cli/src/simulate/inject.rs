//! Faults that are put into a canary's counts.
//!
//! A fault of size `f` makes bad events `f` times as frequent as usual, from the first look on: of the canary's good events a random number is turned into bad ones.
//! Requests, pods and the stable side stay as they were. Where latencies are compared, the canary's requests take `f` times as long instead: its buckets are read at
//! bounds that are shorter by as much.

use belay_engine::analysis::{Count, evidence::Direction, ledger::Tick};
use jiff::Timestamp;
use rand::rngs::StdRng;
use rand_distr::{Binomial, Distribution as _};

use super::replay::Look;

/// A fault.
#[derive(Clone, Debug)]
pub(super) struct Fault<'a> {
    /// How many times as frequent bad events become (good ones become rarer by it, where good events are counted).
    pub(super) size: f64,
    /// Usual share of counted events, by series.
    pub(super) usual: &'a [f64],
    pub(super) direction: Direction,
}

/// Looks with a fault, and how many requests it has spoilt at each of them so far.
#[derive(Clone, Debug)]
pub(super) struct Faulty {
    pub(super) looks: Vec<Look>,
    harmed: Vec<(Timestamp, f64)>,
}

impl Fault<'_> {
    /// Puts the fault into the looks.
    pub(super) fn put_into(&self, looks: &[Look], random: &mut StdRng) -> Faulty {
        let mut harmed = Vec::with_capacity(looks.len());
        let mut sum = 0.0;
        let looks = looks
            .iter()
            .map(|look| match look {
                Look::Tick(tick) => {
                    let (tick, spoilt) = self.spoil(tick, random);
                    sum += spoilt;
                    harmed.push((tick.to, sum));
                    Look::Tick(tick)
                }
                other @ Look::Reading(..) => other.clone(),
            })
            .collect();
        Faulty { looks, harmed }
    }

    fn spoil(&self, tick: &Tick, random: &mut StdRng) -> (Tick, f64) {
        let mut tick = tick.clone();
        let mut spoilt: f64 = 0.0;
        for (place, series) in tick.series.iter_mut().enumerate() {
            let usual = self.usual.get(place).copied().unwrap_or(0.0);
            let count = series.canary;
            let (of, chance) = match self.direction {
                Direction::Increase => (count.good(), turned(usual, self.size)),
                Direction::Decrease => (count.bad(), 1.0 - 1.0 / self.size),
            };
            let changed = draw(of, chance, random);
            spoilt = spoilt.max(changed);
            series.canary = match self.direction {
                Direction::Increase => Count::new(count.bad() + changed, count.total()),
                Direction::Decrease => Count::new(count.bad() - changed, count.total()),
            };
        }
        (tick, spoilt)
    }
}

impl Faulty {
    /// Looks at a canary that was spoilt by other means, beside those at the sound one.
    pub(super) fn beside(sound: &[Look], spoilt: Vec<Look>) -> Self {
        let mut sum = 0.0;
        let mut harmed = Vec::with_capacity(spoilt.len());
        for pair in sound.iter().zip(&spoilt) {
            if let (Look::Tick(sound), Look::Tick(spoilt)) = pair {
                let pairs = sound.series.iter().zip(&spoilt.series);
                let more = pairs.map(|(sound, spoilt)| spoilt.canary.bad() - sound.canary.bad());
                sum += more.fold(0.0, f64::max);
                harmed.push((spoilt.to, sum));
            }
        }
        Self {
            looks: spoilt,
            harmed,
        }
    }

    /// What the canary's first series counted.
    pub(super) fn counted(&self) -> Count {
        let counts = self.looks.iter().filter_map(|look| match look {
            Look::Tick(tick) => tick.series.first().map(|series| series.canary),
            Look::Reading(..) => None,
        });
        counts.sum()
    }

    /// Requests spoilt up to `until`, or in the whole window.
    pub(super) fn harmed(&self, until: Option<Timestamp>) -> f64 {
        let by_then = |(at, _): &&(Timestamp, f64)| until.is_none_or(|until| *at <= until);
        let last = self.harmed.iter().take_while(by_then).last();
        last.map_or(0.0, |(_, sum)| *sum)
    }
}

/// The chance with which a good event is turned, so that bad ones become `size` times as frequent as `usual`.
pub(super) fn turned(usual: f64, size: f64) -> f64 {
    let usual = usual.clamp(0.0, 1.0);
    if usual >= 1.0 {
        return 0.0;
    }
    ((size * usual).min(1.0) - usual) / (1.0 - usual)
}

fn draw(of: f64, chance: f64, random: &mut StdRng) -> f64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of requests, not negative"
    )]
    let whole = of.round().max(0.0) as u64;
    #[expect(
        clippy::cast_precision_loss,
        reason = "numbers of requests are far below 2^52"
    )]
    let drawn = Binomial::new(whole, chance.clamp(0.0, 1.0))
        .map_or(0.0, |binomial| binomial.sample(random) as f64);
    drawn.min(of)
}

#[cfg(test)]
mod tests {
    use belay_engine::analysis::ledger::SeriesTick;
    use rand::SeedableRng as _;

    use super::*;

    fn looks(number: i64, canary: Count) -> Vec<Look> {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        (0..number)
            .map(|tick| {
                Look::Tick(Tick {
                    from: at(10 * tick),
                    to: at(10 * tick + 10),
                    series: vec![SeriesTick {
                        canary,
                        ..SeriesTick::default()
                    }],
                    canary_pods: 1,
                    stable_pods: 1,
                    skipped: Vec::new(),
                })
            })
            .collect()
    }

    fn bad(looks: &[Look]) -> f64 {
        let counts = looks.iter().map(|look| match look {
            Look::Tick(tick) => tick.series[0].canary.bad(),
            Look::Reading(..) => 0.0,
        });
        counts.sum()
    }

    #[test]
    fn bad_events_become_as_frequent_as_the_size_says() {
        let fault = Fault {
            size: 5.0,
            usual: &[0.01],
            direction: Direction::Increase,
        };
        let faulty = fault.put_into(
            &looks(200, Count::new(10.0, 1000.0)),
            &mut StdRng::seed_from_u64(1),
        );
        let share = bad(&faulty.looks) / 200_000.0;
        assert!((share - 0.05).abs() < 0.003, "{share}");
        assert!((faulty.harmed(None) - (bad(&faulty.looks) - 2000.0)).abs() < 1e-6);
        let early = faulty.harmed(Some(Timestamp::from_second(100).unwrap()));
        assert!(early > 0.0 && early < faulty.harmed(None) / 10.0);
    }

    #[test]
    fn good_events_become_rarer_where_they_are_counted() {
        let fault = Fault {
            size: 2.0,
            usual: &[0.9],
            direction: Direction::Decrease,
        };
        let faulty = fault.put_into(
            &looks(100, Count::new(900.0, 1000.0)),
            &mut StdRng::seed_from_u64(1),
        );
        let share = bad(&faulty.looks) / 100_000.0;
        assert!((share - 0.45).abs() < 0.01, "{share}");
    }

    #[test]
    fn more_than_everything_cannot_be_bad() {
        assert!((turned(0.5, 10.0) - 1.0).abs() < 1e-12);
        assert!((turned(0.0, 10.0)).abs() < 1e-12);
        assert!((turned(1.0, 2.0)).abs() < 1e-12);
    }
}
