//! How long a comparison takes, before it begins.
//!
//! A likelihood ratio grows by the divergence of the truth from the null hypothesis per bad event, so the time to a verdict is
//! about what has to be shown, in nats, over what a second brings. Wald's approximation (1945), with the mixture's price
//! `ln |G|` added; within a quarter of the simulated medians.

use super::{
    evidence::{Direction, Policy},
    floor, mixture, ratio,
};

/// The traffic that a comparison will see.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Traffic {
    /// Canary requests in a second.
    pub canary_per_second: f64,
    /// Stable requests in a second.
    pub stable_per_second: f64,
    /// Share of the stable requests that are bad.
    pub bad_share: f64,
    /// How much bad events come in clumps; one when they don't.
    pub dispersion: f64,
}

/// Seconds until a canary that errs `times` as often as the stable pods is rolled back, in the middle of many such rollouts.
/// `None`: it never is, because `times` is tolerated, or there is nothing to count.
pub fn seconds_to_reject(policy: &Policy, traffic: Traffic, times: f64) -> Option<f64> {
    let ratio = nats(policy.false_rollback_rate.get(), ratio::INCREASE.len())
        / ratio_nats_per_second(traffic, times, policy.tolerated_ratio());
    let least = floor_of(policy);
    let floor = if least > 0.0 {
        nats(policy.false_rollback_rate.get(), floor::ABOVE.len())
            / floor_nats_per_second(traffic, times, least)
    } else {
        0.0
    };
    let tolerated = policy.tolerated_ratio();
    let worse = match policy.direction {
        Direction::Increase => times > tolerated,
        Direction::Decrease => times < tolerated,
    };
    let harmful = least <= 0.0 || traffic.bad_share * times > least;
    finite(ratio.max(floor) * traffic.dispersion.max(1.0)).filter(|_| worse && harmful)
}

/// Seconds until a canary that errs as often as the stable pods is shown to be good enough. `None`: never, for nothing is
/// counted.
pub fn seconds_to_reassure(policy: &Policy, traffic: Traffic) -> Option<f64> {
    let wanted = nats(policy.miss_rate.get(), ratio::ACCEPTABLE.len());
    let by_ratio = ratio::ACCEPTABLE
        .into_iter()
        .map(|multiple| expected_ratio(traffic, 1.0, policy.unacceptable(), multiple))
        .fold(0.0, f64::max);
    let least = floor_of(policy);
    let by_floor = floor::BELOW
        .into_iter()
        .map(|multiple| expected_floor(traffic, 1.0, least, multiple))
        .fold(0.0, f64::max);
    finite(wanted / by_ratio.max(by_floor) * traffic.dispersion.max(1.0))
}

/// The floor, if this direction has one.
fn floor_of(policy: &Policy) -> f64 {
    match policy.direction {
        Direction::Increase => policy.min_absolute.get(),
        Direction::Decrease => 0.0,
    }
}

/// What has to be shown: the error rate, and the price of not knowing which of `alternatives` is true.
fn nats(rate: f64, alternatives: usize) -> f64 {
    -rate.ln() + mixture::count(alternatives).ln()
}

/// Nats that a second brings if the canary errs `times` as often: bad events times the divergence of where they fall.
fn ratio_nats_per_second(traffic: Traffic, times: f64, tolerated: f64) -> f64 {
    expected_ratio(traffic, times, tolerated, times / tolerated)
}

fn floor_nats_per_second(traffic: Traffic, times: f64, least: f64) -> f64 {
    expected_floor(traffic, times, least, traffic.bad_share * times / least)
}

/// Expected growth in a second of the likelihood ratio of `multiple · null` against `null`, if the truth is `times`.
fn expected_ratio(traffic: Traffic, times: f64, null: f64, multiple: f64) -> f64 {
    let (n, m) = (traffic.canary_per_second, traffic.stable_per_second);
    let bad = traffic.bad_share;
    let canary = super::Count::new(n * (bad * times).min(1.0), n);
    ratio::log_ratio(canary, super::Count::new(m * bad, m), null, multiple)
}

fn expected_floor(traffic: Traffic, times: f64, least: f64, multiple: f64) -> f64 {
    let n = traffic.canary_per_second;
    let canary = super::Count::new(n * (traffic.bad_share * times).min(1.0), n);
    floor::log_ratio(canary, least, multiple)
}

fn finite(seconds: f64) -> Option<f64> {
    (seconds.is_finite() && seconds > 0.0).then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::Real;

    fn policy() -> Policy {
        Policy {
            min_absolute: Real::ZERO,
            ..Policy::default()
        }
    }

    fn traffic(canary_per_second: f64, stable_per_second: f64) -> Traffic {
        Traffic {
            canary_per_second,
            stable_per_second,
            bad_share: 0.001,
            dispersion: 1.0,
        }
    }

    #[test]
    fn the_reference_traffic_takes_the_reference_time() {
        let cases = [
            (traffic(50.0, 950.0), 10.0, 12.9),
            (traffic(2.5, 47.5), 10.0, 257.9),
            (traffic(50.0, 950.0), 2.0, 670.6),
            (traffic(50.0, 950.0), 5.0, 46.1),
        ];
        for (traffic, times, expected) in cases {
            let seconds = seconds_to_reject(&policy(), traffic, times).unwrap();
            assert!(
                (seconds - expected).abs() < 0.06,
                "{seconds} is not {expected}"
            );
        }
    }

    #[test]
    fn what_is_tolerated_is_never_rejected() {
        let enough = traffic(50.0, 950.0);
        assert_eq!(seconds_to_reject(&policy(), enough, 1.2), None);
        assert_eq!(seconds_to_reject(&policy(), enough, 1.1), None);
        assert_eq!(
            seconds_to_reject(&policy(), traffic(0.0, 950.0), 10.0),
            None
        );
        let above = Policy {
            min_absolute: Real::new(0.02),
            ..policy()
        };
        assert_eq!(seconds_to_reject(&above, enough, 10.0), None);
    }

    #[test]
    fn clumps_take_their_multiple_of_time() {
        let clumped = Traffic {
            dispersion: 4.0,
            ..traffic(50.0, 950.0)
        };
        let seconds = seconds_to_reject(&policy(), clumped, 10.0).unwrap();
        assert!((seconds - 4.0 * 12.9).abs() < 0.3, "{seconds}");
    }

    #[test]
    fn equal_arms_are_reassured_in_about_the_simulated_time() {
        // Simulated: median 225 s, 90 of 100 within 527 s.
        let seconds = seconds_to_reassure(&policy(), traffic(50.0, 950.0)).unwrap();
        assert!((200.0..530.0).contains(&seconds), "{seconds}");
        let nothing = Traffic {
            bad_share: 0.0,
            ..traffic(50.0, 950.0)
        };
        assert_eq!(seconds_to_reassure(&policy(), nothing), None);
        assert!(seconds_to_reassure(&Policy::default(), nothing).is_some());
    }
}
