//! From gates with their history to a report: no question is asked here, and no clock is read.

mod limits;
mod past;

use belay_engine::{
    analysis::{
        Count,
        dispersion::Spread,
        evidence::{Direction, Dispersion},
        planning::{self, Traffic},
    },
    gate::{Method, Mode},
};
use jiff::SignedDuration;

use super::{
    gate::{Data, Gate},
    history::Grid,
    interval::{Share, percentile},
    replay::{self, Course},
    report::{FaultReport, FixedFound, FixedReport, GateReport, Middle, Suggestion},
    text::{percent, span},
    trial::{self, Outcome, Setup, TOLERANCES},
    windows::Windows,
};

pub(super) use limits::limits;
pub(super) use past::past;

/// Alarms whose times are told.
const TOLD_ALARMS: usize = 20;

/// Columns of a course.
const COURSE: usize = 60;

/// Share of bad requests that faults are made from where there was none at all.
const NO_ERRORS: f64 = 0.001;

/// A gate may be told a little less than what is seen: the estimate has an error of its own.
const CLUMPIER: f64 = 1.3;

/// Fewer windows of their own say nothing about a rate.
const FEW_WINDOWS: f64 = 30.0;

/// A gate, what it did in each window without a change, and the report on it.
#[derive(Clone, Debug)]
pub(super) struct Examined {
    pub(super) report: GateReport,
    /// Whether it raised an alarm, by window.
    alarms: Vec<bool>,
    /// Its evidence over time, by window.
    evidence: Vec<Course>,
}

/// Puts a gate on trial.
pub(super) fn gate(gate: &Gate, grid: Grid, windows: &Windows, setup: &Setup) -> Examined {
    let within = windows.points(grid);
    let counts = |index: usize| within.get(index).copied().unwrap_or(false);
    let sums = gate
        .pods()
        .map(|pods| pods.sums(counts))
        .unwrap_or_default();
    let rates: Vec<Option<f64>> = sums.iter().map(|sum| sum.rate()).collect();
    let usual: Vec<f64> = rates
        .iter()
        .map(|rate| rate.filter(|rate| *rate > 0.0).unwrap_or(NO_ERRORS))
        .collect();
    let outcomes = trial::run(gate, &usual, &windows.quiet, setup);
    let effective = windows.effective();
    let of = outcomes.iter().filter(|one| one.looked).count();
    let share = |hit: &dyn Fn(&Outcome) -> bool| {
        Share::new(
            outcomes.iter().filter(|one| hit(one)).count(),
            of,
            effective,
        )
    };
    let false_alarms = share(&|one| one.alarm.is_some());
    let fixed = setup
        .fixed
        .iter()
        .enumerate()
        .map(|(place, rule)| FixedReport {
            rule: rule.name(),
            false_alarms: share(&|one| one.fixed.get(place).copied().unwrap_or(false)),
        });
    let compared = gate.pods().is_some();
    let points = i64::try_from(within.iter().filter(|point| **point).count()).unwrap_or(i64::MAX);
    let seconds = seconds(grid.step().saturating_mul(points));
    let length: usize = windows
        .quiet
        .iter()
        .map(|window| window.end - window.start)
        .sum();
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let all_seconds = self::seconds(grid.step().saturating_mul(length));
    let spread = outcomes
        .iter()
        .map(|one| one.spread)
        .fold(Spread::NONE, Spread::plus);
    let clumps = spread.estimate().unwrap_or(1.0);
    let traffic = traffic(gate, &outcomes, all_seconds, clumps);
    let report = GateReport {
        name: gate.policy.name.clone(),
        method: method(gate),
        enforced: gate.policy.mode == Mode::Enforce,
        series: gate.series(),
        pods: gate.pods().map(|pods| pods.pods.len()),
        requests_per_second: sums
            .first()
            .filter(|_| seconds > 0.0)
            .map(|sum| sum.total() / seconds),
        usual_share: rates.first().copied().flatten(),
        dispersion: spread.estimate(),
        no_data_seconds: no_data_seconds(gate, grid),
        false_alarms,
        alarms_at: outcomes
            .iter()
            .filter_map(|one| one.alarm)
            .take(TOLD_ALARMS)
            .collect(),
        passed: share(&|one| one.passed),
        fixed: if compared {
            fixed.collect()
        } else {
            Vec::new()
        },
        faults: if compared {
            faults(gate, &outcomes, setup, traffic, effective)
        } else {
            Vec::new()
        },
        suggestion: suggestion(gate, &outcomes, effective),
        course: course(gate, grid),
        warnings: warnings(gate, &outcomes, &sums, spread, effective),
    };
    Examined {
        report,
        alarms: outcomes.iter().map(|one| one.alarm.is_some()).collect(),
        evidence: outcomes.into_iter().map(|one| one.course).collect(),
    }
}

/// Windows in which the gates that count would have rolled back: one of them by itself, or those that compare together.
pub(super) fn together(gates: &[Examined], windows: &Windows, comparing: u32) -> Share {
    let enforced = || gates.iter().filter(|gate| gate.report.enforced);
    let alarm = |window: &usize| {
        let alone = enforced().any(|gate| gate.alarms.get(*window).copied().unwrap_or(false));
        let courses: Vec<&Course> = enforced()
            .filter_map(|gate| gate.evidence.get(*window))
            .collect();
        alone || replay::together(&courses, comparing).is_some()
    };
    let number = windows.quiet.len();
    let alarms = (0..number).filter(alarm).count();
    Share::new(alarms, number, windows.effective())
}

fn seconds(milliseconds: i64) -> f64 {
    SignedDuration::from_millis(milliseconds).as_secs_f64()
}

fn no_data_seconds(gate: &Gate, grid: Grid) -> f64 {
    let silent = i64::try_from(gate.silent()).unwrap_or(i64::MAX);
    seconds(grid.step().saturating_mul(silent))
}

fn method(gate: &Gate) -> String {
    match (&gate.policy.method, &gate.data) {
        (Method::Compare(rules), _) => format!(
            "canary against stable pods, {} tolerated, {} false rollbacks",
            percent(rules.max_relative_change.get()),
            percent(rules.false_rollback_rate.get()),
        ),
        (Method::Readings, Data::Numbers { bounds, .. }) => {
            let bound =
                |name: &str, value: Option<f64>| value.map(|value| format!("{name} {value}"));
            let bounds: Vec<String> = [bound("min", bounds.min), bound("max", bounds.max)]
                .into_iter()
                .flatten()
                .collect();
            format!("one number, {}", bounds.join(", "))
        }
        (Method::Readings, Data::Budget(burning)) => {
            let objective = burning.budget.objective;
            format!(
                "error budget of {} over {}",
                percent(objective.good_share),
                span(objective.period.as_secs_f64())
            )
        }
        (Method::Readings, Data::Pods { .. }) => "counted events".to_owned(),
    }
}

fn faults(
    gate: &Gate,
    outcomes: &[Outcome],
    setup: &Setup,
    traffic: Option<Traffic>,
    effective: f64,
) -> Vec<FaultReport> {
    let one = |(place, size): (usize, &f64)| {
        let found: Vec<_> = outcomes
            .iter()
            .filter_map(|outcome| outcome.faults.get(place))
            .collect();
        let delays: Vec<f64> = found.iter().filter_map(|one| one.delay_seconds).collect();
        let harmed: Vec<f64> = found.iter().map(|one| one.harmed).collect();
        let counted: Count = found.iter().map(|one| one.counted).sum();
        let fixed = setup.fixed.iter().enumerate().map(|(rule_place, rule)| {
            let delays: Vec<f64> = found
                .iter()
                .filter_map(|one| *one.fixed_delay_seconds.get(rule_place)?)
                .collect();
            FixedFound {
                rule: rule.name(),
                found: Share::new(delays.len(), found.len(), effective),
                delay_seconds: Middle::of(&delays),
            }
        });
        FaultReport {
            size: *size,
            bad_share: counted.rate(),
            found: Share::new(delays.len(), found.len(), effective),
            delay_seconds: Middle::of(&delays),
            planned_seconds: traffic.and_then(|traffic| planned(gate, traffic, *size)),
            harmed: Middle::of(&harmed),
            fixed: fixed.collect(),
        }
    };
    setup.sizes.iter().enumerate().map(one).collect()
}

/// How long the engine's plan says that it takes to find a fault.
fn planned(gate: &Gate, traffic: Traffic, size: f64) -> Option<f64> {
    let Method::Compare(rules) = &gate.policy.method else {
        return None;
    };
    let times = match rules.direction {
        Direction::Increase => size,
        Direction::Decrease => 1.0 / size,
    };
    planning::seconds_to_reject(rules, traffic, times)
}

/// What both sides served in the windows; nothing for latencies, whose faults have no one share.
fn traffic(gate: &Gate, outcomes: &[Outcome], seconds: f64, clumps: f64) -> Option<Traffic> {
    if gate.times() || outcomes.is_empty() {
        return None;
    }
    let side = |place: usize| -> Count {
        let counts = outcomes.iter().filter_map(|one| one.counted.get(place));
        counts.copied().sum()
    };
    let (canary, stable) = (side(0), side(1));
    Some(Traffic {
        canary_per_second: canary.total() / seconds,
        stable_per_second: stable.total() / seconds,
        bad_share: stable.rate()?,
        dispersion: clumps,
    })
}

impl Middle {
    fn of(values: &[f64]) -> Self {
        Self {
            p50: percentile(values, 0.5),
            p95: percentile(values, 0.95),
        }
    }
}

fn suggestion(gate: &Gate, outcomes: &[Outcome], effective: f64) -> Option<Suggestion> {
    let Method::Compare(rules) = &gate.policy.method else {
        return None;
    };
    let rate = rules.false_rollback_rate.get();
    TOLERANCES
        .iter()
        .enumerate()
        .find_map(|(place, tolerance)| {
            let tried = outcomes
                .iter()
                .filter_map(|one| one.tolerances.get(place).copied());
            let tried: Vec<bool> = tried.collect();
            let alarms = tried.iter().filter(|alarm| **alarm).count();
            let share = Share::new(alarms, tried.len(), effective);
            (!tried.is_empty() && share.value <= rate).then(|| Suggestion {
                max_relative_increase: *tolerance,
                present: rules.max_relative_change.get(),
                false_alarms: share,
                shown: share.high <= rate,
            })
        })
}

fn course(gate: &Gate, grid: Grid) -> Vec<Option<f64>> {
    match &gate.data {
        Data::Pods { pods, .. } => pods.shares(COURSE),
        Data::Numbers { series, .. } => {
            middles(grid, |index| series.first().and_then(|one| one.get(index)))
        }
        Data::Budget(burning) => middles(grid, |index| burning.share(index)),
    }
}

/// The middle value of each part of the history.
fn middles(grid: Grid, value: impl Fn(usize) -> Option<f64>) -> Vec<Option<f64>> {
    let mut parts = vec![Vec::new(); COURSE];
    for index in 0..grid.points() {
        if let Some(part) = parts.get_mut(index * COURSE / grid.points()) {
            part.extend(value(index).filter(|value| value.is_finite()));
        }
    }
    parts.iter().map(|part| percentile(part, 0.5)).collect()
}

fn warnings(
    gate: &Gate,
    outcomes: &[Outcome],
    sums: &[Count],
    spread: Spread,
    effective: f64,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if let Method::Compare(rules) = &gate.policy.method
        && let Dispersion::Fixed(told) = rules.dispersion
        && let Some(seen) = spread
            .estimate()
            .filter(|seen| *seen > CLUMPIER * told.get())
    {
        warnings.push(format!(
            "bad events come in clumps of {seen:.1}, and the gate is told {}: leave out dispersion, so that it is estimated",
            told.get()
        ));
    }
    if gate.series() == 0 {
        warnings.push(
            "no series at all: check metric names and labels, and that the counters keep the label pod"
                .to_owned(),
        );
    } else if gate.has_sides() && outcomes.iter().all(|one| !one.looked) {
        warnings.push(
            "its baseline is counted by one unit alone, so nothing can play the canary while nothing changes: only past rollouts say anything"
                .to_owned(),
        );
    } else if gate.pods().is_some_and(|pods| pods.pods.len() == 1) {
        warnings.push("only one pod: there is nothing to compare it with".to_owned());
    } else if effective < FEW_WINDOWS {
        warnings.push(format!(
            "only {effective:.0} windows do not overlap, so the intervals are wide; take a longer history with --from"
        ));
    }
    if sums
        .first()
        .is_some_and(|sum| sum.total() > 0.0 && sum.bad() <= 0.0)
    {
        warnings.push(format!(
            "no bad event in the whole history: the faults are multiples of {} instead",
            percent(NO_ERRORS)
        ));
    }
    warnings
}
