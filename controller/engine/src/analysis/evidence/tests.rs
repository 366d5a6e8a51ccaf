mod properties;

use super::*;
use crate::analysis::ledger::SeriesTick;

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// One tick of one series: `k` of `n` on the canary, `j` of `m` on stable.
pub(super) fn tick(from: i64, to: i64, [k, n, j, m]: [f64; 4]) -> Tick {
    ticks(from, to, &[[k, n, j, m]])
}

pub(super) fn ticks(from: i64, to: i64, series: &[[f64; 4]]) -> Tick {
    let series = series.iter().map(|[k, n, j, m]| SeriesTick {
        canary: Count::new(*k, *n),
        stable: Count::new(*j, *m),
        spread: Spread::NONE,
        worst_pods: Vec::new(),
    });
    Tick {
        from: at(from),
        to: at(to),
        series: series.collect(),
        canary_pods: 2,
        stable_pods: 10,
        skipped: Vec::new(),
    }
}

/// No floor, and errors that are known to come one by one.
pub(super) fn plain() -> Policy {
    Policy {
        min_absolute: Real::ZERO,
        dispersion: Dispersion::Fixed(Real::new(1.0)),
        ..Policy::default()
    }
}

fn counted(policy: &Policy, rows: &[[f64; 4]]) -> Evidence {
    let mut evidence = Evidence::none(at(0));
    for (index, row) in rows.iter().enumerate() {
        let from = 15 * i64::try_from(index).unwrap();
        assert!(evidence.count(policy, &tick(from, from + 15, *row)));
    }
    evidence
}

#[test]
fn three_errors_against_none_at_five_percent_roll_back() {
    let evidence = counted(&plain(), &[[3.0, 750.0, 0.0, 14250.0]]);
    assert!(evidence.rejects(&plain(), 1));
    // The reference is 6.466751 for a capital that is staked at once: a fifth is kept for later.
    let staked = evidence.log_evidence.get() - 6.466_751;
    assert!((-0.24..-0.2).contains(&staked), "{staked}");
}

#[test]
fn a_rejection_stands_whatever_comes_later() {
    let mut rows = vec![[9.0, 750.0, 14.0, 14250.0]];
    rows.extend([[0.0, 750.0, 14.0, 14250.0]; 50]);
    let evidence = counted(&plain(), &rows);
    assert!(evidence.log_evidence < Real::ZERO);
    assert!(evidence.rejects(&plain(), 1));
}

#[test]
fn errors_below_the_floor_do_not_roll_back() {
    let few = [[3.0, 3000.0, 0.0, 57000.0]];
    assert!(counted(&plain(), &few).rejects(&plain(), 1));
    let floor = Policy {
        min_absolute: Real::new(0.005),
        ..plain()
    };
    assert!(!counted(&floor, &few).rejects(&floor, 1));
    let many = [[60.0, 3000.0, 0.0, 57000.0]];
    assert!(counted(&floor, &many).rejects(&floor, 1));
}

#[test]
fn a_failure_after_hours_of_health_is_seen_within_ticks() {
    let policy = Policy {
        min_absolute: Real::new(0.001),
        ..plain()
    };
    let mut rows = vec![[1.0, 750.0, 14.0, 14250.0]; 960];
    assert!(counted(&policy, &rows).reassures(&policy));
    rows.extend([[8.0, 750.0, 14.0, 14250.0]; 4]);
    let bad = counted(&policy, &rows);
    assert!(bad.rejects(&policy, 1), "p {:?}", bad.p_value);
}

#[test]
fn gates_that_share_the_rate_need_more_evidence_each() {
    let row = [[2.0, 750.0, 0.0, 14250.0], [0.0, 750.0, 0.0, 14250.0]];
    let loose = Policy {
        false_rollback_rate: Real::new(0.05),
        ..plain()
    };
    let evidence = counted(&loose, &row);
    assert!(evidence.rejects(&loose, 1));
    assert!(!evidence.rejects(&loose, 4));
}

#[test]
fn a_tick_counts_once_and_one_without_traffic_on_a_side_not_at_all() {
    let policy = plain();
    let mut evidence = counted(&policy, &[[1.0, 750.0, 14.0, 14250.0]]);
    let before = evidence.clone();
    assert!(!evidence.count(&policy, &tick(0, 15, [9.0, 750.0, 0.0, 14250.0])));
    assert!(!evidence.count(&policy, &tick(20, 20, [9.0, 750.0, 0.0, 14250.0])));
    assert_eq!(evidence, before);
    assert!(evidence.count(&policy, &tick(15, 30, [9.0, 750.0, 0.0, 0.0])));
    assert_eq!(
        (evidence.canary, evidence.stable),
        (before.canary, before.stable)
    );
}

#[test]
fn the_worst_series_is_shown_and_one_bad_series_is_enough() {
    let policy = plain();
    let mut evidence = Evidence::none(at(0));
    let rows = [
        [520.0, 750.0, 9500.0, 14250.0],
        [190.0, 750.0, 3000.0, 14250.0],
        [60.0, 750.0, 400.0, 14250.0],
        [30.0, 750.0, 20.0, 14250.0],
    ];
    assert!(evidence.count(&policy, &ticks(0, 15, &rows)));
    assert_eq!(evidence.worst_series, 3);
    assert!(evidence.rejects(&policy, 1));
    assert_eq!(evidence.canary, Count::new(30.0, 750.0));
}

#[test]
fn one_series_without_evidence_that_it_is_good_keeps_reassurance_away() {
    let policy = plain();
    let good = [14.0, 15000.0, 285.0, 285_000.0];
    let mut both = Evidence::none(at(0));
    both.count(&policy, &ticks(0, 15, &[good, good]));
    assert!(both.reassures(&policy));
    let mut one = Evidence::none(at(0));
    one.count(
        &policy,
        &ticks(0, 15, &[good, [0.0, 15000.0, 0.0, 285_000.0]]),
    );
    assert!(!one.reassures(&policy));
}

#[test]
fn a_service_without_any_error_is_reassured_by_its_rate_alone() {
    let policy = Policy::default();
    let evidence = counted(&policy, &[[0.0, 30000.0, 0.0, 57000.0]]);
    assert!(evidence.reassures(&policy));
    assert!(!counted(&plain(), &[[0.0, 30000.0, 0.0, 57000.0]]).reassures(&plain()));
}

#[test]
fn fewer_successes_are_seen_when_fewer_is_worse() {
    let policy = Policy {
        direction: Direction::Decrease,
        max_relative_change: Real::new(0.1),
        ..plain()
    };
    let lost = counted(&policy, &[[300.0, 750.0, 13000.0, 14250.0]]);
    assert!(lost.rejects(&policy, 1));
    assert!(!lost.reassures(&policy));
    let kept = counted(&policy, &[[690.0, 750.0, 13000.0, 14250.0]]);
    assert!(!kept.rejects(&policy, 1));
    assert!(kept.reassures(&policy));
}

#[test]
fn clumps_divide_the_evidence() {
    let row = [[4.0, 750.0, 4.0, 14250.0]];
    let single = counted(&plain(), &row);
    let clumps = Policy {
        dispersion: Dispersion::Fixed(Real::new(4.0)),
        ..plain()
    };
    let clumped = counted(&clumps, &row);
    assert!(clumped.log_evidence.get() < single.log_evidence.get() / 2.0);
    assert_eq!(clumped.dispersion, Real::new(4.0));
}

#[test]
fn the_pod_with_most_of_the_errors_is_named_among_many() {
    let policy = plain();
    let mut evidence = Evidence::none(at(0));
    for index in 0..40_i64 {
        let mut one = tick(15 * index, 15 * (index + 1), [10.0, 750.0, 14.0, 14250.0]);
        one.series[0].worst_pods = vec![
            PodCount {
                pod: "web-bad".to_owned(),
                count: Count::new(9.0, 100.0),
            },
            PodCount {
                pod: format!("web-{}", index % 10),
                count: Count::new(1.0, 100.0),
            },
        ];
        evidence.count(&policy, &one);
    }
    let dominant = evidence.dominant_pod().unwrap();
    assert_eq!(dominant.pod, "web-bad");
    assert!(dominant.bad <= Real::new(360.0) && evidence.worst_pods.len() <= NAMED_PODS);
}

#[test]
fn the_sentence_has_the_counts_and_the_ratio() {
    let policy = plain();
    let evidence = counted(&policy, &[[6.0, 750.0, 13.0, 14250.0]]);
    let sentence = evidence.sentence(&policy);
    for part in ["6 of 750", "13 of 14 250", "8.8 times"] {
        assert!(
            sentence.replace('\u{202f}', " ").contains(part),
            "{sentence}"
        );
    }
}

#[test]
fn who_waits_for_proof_is_told_how_long() {
    let policy = Policy {
        on_inconclusive: OnInconclusive::Hold,
        ..plain()
    };
    let row = [1.0, 750.0, 19.0, 14250.0];
    let early = counted(&policy, &[row; 4]);
    let late = counted(&policy, &[row; 12]);
    let seconds = |evidence: &Evidence| evidence.seconds_to_reassure(&policy).unwrap();
    assert!(seconds(&late) < seconds(&early));
    assert!(
        early.sentence(&policy).contains("min more until"),
        "{}",
        early.sentence(&policy)
    );
    let shown = counted(&policy, &[row; 60]);
    assert!(shown.reassures(&policy));
    assert!(!shown.sentence(&policy).contains("more until"));
    assert!(!early.sentence(&plain()).contains("more until"));
}

#[test]
fn evidence_reads_back_from_its_text_as_itself() {
    let evidence = counted(&Policy::default(), &[[6.0, 750.0, 13.0, 14250.0]; 7]);
    let text = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    assert!(text.len() < 1500, "{} bytes: {text}", text.len());
}
