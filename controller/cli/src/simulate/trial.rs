//! A gate on trial: every window without a change as it was, with faults put in, and under other settings.

use std::num::NonZero;

use belay_engine::{
    analysis::{Count, Real, dispersion::Spread, evidence::Direction},
    gate::{GatePolicy, Method},
};
use jiff::{SignedDuration, Timestamp};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    fixed::{BREACHES, Fixed},
    gate::Gate,
    inject::{Fault, Faulty},
    replay::{self, Course, Look},
    windows::{Quiet, mix},
};

/// Tolerances that are tried in search of a better one.
pub(super) const TOLERANCES: [f64; 9] = [0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0];

/// What the trial is made with.
#[derive(Clone, Debug)]
pub(super) struct Setup {
    /// Sizes of faults.
    pub(super) sizes: Vec<f64>,
    /// Fixed rules to compare with.
    pub(super) fixed: Vec<Fixed>,
    pub(super) seed: u64,
    /// Gates that share the rollout's false-rollback rate.
    pub(super) comparing: u32,
}

impl Setup {
    /// The two usual fixed rules.
    pub(super) fn rules(threshold: f64, window: SignedDuration) -> Vec<Fixed> {
        let rule = |breaches| Fixed {
            threshold,
            window,
            breaches,
        };
        BREACHES.map(rule).to_vec()
    }
}

/// What happened in one window.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    /// Whether anything could be looked at.
    pub(super) looked: bool,
    /// When the gate failed although nothing had changed.
    pub(super) alarm: Option<Timestamp>,
    /// Its evidence over time.
    pub(super) course: Course,
    /// Whether it passed.
    pub(super) passed: bool,
    /// The same for the fixed rules.
    pub(super) fixed: Vec<bool>,
    /// How unevenly bad events fell on the stable pods.
    pub(super) spread: Spread,
    /// What both sides counted.
    pub(super) counted: [Count; 2],
    /// Whether the gate would have failed under each of [`TOLERANCES`]; empty if it has no such setting.
    pub(super) tolerances: Vec<bool>,
    /// For each size of fault.
    pub(super) faults: Vec<Found>,
}

/// What came of a fault.
#[derive(Clone, Debug)]
pub(super) struct Found {
    /// Seconds from its begin until the gate failed.
    pub(super) delay_seconds: Option<f64>,
    /// Requests spoilt until then, or until the window's end.
    pub(super) harmed: f64,
    /// What the canary counted in the whole window.
    pub(super) counted: Count,
    /// Seconds until each fixed rule failed.
    pub(super) fixed_delay_seconds: Vec<Option<f64>>,
}

/// Puts the gate on trial in all windows, on all processors.
pub(super) fn run(gate: &Gate, usual: &[f64], windows: &[Quiet], setup: &Setup) -> Vec<Outcome> {
    let workers = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = windows.len().div_ceil(workers).max(1);
    std::thread::scope(|scope| {
        let running: Vec<_> = windows
            .chunks(share)
            .map(|part| {
                scope.spawn(move || {
                    let one = |window| outcome(gate, usual, window, setup);
                    part.iter().map(one).collect::<Vec<_>>()
                })
            })
            .collect();
        running
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(outcomes) => outcomes,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    })
}

fn outcome(gate: &Gate, usual: &[f64], window: &Quiet, setup: &Setup) -> Outcome {
    let policy = &gate.policy;
    let looks = gate.quiet(window, 1.0);
    let began = began(gate, window);
    let judged =
        |policy: &GatePolicy, looks: &[_]| replay::judge(policy, setup.comparing, began, looks);
    let plain = judged(policy, &looks);
    let seconds = |at: Timestamp| at.duration_since(began).as_secs_f64();
    let direction = direction(policy);
    let faults = setup.sizes.iter().enumerate().map(|(place, size)| {
        let fault = Fault {
            size: *size,
            usual,
            direction,
        };
        let place = u64::try_from(place).unwrap_or(u64::MAX);
        let seed = mix(mix(setup.seed, window.number), place.wrapping_add(1));
        let faulty = if gate.times() {
            Faulty::beside(&looks, gate.quiet(window, *size))
        } else {
            fault.put_into(&looks, &mut StdRng::seed_from_u64(seed))
        };
        let found = judged(policy, &faulty.looks).failed_at;
        let fixed = |rule: &Fixed| rule.failed_at(faulty.looks.iter()).map(seconds);
        Found {
            delay_seconds: found.map(seconds),
            harmed: faulty.harmed(found),
            counted: faulty.counted(),
            fixed_delay_seconds: setup.fixed.iter().map(fixed).collect(),
        }
    });
    let faults = if gate.pods().is_some() {
        faults.collect()
    } else {
        Vec::new()
    };
    let tolerances = TOLERANCES
        .iter()
        .filter_map(|tolerance| with_tolerance(policy, *tolerance))
        .map(|other| judged(&other, &looks).failed_at.is_some())
        .collect();
    let rule = |rule: &Fixed| rule.failed_at(looks.iter()).is_some();
    Outcome {
        looked: !(gate.has_sides() && looks.is_empty()),
        alarm: plain.failed_at,
        course: plain.course,
        passed: plain.passed_at.is_some(),
        fixed: setup.fixed.iter().map(rule).collect(),
        counted: counted(&looks),
        spread: looks.iter().map(spread).fold(Spread::NONE, Spread::plus),
        tolerances,
        faults,
    }
}

/// What the first series of canary and stable pods counted.
fn counted(looks: &[Look]) -> [Count; 2] {
    let mut sums = [Count::ZERO; 2];
    for look in looks {
        if let Look::Tick(tick) = look
            && let Some(series) = tick.series.first()
        {
            let [canary, stable] = sums;
            sums = [canary.plus(series.canary), stable.plus(series.stable)];
        }
    }
    sums
}

/// How unevenly bad events fell on the stable pods, of the series where it was worst.
fn spread(look: &Look) -> Spread {
    match look {
        Look::Tick(tick) => tick
            .series
            .iter()
            .map(|series| series.spread)
            .max_by(|a, b| a.chi_square.get().total_cmp(&b.chi_square.get()))
            .unwrap_or(Spread::NONE),
        Look::Reading(..) => Spread::NONE,
    }
}

/// When the window began.
fn began(gate: &Gate, window: &Quiet) -> Timestamp {
    match &gate.data {
        super::gate::Data::Pods { pods, .. } => pods.grid.time(window.start),
        super::gate::Data::Numbers { grid, .. } => grid.time(window.start),
        super::gate::Data::Budget(burning) => burning.grid.time(window.start),
    }
}

/// Which way is bad for a gate.
pub(super) fn direction(policy: &GatePolicy) -> Direction {
    match &policy.method {
        Method::Compare(rules) => rules.direction,
        Method::Readings => Direction::Increase,
    }
}

/// The same gate with another tolerance; nothing if it has no such setting.
fn with_tolerance(policy: &GatePolicy, tolerance: f64) -> Option<GatePolicy> {
    let Method::Compare(rules) = &policy.method else {
        return None;
    };
    if rules.direction == Direction::Decrease {
        return None;
    }
    let mut rules = rules.clone();
    rules.max_relative_change = Real::new(tolerance);
    Some(GatePolicy {
        method: Method::Compare(rules),
        ..policy.clone()
    })
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, time::Duration};

    use belay_engine::{
        analysis::{
            evidence::{Dispersion, Policy},
            latency::Measure,
            ledger::Rules,
        },
        gate::{Mode, Then, UnknownPolicy},
    };

    use super::{
        super::{
            counters::histograms,
            gate::Data,
            history::{Collector, Grid, Labels},
            pods::Pods,
        },
        *,
    };

    const POINTS: u32 = 100;

    /// Four pods, each with 1,000 requests between two looks: nine in ten within 100 ms, all within 400 ms.
    fn latencies() -> Gate {
        let grid = Grid::new(0, i64::from(POINTS - 1) * 10_000, 10_000).unwrap();
        let mut collector = Collector::new(grid);
        for pod in ["web-b-aaaa1", "web-b-aaaa2", "web-b-aaaa3", "web-b-aaaa4"] {
            for (le, each) in [("0.1", 900.0), ("0.4", 1000.0), ("+Inf", 1000.0)] {
                let labels = [("pod", pod), ("le", le)].map(|(k, v)| (k.to_owned(), v.to_owned()));
                let values =
                    (0..POINTS).map(|look| (i64::from(look) * 10_000, f64::from(look) * each));
                collector.add(Labels::from(labels), values);
            }
        }
        let counters =
            histograms(collector.finish(), "pod", "s", Measure::SlowerThan(0.1)).unwrap();
        let unknown = UnknownPolicy {
            then: Then::Hold,
            consecutive_limit: 4,
            deadline: Duration::from_mins(10),
        };
        Gate {
            policy: GatePolicy {
                name: "latency".to_owned(),
                interval: Duration::from_secs(10),
                initial_delay: Duration::ZERO,
                success_count: 1,
                failure_limit: 0,
                on_no_data: unknown,
                on_error: unknown,
                mode: Mode::Enforce,
                method: Method::Compare(Policy {
                    dispersion: Dispersion::Fixed(Real::new(1.0)),
                    ..Policy::default()
                }),
            },
            stride: 1,
            data: Data::Pods {
                pods: Pods::new(grid, counters, Some("web")),
                rules: Rules {
                    warmup: Duration::ZERO,
                    stale_after: Duration::from_mins(1),
                },
                sides: false,
            },
        }
    }

    #[test]
    fn a_slower_canary_is_found_and_an_equal_one_is_not() {
        let window = Quiet {
            number: 0,
            start: 1,
            end: 90,
            canary: BTreeSet::from(["web-b-aaaa2".to_owned()]),
        };
        let setup = Setup {
            sizes: vec![1.1, 3.0],
            fixed: Setup::rules(0.5, SignedDuration::from_secs(60)),
            seed: 1,
            comparing: 1,
        };
        let outcomes = run(&latencies(), &[0.1], &[window], &setup);
        let [outcome] = outcomes.as_slice() else {
            panic!("one window")
        };
        assert!(outcome.alarm.is_none() && outcome.passed);
        // A tenth more time brings a few more beyond the bound, three times the time most of them.
        let [little, much] = outcome.faults.as_slice() else {
            panic!("two sizes")
        };
        assert!(much.delay_seconds <= Some(20.0), "{much:?}");
        assert!(much.harmed > 0.0 && much.counted.rate() > Some(0.5));
        assert!(little.counted.rate() < Some(0.2), "{little:?}");
        assert_eq!(much.fixed_delay_seconds.len(), 2);
        assert!(much.fixed_delay_seconds[0].is_some() && little.fixed_delay_seconds[0].is_none());
    }
}
