//! What a gate that compares promises, over many thousand simulated rollouts: false rollbacks, and how soon a bad canary is
//! found. Next to it stands a test that is not made for being looked at again and again, and evidence that does not know of
//! clumps, to show that the simulated errors are hard enough.
//!
//! Prints the tables of `docs/concepts/verification-statistics.md`. `BELAY_SIM_SEED=N` chooses another seed.
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "helpers of tests print tables and fail with words"
)]

mod arms;

use std::thread;

use arms::{Arms, Errors, TICK_SECONDS};
use belay_engine::analysis::{
    Count, Real,
    evidence::{Dispersion, Evidence, Policy},
    planning::{self, Traffic},
};
use fastrand::Rng;
use jiff::Timestamp;

const ROLLOUTS: u32 = 10_000;

/// Half an hour.
const TICKS: u32 = 120;

/// One-sided 1 % of a normal distribution: what the test with peeking compares with at each look.
const Z: f64 = 2.326_348;

const KNOWN: Dispersion = Dispersion::Fixed(Real::whole(1));

fn seed() -> u64 {
    let seed = std::env::var("BELAY_SIM_SEED").map_or(20_261_123, |text| text.parse().unwrap());
    println!("BELAY_SIM_SEED={seed}");
    seed
}

/// The rules under which false rollbacks are likeliest: no tolerance, no floor.
fn strict(dispersion: Option<Dispersion>) -> Policy {
    Policy {
        max_relative_change: Real::ZERO,
        min_absolute: Real::ZERO,
        dispersion: dispersion.unwrap_or(Policy::default().dispersion),
        ..Policy::default()
    }
}

/// Plays `rollouts` on two threads, each with a seed of its own, and gives what each gave.
fn all<T: Send>(rollouts: u32, seed: u64, play: impl Fn(&mut Rng) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let halves = [0, 1].map(|half| {
            let play = &play;
            scope.spawn(move || {
                let mut rng = Rng::with_seed(seed.wrapping_add(half << 32));
                (0..rollouts / 2)
                    .map(|_| play(&mut rng))
                    .collect::<Vec<_>>()
            })
        });
        let halves = halves.into_iter().map(|half| half.join().unwrap());
        halves.flatten().collect()
    })
}

struct Scene {
    name: &'static str,
    arms: Arms,
    history_ticks: u32,
    policy: Policy,
}

impl Scene {
    fn new(name: &'static str, errors: Errors, policy: Policy) -> Self {
        Self {
            name,
            arms: Arms {
                errors,
                rate: 0.001,
                canary_per_second: 50.0,
                stable_per_second: 950.0,
            },
            history_ticks: 0,
            policy,
        }
    }

    fn with_history(self) -> Self {
        Self {
            history_ticks: 60,
            ..self
        }
    }

    fn little_traffic(mut self) -> Self {
        self.arms.canary_per_second = 2.5;
        self.arms.stable_per_second = 47.5;
        self
    }

    fn policy(&self, rng: &mut Rng) -> Policy {
        let mut policy = self.policy.clone();
        if let Dispersion::Auto { before } = &mut policy.dispersion {
            *before = self.arms.history(rng, self.history_ticks);
        }
        policy
    }

    /// Whether two arms without a difference are told apart: by the evidence, and by the test with peeking.
    fn no_difference(&self, rng: &mut Rng) -> (bool, bool) {
        let policy = self.policy(rng);
        let mut evidence = Evidence::none(Timestamp::UNIX_EPOCH);
        let (mut canary, mut stable) = (Count::ZERO, Count::ZERO);
        let mut peeking = false;
        let mut rate = self.arms.rate;
        for index in 0..TICKS {
            let now = self.arms.wander(rng, &mut rate);
            let tick = self.arms.tick(rng, index, now, now);
            canary = canary.plus(tick.series[0].canary);
            stable = stable.plus(tick.series[0].stable);
            peeking |= z(canary, stable) > Z;
            evidence.count(&policy, &tick);
        }
        (evidence.rejects(&policy, 1), peeking)
    }

    /// Seconds until a canary is rejected that errs `times` as often after `healthy` ticks without a difference.
    fn delay(&self, rng: &mut Rng, times: f64, healthy: u32) -> Option<u32> {
        let policy = self.policy(rng);
        let mut evidence = Evidence::none(Timestamp::UNIX_EPOCH);
        let rate = self.arms.rate;
        for index in 0..healthy + 400 {
            let canary = if index < healthy { rate } else { rate * times };
            evidence.count(&policy, &self.arms.tick(rng, index, canary, rate));
            if evidence.rejects(&policy, 1) {
                return (index + 1)
                    .checked_sub(healthy)
                    .map(|ticks| ticks * TICK_SECONDS);
            }
        }
        None
    }
}

/// The difference of two proportions in standard deviations.
fn z(canary: Count, stable: Count) -> f64 {
    let pooled = canary.plus(stable).rate().unwrap_or(0.0);
    let spread = 1.0 / canary.total() + 1.0 / stable.total();
    let deviation = (pooled * (1.0 - pooled) * spread).sqrt();
    let difference = canary.rate().unwrap_or(0.0) - stable.rate().unwrap_or(0.0);
    if deviation > 0.0 {
        difference / deviation
    } else {
        0.0
    }
}

fn share(rollouts: &[(bool, bool)], of: impl Fn(&(bool, bool)) -> bool) -> f64 {
    let hits = rollouts.iter().filter(|rollout| of(rollout)).count();
    f64::from(u32::try_from(hits).unwrap()) / f64::from(u32::try_from(rollouts.len()).unwrap())
}

/// Three and a half standard errors above `alpha`: a correct test is above it in one of four thousand seeds.
fn most(alpha: f64, rollouts: u32) -> f64 {
    alpha + 3.5 * (alpha * (1.0 - alpha) / f64::from(rollouts)).sqrt()
}

#[test]
fn false_rollbacks_stay_below_the_stated_rate_however_errors_come() {
    let seed = seed();
    let scenes = [
        Scene::new("independent", Errors::Independent, strict(Some(KNOWN))),
        Scene::new(
            "independent, clumps estimated",
            Errors::Independent,
            strict(None),
        ),
        Scene::new(
            "independent, 50 requests a second",
            Errors::Independent,
            strict(None),
        )
        .little_traffic(),
        Scene::new(
            "wandering, with spikes of 20 %",
            Errors::Wandering,
            strict(None),
        ),
        Scene::new("clumps of 4, history", Errors::Clumps(4), strict(None)).with_history(),
        Scene::new("clumps of 4, no history", Errors::Clumps(4), strict(None)),
        Scene::new(
            "clumps of 4, default rules",
            Errors::Clumps(4),
            Policy::default(),
        ),
    ];
    println!("| errors | false rollbacks | a z-test with peeking |\n|---|---|---|");
    for scene in &scenes {
        let rollouts = all(ROLLOUTS, seed, |rng| scene.no_difference(rng));
        let (ours, peeking) = (share(&rollouts, |r| r.0), share(&rollouts, |r| r.1));
        println!(
            "| {} | {:.2} % | {:.1} % |",
            scene.name,
            ours * 100.0,
            peeking * 100.0
        );
        let alpha = scene.policy.false_rollback_rate.get();
        assert!(ours <= most(alpha, ROLLOUTS), "{}: {ours}", scene.name);
        assert!(peeking > 3.0 * alpha, "the arms are too easy: {peeking}");
    }
    let unaware = Scene::new(
        "clumps of 4, taken for single ones",
        Errors::Clumps(4),
        strict(Some(KNOWN)),
    );
    let rollouts = all(ROLLOUTS / 10, seed, |rng| unaware.no_difference(rng));
    let ours = share(&rollouts, |r| r.0);
    println!("| {} | {:.1} % | |", unaware.name, ours * 100.0);
    assert!(ours > 0.1, "the clumps are too easy: {ours}");
}

#[test]
fn a_bad_canary_is_found_about_when_planning_says() {
    let seed = seed();
    let known = Policy {
        dispersion: KNOWN,
        ..Policy::default()
    };
    let scene = || Scene::new("", Errors::Independent, known.clone());
    println!(
        "| requests a second | errors | planned | median | 95 of 100 |\n|---|---|---|---|---|"
    );
    for (scene, times) in [
        (scene(), 10.0),
        (scene(), 5.0),
        (scene(), 2.0),
        (scene().little_traffic(), 10.0),
    ] {
        let arms = &scene.arms;
        let traffic = Traffic {
            canary_per_second: arms.canary_per_second,
            stable_per_second: arms.stable_per_second,
            bad_share: arms.rate,
            dispersion: 1.0,
        };
        let planned = planning::seconds_to_reject(&scene.policy, traffic, times).unwrap();
        let mut delays = all(1000, seed, |rng| {
            scene.delay(rng, times, 0).unwrap_or(u32::MAX)
        });
        delays.sort_unstable();
        let (median, late) = (delays[500], delays[950]);
        println!(
            "| {} : {} | {times} times | {planned:.0} s | {median} s | {late} s |",
            arms.canary_per_second, arms.stable_per_second
        );
        let ticks = f64::from(2 * TICK_SECONDS);
        assert!(f64::from(median) <= planned * 1.5 + ticks, "{median} s");
        assert!(f64::from(median) + ticks >= planned / 2.0, "{median} s");
    }
}

#[test]
fn a_canary_that_turns_bad_late_is_found_nearly_as_soon() {
    let seed = seed();
    let scene = Scene::new("", Errors::Independent, Policy::default()).with_history();
    println!("| healthy for | median | 95 of 100 |\n|---|---|---|");
    for hours in [0, 1, 4] {
        let healthy = hours * 3600 / TICK_SECONDS;
        let mut delays = all(200, seed, |rng| {
            scene.delay(rng, 10.0, healthy).unwrap_or(u32::MAX)
        });
        delays.sort_unstable();
        let (median, late) = (delays[100], delays[190]);
        println!("| {hours} h | {median} s | {late} s |");
        assert!(
            median <= 60 && late <= 120,
            "after {hours} h: {median} s, {late} s"
        );
    }
}
