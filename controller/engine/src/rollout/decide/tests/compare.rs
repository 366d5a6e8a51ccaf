use super::*;
use crate::{
    analysis::{
        Count, Real,
        dispersion::Spread,
        evidence::{Dispersion, OnInconclusive, Policy},
        ledger::{SeriesTick, Tick},
    },
    gate::{Method, Verdict, fold::MAX_PENDING},
    rollout::status::RollbackReason,
};

fn comparing(name: &str, change: impl FnOnce(&mut Policy)) -> GatePolicy {
    let mut rules = Policy {
        min_absolute: Real::ZERO,
        dispersion: Dispersion::Fixed(Real::new(1.0)),
        ..Policy::default()
    };
    change(&mut rules);
    GatePolicy {
        method: Method::Compare(rules),
        ..gate(name)
    }
}

fn canary(gates: Vec<GatePolicy>) -> Bench {
    let mut bench = Bench::healthy();
    if let Ok(plan) = &mut bench.plan {
        plan.gates = gates;
    }
    bench.apply("v2");
    bench.settle();
    bench
}

impl Bench {
    /// What was counted in the ten seconds before now.
    fn count(&mut self, gate: &str, [k, n, j, m]: [f64; 4]) -> &mut Self {
        let series = SeriesTick {
            canary: Count::new(k, n),
            stable: Count::new(j, m),
            spread: Spread::NONE,
            worst_pods: Vec::new(),
        };
        let tick = Tick {
            from: self.now - SignedDuration::from_secs(10),
            to: self.now,
            series: vec![series],
            canary_pods: 3,
            stable_pods: 10,
            skipped: Vec::new(),
        };
        self.measure(gate, Result::Counted(tick))
    }
}

const EQUAL: [f64; 4] = [1.0, 1000.0, 4.0, 4000.0];

#[test]
fn a_canary_that_does_worse_is_removed_in_the_same_pass_with_the_counts_as_reason() {
    let mut bench = canary(vec![comparing("errors", |_| {})]);
    bench.after(10).count("errors", [6.0, 750.0, 13.0, 14250.0]);
    bench.decide();
    bench.after(10).count("errors", [6.0, 750.0, 13.0, 14250.0]);
    let decision = bench.decide();
    assert!(matches!(
        decision.effects.as_slice(),
        [Effect::RemoveCandidate { .. }]
    ));
    let rollback = bench.status.rollback.as_ref().unwrap();
    assert_eq!(rollback.reason, RollbackReason::GateFailed);
    let message = rollback.message.replace('\u{202f}', " ");
    let expected = "Gate errors: 12 of 1 500 requests were bad on the canary, 26 of 28 500 on stable: 8.8 times";
    assert!(message.starts_with(expected), "{message}");
}

#[test]
fn two_gates_that_each_say_half_of_it_say_it_together() {
    // Given evidence of more than 100 and less than 200 in each of two gates: with a rate of 0.01 one of two would need 200.
    let half = [4.6, 1000.0, 0.0, 4000.0];
    let mut alone = canary(vec![
        comparing("errors", |_| {}),
        comparing("latency", |_| {}),
    ]);
    alone.after(10).count("errors", half);
    alone.count("latency", EQUAL);
    alone.decide();
    assert_eq!(alone.status.phase, Phase::Progressing);
    // When both have it.
    let mut both = canary(vec![
        comparing("errors", |_| {}),
        comparing("latency", |_| {}),
    ]);
    both.after(10).count("errors", half);
    both.count("latency", half);
    both.decide();
    assert_eq!(both.status.phase, Phase::RollingBack);
    let message = &both.status.rollback.as_ref().unwrap().message;
    assert!(message.contains("failed together"), "{message}");
    assert!(
        message.contains("Beside it speak against the candidate: "),
        "{message}"
    );
}

#[test]
fn each_step_needs_requests_of_its_own_and_the_evidence_stays() {
    let mut bench = canary(vec![comparing("errors", |rules| rules.min_requests = 1500)]);
    for _ in 0..7 {
        bench.after(10).count("errors", EQUAL).settle();
    }
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
    let evidence = bench.status.gates[0].evidence.clone().unwrap();
    assert_eq!(evidence.step_requests, Real::ZERO);
    assert!(evidence.canary.total() >= 2000.0);
    for _ in 0..4 {
        bench.after(10).count("errors", EQUAL).settle();
    }
    assert_eq!(
        bench.status.phase,
        Phase::Progressing,
        "the step holds a minute"
    );
    for _ in 0..2 {
        bench.after(10).count("errors", EQUAL).settle();
    }
    assert_eq!(bench.status.phase, Phase::Baking);
}

#[test]
fn counting_costs_no_write_while_it_says_nothing_new() {
    let mut bench = canary(vec![comparing("errors", |_| {})]);
    if let Ok(plan) = &mut bench.plan {
        plan.steps[0].hold = Duration::from_hours(2);
    }
    bench.after(10).count("errors", EQUAL).decide();
    let first = bench.status.clone();
    for _ in 1..MAX_PENDING {
        bench.after(10).count("errors", EQUAL).decide();
        assert_eq!(bench.status, first);
    }
    bench.after(10).count("errors", EQUAL).decide();
    assert_ne!(bench.status, first);
    let counted = bench.status.gates[0].evidence.as_ref().unwrap();
    let ticks = u32::try_from(MAX_PENDING + 1).unwrap();
    assert_eq!(
        counted.canary,
        Count::new(f64::from(ticks), 1000.0 * f64::from(ticks))
    );
}

#[test]
fn who_wants_proof_by_the_deadline_gets_a_rollback_without_it() {
    let mut bench = canary(vec![comparing("errors", |rules| {
        rules.on_inconclusive = OnInconclusive::RollBack;
    })]);
    // Given too few requests to show anything, for the hold of a minute and nearly all of the deadline of ten.
    for _ in 0..65 {
        bench
            .after(10)
            .count("errors", [0.0, 1.0, 0.0, 4.0])
            .decide();
    }
    assert_eq!(bench.status.phase, Phase::Progressing);
    assert_eq!(bench.status.step_text.as_deref(), Some("1/2"));
    let waiting = bench.status.waiting_for.clone().unwrap().message;
    assert!(
        waiting.contains("before the progress deadline is over"),
        "{waiting}"
    );
    bench
        .after(10)
        .count("errors", [0.0, 1.0, 0.0, 4.0])
        .decide();
    assert_eq!(bench.status.phase, Phase::RollingBack);
    let rollback = bench.status.rollback.clone().unwrap();
    assert_eq!(rollback.reason, RollbackReason::DeadlineExceeded);
}

#[test]
fn the_bake_ends_although_there_is_nothing_left_to_compare_with() {
    let mut bench = canary(vec![comparing("errors", |_| {})]);
    for _ in 0..20 {
        bench.after(10).count("errors", EQUAL).settle();
        if bench.status.phase == Phase::Baking {
            break;
        }
    }
    assert_eq!(bench.status.phase, Phase::Baking);
    for _ in 0..13 {
        bench
            .after(10)
            .measure("errors", Result::NoBaseline)
            .settle();
    }
    assert_eq!(bench.status.phase, Phase::Healthy);
}

#[test]
fn a_dry_run_neither_rolls_back_nor_takes_a_part_of_the_rate() {
    let mut dry = comparing("trial", |_| {});
    dry.mode = Mode::DryRun;
    let mut bench = canary(vec![comparing("errors", |_| {}), dry]);
    bench.after(10).count("trial", [90.0, 1000.0, 4.0, 4000.0]);
    bench.count("errors", EQUAL).decide();
    assert_eq!(bench.status.phase, Phase::Progressing);
    let trial = bench.status.gates.iter().find(|gate| gate.name == "trial");
    assert_eq!(trial.unwrap().verdict, Verdict::Fail);
    bench.after(10).count("errors", [9.0, 1000.0, 0.0, 4000.0]);
    bench.decide();
    assert_eq!(bench.status.phase, Phase::RollingBack);
}

#[test]
fn the_first_count_is_written_down_so_that_a_restart_knows_from_when_to_count() {
    let mut bench = canary(vec![comparing("errors", |_| {})]);
    bench
        .after(10)
        .count("errors", [3.0, 1000.0, 0.0, 4000.0])
        .decide();
    let gate = &bench.status.gates[0];
    assert_eq!(gate.verdict, Verdict::Continue);
    assert_eq!(gate.evidence.as_ref().unwrap().counted_through, bench.now);
}

#[test]
fn a_look_without_newer_samples_makes_a_verdict_no_younger() {
    let mut bench = canary(vec![comparing("errors", |_| {})]);
    for _ in 0..5 {
        bench.after(10).count("errors", EQUAL).settle();
    }
    // When another process takes over, and finds no newer samples at the end of the hold.
    bench.after(5);
    bench.seen.readings.clear();
    bench.seen.acting_since = bench.now;
    bench
        .after(10)
        .measure("errors", Result::Unchanged)
        .settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("1/2"));
    bench.after(10).count("errors", EQUAL).settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
}

/// A first step of two hours that ends by evidence, with this gate.
fn test_of_two_hours(change: impl FnOnce(&mut Policy)) -> Bench {
    let mut bench = Bench::healthy();
    if let Ok(plan) = &mut bench.plan {
        plan.gates = vec![comparing("errors", change)];
        plan.steps[0].hold = Duration::from_hours(2);
        plan.steps[0].end = End::Evidence;
    }
    bench.apply("v2");
    bench.settle();
    bench
}

#[test]
fn a_test_ends_as_soon_as_the_candidate_is_shown_to_be_good_enough_and_not_before() {
    let mut bench = test_of_two_hours(|rules| rules.on_inconclusive = OnInconclusive::Hold);
    bench
        .after(10)
        .count("errors", [0.0, 1.0, 0.0, 4.0])
        .settle();
    assert_eq!(bench.waits_for(), "Hold");
    let message = &bench.status.waiting_for.as_ref().unwrap().message;
    assert!(
        message.contains("have shown the candidate to be good enough"),
        "{message}"
    );
    let mut looks = 0;
    while bench.status.step_text.as_deref() == Some("1/2") && looks < 100 {
        let evidence = bench.status.gates[0].evidence.clone();
        let rules = bench.plan.as_ref().unwrap().gates[0]
            .method
            .comparison()
            .cloned();
        let shown = evidence
            .zip(rules)
            .is_some_and(|(evidence, rules)| evidence.reassures(&rules));
        assert!(!shown, "it goes on with evidence enough");
        bench.after(10).count("errors", EQUAL).settle();
        looks += 1;
    }
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
    assert!((2..100).contains(&looks), "{looks} looks");
}

#[test]
fn an_undecided_test_does_what_was_said_for_it_at_its_end() {
    let few = [0.0, 1.0, 0.0, 4.0];
    for (said, phase, step) in [
        (OnInconclusive::Advance, Phase::Progressing, "2/2"),
        (OnInconclusive::Hold, Phase::Progressing, "1/2"),
        (OnInconclusive::RollBack, Phase::RollingBack, "1/2"),
    ] {
        let mut bench = test_of_two_hours(|rules| rules.on_inconclusive = said);
        for _ in 0..719 {
            bench.after(10).count("errors", few).decide();
        }
        assert_eq!(bench.status.step_text.as_deref(), Some("1/2"), "{said:?}");
        for _ in 0..4 {
            bench.after(10).count("errors", few).decide();
        }
        assert_eq!(bench.status.phase, phase, "{said:?}");
        assert_eq!(bench.status.step_text.as_deref(), Some(step), "{said:?}");
    }
}

#[test]
fn without_a_gate_that_compares_a_test_lasts_its_time() {
    let mut bench = Bench::healthy();
    let step = &mut bench.plan.as_mut().unwrap().steps[0];
    step.end = End::Evidence;
    bench.apply("v2");
    bench.settle();
    bench.after(10).pass().settle();
    assert_eq!(bench.waits_for(), "Hold");
    bench.after(51).pass().settle();
    assert_eq!(bench.status.step_text.as_deref(), Some("2/2"));
}
