mod properties;

use super::*;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(super) const RULES: Rules = Rules {
    warmup: Duration::ZERO,
    stale_after: Duration::from_secs(30),
};

/// A pod that was started at zero and sampled at `sampled`.
pub(super) fn pod(name: &str, role: Role, sampled: i64, bad: f64, total: f64) -> PodSample {
    PodSample {
        pod: name.to_owned(),
        role,
        started_at: at(0),
        ready_at: Some(at(1)),
        sampled_at: Some(at(sampled)),
        counters: vec![Count::new(bad, total)],
    }
}

fn silent(name: &str, role: Role) -> PodSample {
    PodSample {
        sampled_at: None,
        counters: Vec::new(),
        ..pod(name, role, 0, 0.0, 0.0)
    }
}

pub(super) fn look(second: i64, pods: Vec<PodSample>) -> Snapshot {
    Snapshot {
        at: at(second),
        pods,
    }
}

/// A ledger with a baseline at 100: canary 1 of 10, stable 2 of 200.
fn begun(rules: Rules) -> Ledger {
    let mut ledger = Ledger::new(rules, at(50));
    let pods = vec![
        pod("c", Role::Canary, 100, 1.0, 10.0),
        pod("s", Role::Stable, 100, 2.0, 200.0),
    ];
    assert_eq!(ledger.observe(&look(100, pods)), Observation::Baseline);
    ledger
}

#[track_caller]
fn tick(ledger: &mut Ledger, second: i64, pods: Vec<PodSample>) -> Tick {
    match ledger.observe(&look(second, pods)) {
        Observation::Tick(tick) => tick,
        other => panic!("no tick: {other:?}"),
    }
}

#[track_caller]
fn counts(tick: &Tick) -> (Count, Count) {
    (tick.series[0].canary, tick.series[0].stable)
}

fn stable(second: i64) -> PodSample {
    pod("s", Role::Stable, second, 2.0, 300.0)
}

#[test]
fn what_lies_between_two_looks_is_counted_once() {
    let mut ledger = begun(RULES);
    let pods = vec![
        pod("c", Role::Canary, 110, 3.0, 30.0),
        pod("s", Role::Stable, 110, 2.0, 500.0),
    ];
    let first = tick(&mut ledger, 110, pods);
    assert_eq!((first.from, first.to), (at(100), at(110)));
    assert_eq!(
        counts(&first),
        (Count::new(2.0, 20.0), Count::new(0.0, 300.0))
    );
}

#[test]
fn a_gap_is_one_long_tick_and_both_sides_wait_for_each_other() {
    let mut ledger = begun(RULES);
    let only_stable = vec![
        pod("c", Role::Canary, 100, 1.0, 10.0),
        pod("s", Role::Stable, 110, 4.0, 400.0),
    ];
    let seen = ledger.observe(&look(110, only_stable.clone()));
    assert_eq!(seen, Observation::Unchanged);
    let seen = ledger.observe(&look(131, only_stable));
    assert!(matches!(seen, Observation::NoData { .. }), "{seen:?}");
    let both = vec![
        pod("c", Role::Canary, 140, 5.0, 50.0),
        pod("s", Role::Stable, 140, 6.0, 600.0),
    ];
    let long = tick(&mut ledger, 140, both);
    assert_eq!(long.from, at(100));
    assert_eq!(
        counts(&long),
        (Count::new(4.0, 40.0), Count::new(4.0, 400.0))
    );
}

#[test]
fn a_pod_that_is_younger_than_the_last_look_counts_from_zero() {
    let mut ledger = begun(RULES);
    let young = PodSample {
        started_at: at(105),
        ..pod("new", Role::Canary, 110, 7.0, 9.0)
    };
    let first = tick(&mut ledger, 110, vec![young, stable(110)]);
    assert_eq!(counts(&first).0, Count::new(7.0, 9.0));
}

#[test]
fn a_pod_that_was_seen_without_counters_since_the_beginning_counts_from_zero() {
    let mut ledger = Ledger::new(RULES, at(0));
    ledger.observe(&look(100, vec![silent("c", Role::Canary), stable(100)]));
    let first = tick(
        &mut ledger,
        110,
        vec![pod("c", Role::Canary, 110, 1.0, 1.0), stable(110)],
    );
    assert_eq!(counts(&first).0, Count::new(1.0, 1.0));
}

#[test]
fn an_old_pod_that_appears_late_counts_from_its_first_sample() {
    let mut ledger = begun(RULES);
    let old = pod("old", Role::Canary, 110, 900.0, 90_000.0);
    let first = tick(&mut ledger, 110, vec![old, stable(110)]);
    assert_eq!(counts(&first).0, Count::ZERO);
    assert_eq!(first.skipped[0].skip, Skip::Unknown);
    let next = pod("old", Role::Canary, 120, 901.0, 90_010.0);
    let second = tick(&mut ledger, 120, vec![next, stable(120)]);
    assert_eq!(counts(&second).0, Count::new(1.0, 10.0));
}

#[test]
fn a_reset_is_believed_only_of_a_restarted_process() {
    let fallen = |started: i64, sampled: i64, bad: f64, total: f64| PodSample {
        started_at: at(started),
        ..pod("s", Role::Stable, sampled, bad, total)
    };
    let canary = |second| pod("c", Role::Canary, second, 1.0, 10.0);

    let mut ledger = begun(RULES);
    let first = tick(
        &mut ledger,
        110,
        vec![canary(110), fallen(0, 110, 1.0, 150.0)],
    );
    assert_eq!(counts(&first).1, Count::ZERO);
    assert_eq!(first.skipped[0].skip, Skip::Fell);
    let second = tick(
        &mut ledger,
        120,
        vec![canary(120), fallen(0, 120, 3.0, 210.0)],
    );
    assert_eq!(counts(&second).1, Count::new(1.0, 10.0));

    let mut ledger = begun(RULES);
    let first = tick(
        &mut ledger,
        110,
        vec![canary(110), fallen(104, 110, 1.0, 15.0)],
    );
    assert_eq!(counts(&first).1, Count::new(1.0, 15.0));
    assert_eq!(first.skipped, []);
}

#[test]
fn a_sample_from_before_the_restart_is_no_reset_and_hides_none() {
    let mut ledger = begun(RULES);
    let restarted = |sampled: i64, bad: f64, total: f64| PodSample {
        started_at: at(108),
        ..pod("s", Role::Stable, sampled, bad, total)
    };
    let canary = |second| pod("c", Role::Canary, second, 1.0, 10.0);
    let before = tick(
        &mut ledger,
        110,
        vec![canary(110), restarted(107, 3.0, 220.0)],
    );
    assert_eq!(counts(&before).1, Count::new(1.0, 20.0));
    let after = tick(
        &mut ledger,
        120,
        vec![canary(120), restarted(117, 0.0, 30.0)],
    );
    assert_eq!(counts(&after).1, Count::new(0.0, 30.0));
}

#[test]
fn what_a_cold_pod_counts_is_dropped() {
    let rules = Rules {
        warmup: Duration::from_secs(15),
        ..RULES
    };
    let mut ledger = begun(rules);
    let cold = |sampled: i64, bad: f64, total: f64| PodSample {
        started_at: at(101),
        ready_at: Some(at(104)),
        ..pod("new", Role::Canary, sampled, bad, total)
    };
    for (second, bad, skip) in [(110, 5.0, true), (120, 9.0, true), (130, 10.0, false)] {
        let seen = tick(
            &mut ledger,
            second,
            vec![cold(second, bad, 100.0), stable(second)],
        );
        assert_eq!(
            seen.skipped.iter().any(|pod| pod.skip == Skip::Warming),
            skip,
            "at {second}"
        );
        let expected = if skip {
            Count::ZERO
        } else {
            Count::new(1.0, 1.0)
        };
        assert_eq!(counts(&seen).0, expected, "at {second}");
    }
}

#[test]
fn absent_pods_and_absent_counters_are_told_apart() {
    let mut ledger = begun(RULES);
    let canary = || pod("c", Role::Canary, 110, 1.0, 10.0);
    assert_eq!(
        ledger.observe(&look(110, vec![canary()])),
        Observation::NoBaseline
    );
    let mut why = |pods| match ledger.observe(&look(110, pods)) {
        Observation::NoData { why } => why,
        other => panic!("{other:?}"),
    };
    assert!(why(vec![stable(110)]).contains("no canary pods"));
    let unscraped = vec![silent("c", Role::Canary), stable(110)];
    assert!(why(unscraped).contains("no canary pod has the counters"));
}

#[test]
fn a_stale_pod_is_named_and_its_counts_come_later() {
    let mut ledger = begun(RULES);
    let lagging = |sampled, total| pod("s2", Role::Stable, sampled, 0.0, total);
    tick(
        &mut ledger,
        110,
        vec![
            pod("c", Role::Canary, 110, 1.0, 10.0),
            stable(110),
            lagging(105, 10.0),
        ],
    );
    let second = tick(
        &mut ledger,
        150,
        vec![
            pod("c", Role::Canary, 150, 1.0, 20.0),
            stable(150),
            lagging(105, 10.0),
        ],
    );
    assert_eq!(second.skipped[0].skip, Skip::Stale);
}

#[test]
fn counting_begins_anew_when_the_clock_is_set_back() {
    let mut ledger = begun(RULES);
    let pods = |second, total| {
        vec![
            pod("c", Role::Canary, second, 1.0, total),
            pod("s", Role::Stable, second, 2.0, total),
        ]
    };
    assert_eq!(
        ledger.observe(&look(90, pods(90, 500.0))),
        Observation::Baseline
    );
    let next = tick(&mut ledger, 100, pods(100, 510.0));
    assert_eq!(counts(&next).0, Count::new(0.0, 10.0));
}

#[test]
fn what_was_seen_of_the_stable_pods_before_comes_with_the_next_tick_alone() {
    // Given stable pods of which one had four errors at once, and a lone canary.
    let before = |second: i64, bad: f64| {
        let other = pod("s2", Role::Stable, second, 0.0, 10.0 * seconds(second));
        look(
            second,
            vec![
                pod("s1", Role::Stable, second, bad, 10.0 * seconds(second)),
                other,
            ],
        )
    };
    let mut ledger = begun(RULES);
    ledger.learn(&[before(70, 0.0), before(80, 4.0), before(90, 4.0)]);
    let pods = |second| vec![pod("c", Role::Canary, second, 1.0, 20.0), stable(second)];
    let first = tick(&mut ledger, 110, pods(110));
    let spread = first.series[0].spread;
    assert!(
        spread.degrees.get() > 0.9 && spread.chi_square.get() > 4.0,
        "{spread:?}"
    );
    let second = tick(&mut ledger, 120, pods(120));
    assert_eq!(second.series[0].spread, Spread::NONE);
}

fn seconds(second: i64) -> f64 {
    f64::from(i32::try_from(second).unwrap())
}

#[test]
fn a_lone_stable_pod_is_held_against_itself() {
    let mut ledger = begun(RULES);
    let pods = |second, bad, total| {
        vec![
            pod("c", Role::Canary, second, 1.0, total),
            pod("s", Role::Stable, second, bad, total),
        ]
    };
    tick(&mut ledger, 110, pods(110, 2.0, 1200.0));
    let clump = tick(&mut ledger, 120, pods(120, 10.0, 2200.0));
    assert!(clump.series[0].spread.estimate().unwrap() > 7.0);
}
