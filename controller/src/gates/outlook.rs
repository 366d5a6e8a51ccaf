//! Whether a step lasts long enough for its comparison to find anything, told before the step is over.

use std::time::Duration;

use belay_engine::{
    analysis::planning::{Traffic, seconds_to_reject},
    gate::GatePolicy,
    rollout::{Plan, RolloutStatus, status::Phase},
};

use super::measure::Known;

/// What is doubtful in the present step: for each comparing gate whose ordinary traffic is known, that it can hardly find a
/// version which is certainly unacceptable while the step lasts.
pub(crate) fn doubts(
    plan: &Plan,
    status: &RolloutStatus,
    known: impl Fn(&str) -> Option<Known>,
) -> Vec<String> {
    let step = status
        .step
        .as_ref()
        .filter(|_| status.phase == Phase::Progressing);
    let step = step.and_then(|step| plan.steps.get(usize::try_from(step.index).ok()?));
    let (Some(step), Some(percent)) = (step, status.weight_percent) else {
        return Vec::new();
    };
    let share = f64::from(percent.clamp(0, 100)) / 100.0;
    let gates = plan.gates.iter().chain(&step.gates);
    gates
        .filter_map(|gate| doubt(gate, known(&gate.name)?, share, step.hold))
        .collect()
}

fn doubt(gate: &GatePolicy, known: Known, share: f64, lasts: Duration) -> Option<String> {
    let policy = gate.method.comparison()?;
    let times = policy.unacceptable();
    let traffic = Traffic {
        canary_per_second: known.per_second * share,
        stable_per_second: known.per_second * (1.0 - share),
        bad_share: known.bad_share,
        dispersion: 1.0,
    };
    let seconds = seconds_to_reject(policy, traffic, times)?;
    if share <= 0.0 || seconds <= lasts.as_secs_f64() {
        return None;
    }
    Some(format!(
        "gate {}: with the traffic of the last minutes ({:.1} events a second, {:.3} % of them bad) {times} times as many bad ones are found after about {}, and this step lasts {}; give it more share or time, or leave it to the steps that follow",
        gate.name,
        known.per_second,
        known.bad_share * 100.0,
        readable(seconds),
        readable(lasts.as_secs_f64()),
    ))
}

fn readable(seconds: f64) -> String {
    if seconds < 100.0 {
        format!("{seconds:.0} s")
    } else if seconds < 6000.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.0} h", seconds / 3600.0)
    }
}

#[cfg(test)]
mod tests {
    use belay_engine::{
        analysis::{Real, evidence::Policy},
        gate::{Method, Mode, Then, UnknownPolicy},
    };

    use super::*;

    fn gate() -> GatePolicy {
        let unknown = UnknownPolicy {
            then: Then::Hold,
            consecutive_limit: 4,
            deadline: Duration::from_mins(10),
        };
        GatePolicy {
            name: "errors/ratio".to_owned(),
            interval: Duration::from_secs(10),
            initial_delay: Duration::ZERO,
            success_count: 1,
            failure_limit: 0,
            on_no_data: unknown,
            on_error: unknown,
            mode: Mode::Enforce,
            method: Method::Compare(Policy {
                min_absolute: Real::ZERO,
                ..Policy::default()
            }),
        }
    }

    /// The case of the reference numbers: 1,000 requests a second, 0.1 % of them bad, 5 % to the canary.
    const KNOWN: Known = Known {
        per_second: 1000.0,
        bad_share: 0.001,
    };

    #[test]
    fn a_step_that_is_too_short_is_told_with_the_time_it_would_take() {
        let why = doubt(&gate(), KNOWN, 0.05, Duration::from_mins(5)).unwrap();
        assert!(why.contains("after about 11 min"), "{why}");
        assert!(why.contains("this step lasts 5 min"), "{why}");
    }

    #[test]
    fn a_step_that_lasts_long_enough_is_not_doubtful() {
        assert_eq!(doubt(&gate(), KNOWN, 0.05, Duration::from_mins(15)), None);
        assert_eq!(doubt(&gate(), KNOWN, 0.0, Duration::from_mins(5)), None);
    }
}
