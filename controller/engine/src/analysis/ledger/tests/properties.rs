//! What must hold for whatever is looked at.

use proptest::prelude::*;

use super::{super::*, RULES, at, look, pod};

/// What one pod does between two looks: new bad and good events, and whether the look gets its sample.
type Act = (u32, u32, bool);

const PODS: [(&str, Role); 4] = [
    ("c1", Role::Canary),
    ("c2", Role::Canary),
    ("s1", Role::Stable),
    ("s2", Role::Stable),
];

fn sum(ticks: &[Tick], role: Role) -> Count {
    ticks
        .iter()
        .map(|tick| match role {
            Role::Canary => tick.series[0].canary,
            Role::Stable => tick.series[0].stable,
        })
        .sum()
}

fn nonsense() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-5.0),
        Just(1e300),
        0.0..1e6,
    ]
}

proptest! {
    #[test]
    fn increments_add_up_to_the_last_counter_whatever_is_missed(
        acts in prop::collection::vec(prop::array::uniform4((0_u32..5, 0_u32..500, any::<bool>())), 1..20),
    ) {
        let mut ledger = Ledger::new(RULES, at(0));
        let mut truth = [(7.0, 100.0); 4];
        let mut seen: [(i64, (f64, f64)); 4] = [(100, (7.0, 100.0)); 4];
        let snapshot = |second: i64, seen: &[(i64, (f64, f64)); 4]| {
            let pods = PODS.iter().zip(seen).map(|((name, role), (sampled, (bad, total)))| {
                pod(name, *role, *sampled, *bad, *total)
            });
            look(second, pods.collect())
        };
        prop_assert_eq!(ledger.observe(&snapshot(100, &seen)), Observation::Baseline);
        let mut ticks = Vec::new();
        let mut second = 100;
        let mut rounds: Vec<[Act; 4]> = acts;
        // The last look sees everything.
        rounds.push([(0, 0, true); 4]);
        for round in rounds {
            second += 10;
            for (index, (bad, good, sampled)) in round.into_iter().enumerate() {
                let (b, t) = truth[index];
                truth[index] = (b + f64::from(bad), t + f64::from(bad) + f64::from(good));
                if sampled {
                    seen[index] = (second, truth[index]);
                }
            }
            if let Observation::Tick(tick) = ledger.observe(&snapshot(second, &seen)) {
                ticks.push(tick);
            }
        }
        for (role, range) in [(Role::Canary, 0..2), (Role::Stable, 2..4)] {
            let expected: Count = truth[range].iter().map(|(b, t)| Count::new(b - 7.0, t - 100.0)).sum();
            prop_assert_eq!(sum(&ticks, role), expected);
        }
        for pair in ticks.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
        }
    }

    #[test]
    fn a_restart_at_any_look_loses_and_doubles_nothing(
        acts in prop::collection::vec((0_u32..5, 0_u32..500), 2..12),
        restart in 1_usize..12,
    ) {
        // Given counters that Prometheus can be asked for again at any past time.
        let mut counters = vec![(0.0, 0.0)];
        for (bad, good) in &acts {
            let (b, t) = counters[counters.len() - 1];
            counters.push((b + f64::from(*bad), t + f64::from(*bad) + f64::from(*good)));
        }
        let snapshot = |index: usize| {
            let second = 100 + 10 * i64::try_from(index).unwrap();
            let (bad, total) = counters[index];
            look(second, vec![
                pod("c", Role::Canary, second, bad, total),
                pod("s", Role::Stable, second, bad, total),
            ])
        };
        let mut ledger = Ledger::new(RULES, at(0));
        ledger.observe(&snapshot(0));
        let mut ticks = Vec::new();
        for index in 1..counters.len() {
            // When the controller is started anew in between, and asks for the counters through which it has counted.
            if index == restart {
                ledger = Ledger::new(RULES, at(0));
                ledger.observe(&snapshot(index - 1));
            }
            match ledger.observe(&snapshot(index)) {
                Observation::Tick(tick) => ticks.push(tick),
                other => prop_assert!(false, "{other:?}"),
            }
        }
        let (bad, total) = counters[counters.len() - 1];
        prop_assert_eq!(sum(&ticks, Role::Canary), Count::new(bad, total));
    }

    #[test]
    fn nonsense_gives_no_negative_and_no_infinite_increment(
        looks in prop::collection::vec(
            prop::array::uniform4((nonsense(), nonsense(), 0_i64..300, 0_i64..300)), 1..10),
    ) {
        let mut ledger = Ledger::new(RULES, at(0));
        for (index, samples) in looks.into_iter().enumerate() {
            let pods = PODS.iter().zip(samples).map(|((name, role), (bad, total, sampled, started))| PodSample {
                started_at: at(started),
                ..pod(name, *role, sampled, bad, total)
            });
            let second = 10 * i64::try_from(index).unwrap();
            if let Observation::Tick(tick) = ledger.observe(&look(second, pods.collect())) {
                for series in &tick.series {
                    for count in [series.canary, series.stable] {
                        prop_assert!(count.bad() >= 0.0 && count.total().is_finite());
                    }
                }
            }
        }
    }
}
