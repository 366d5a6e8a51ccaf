//! What must hold for whatever is counted.

use proptest::prelude::*;

use super::{super::*, plain, ticks};

type Row = [f64; 4];

/// `k` of `n` on the canary, `j` of `m` on stable.
fn row() -> impl Strategy<Value = Row> {
    (1_u32..5000, 0.0..1.0, 1_u32..50_000, 0.0..1.0).prop_map(
        |(n, k, m, j): (u32, f64, u32, f64)| {
            let (n, m) = (f64::from(n), f64::from(m));
            // Few errors, mostly.
            [(n * k.powi(6)).floor(), n, (m * j.powi(6)).floor(), m]
        },
    )
}

fn counted(policy: &Policy, looks: &[(i64, Vec<Row>)]) -> Evidence {
    let mut evidence = Evidence::none(super::at(0));
    for (at, rows) in looks {
        evidence.count(policy, &ticks(*at, at + 15, rows));
    }
    evidence
}

fn logs(own: &SeriesEvidence) -> impl Iterator<Item = f64> {
    let all = own.ratio.iter().chain(&own.floor).chain(&own.acceptable);
    all.map(|log| log.get())
}

/// Any number that a confused provider may give.
fn nonsense() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(-1.0),
        Just(0.0),
        Just(f64::MIN_POSITIVE),
        Just(1e300),
        any::<f64>(),
    ]
}

proptest! {
    #[test]
    fn splitting_a_tick_evenly_changes_nothing([k, n, j, m] in row(), parts in 2_u32..6) {
        let parts_of = f64::from(parts);
        let whole = Count::new(k, n);
        let stable = Count::new(j, m);
        for multiple in crate::analysis::ratio::INCREASE {
            let log = |canary, stable| crate::analysis::ratio::log_ratio(canary, stable, 1.2, multiple);
            let one = log(whole, stable);
            let part = log(Count::new(k / parts_of, n / parts_of), Count::new(j / parts_of, m / parts_of));
            // Each part is rounded to eight decimals.
            prop_assert!((one - part * parts_of).abs() < 1e-6 * (1.0 + one.abs()), "{one} {part}");
        }
    }

    #[test]
    fn the_order_of_the_series_changes_nothing(rows in prop::collection::vec(row(), 2..8)) {
        let forth = counted(&plain(), &[(0, rows.clone())]);
        let back = counted(&plain(), &[(0, rows.into_iter().rev().collect())]);
        prop_assert!((forth.log_evidence.get() - back.log_evidence.get()).abs() < 1e-6);
        prop_assert_eq!(forth.log_reassurance, back.log_reassurance);
    }

    #[test]
    fn one_more_error_on_the_canary_never_speaks_for_it([k, n, j, m] in row()) {
        prop_assume!(k + 1.0 <= n);
        let fewer = counted(&Policy::default(), &[(0, vec![[k, n, j, m]])]);
        let more = counted(&Policy::default(), &[(0, vec![[k + 1.0, n, j, m]])]);
        prop_assert!(more.log_evidence >= fewer.log_evidence);
        // Beyond what is enough it is cut, and rounding shows.
        prop_assert!(more.log_reassurance.get() <= fewer.log_reassurance.get() + 1e-6);
    }

    #[test]
    fn one_more_error_on_stable_never_speaks_against_the_canary([k, n, j, m] in row()) {
        prop_assume!(j + 1.0 <= m);
        let fewer = counted(&plain(), &[(0, vec![[k, n, j, m]])]);
        let more = counted(&plain(), &[(0, vec![[k, n, j + 1.0, m]])]);
        prop_assert!(more.log_evidence <= fewer.log_evidence);
    }

    #[test]
    fn the_p_value_only_falls(rows in prop::collection::vec(row(), 1..20)) {
        let mut evidence = Evidence::none(super::at(0));
        let mut last = evidence.p_value;
        for (index, row) in rows.into_iter().enumerate() {
            let from = 15 * i64::try_from(index).unwrap();
            evidence.count(&plain(), &ticks(from, from + 15, &[row]));
            prop_assert!(evidence.p_value <= last);
            last = evidence.p_value;
        }
    }

    #[test]
    fn nonsense_leaves_finite_evidence(
        looks in prop::collection::vec(([nonsense(), nonsense(), nonsense(), nonsense()], -50_i64..500), 1..12),
        [tolerated, floor, alpha, beta, worst, dispersion] in
            [nonsense(), nonsense(), nonsense(), nonsense(), nonsense(), nonsense()],
    ) {
        let policy = Policy {
            max_relative_change: Real::new(tolerated),
            min_absolute: Real::new(floor),
            false_rollback_rate: Real::new(alpha),
            miss_rate: Real::new(beta),
            unacceptable_ratio: Real::new(worst),
            dispersion: Dispersion::Fixed(Real::new(dispersion)),
            ..Policy::default()
        };
        let looks: Vec<_> = looks.into_iter().map(|(row, at)| (at, vec![row])).collect();
        let evidence = counted(&policy, &looks);
        for own in &evidence.series {
            prop_assert!(logs(own).all(f64::is_finite));
        }
        prop_assert!((0.0..=1.0).contains(&evidence.p_value.get()));
        let text = serde_json::to_string(&evidence).unwrap();
        prop_assert_eq!(serde_json::from_str::<Evidence>(&text).unwrap(), evidence);
    }
}
