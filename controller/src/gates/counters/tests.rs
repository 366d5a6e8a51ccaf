use serde_json::json;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn counters() -> Counters {
    Counters {
        pod_label: "pod".to_owned(),
        counted: Counted::Events(pair()),
    }
}

fn pair() -> Pair {
    Pair {
        bad: "r{code=~\"5..\"}".to_owned(),
        total: "r # all".to_owned(),
    }
}

fn pod(name: &str, role: Role) -> Sided {
    let facts = PodFacts {
        name: name.to_owned(),
        hash: None,
        started_at: at(10),
        ready_at: Some(at(20)),
    };
    (role, facts)
}

/// Rows of class, pod and number.
fn vector(rows: &[(&str, Option<&str>, &str)]) -> Data {
    let result: Vec<_> = rows
        .iter()
        .map(|(class, pod, value)| {
            let mut metric = json!({CLASS: class});
            if let Some(pod) = pod {
                metric["pod"] = json!(pod);
            }
            json!({"metric": metric, "value": [100, value]})
        })
        .collect();
    serde_json::from_value(json!({"resultType": "vector", "result": result})).unwrap()
}

#[test]
fn one_query_asks_for_everything() {
    let query = counters().query();
    for part in [
        "sum by (pod) (\nr{code=~\"5..\"}\n)",
        "\"belay_class\", \"total\"",
        "max by (pod) (timestamp(\nr # all\n))",
    ] {
        assert!(query.contains(part), "{query}");
    }
    assert_eq!(query.matches(" or ").count(), 2);
}

#[test]
fn a_pod_without_bad_events_has_none_and_one_without_counters_is_there_all_the_same() {
    let data = vector(&[
        ("total", Some("a"), "100"),
        ("at", Some("a"), "95.5"),
        ("bad", Some("b"), "3"),
        ("total", Some("b"), "50"),
        ("at", Some("b"), "96"),
        ("total", Some("stranger"), "1000"),
    ]);
    let pods = [
        pod("a", Role::Stable),
        pod("b", Role::Canary),
        pod("c", Role::Canary),
    ];
    let snapshot = counters().snapshot(&data, at(100), &pods).unwrap();
    let seen: Vec<_> = snapshot
        .pods
        .iter()
        .map(|pod| (pod.pod.as_str(), pod.counters.clone(), pod.sampled_at))
        .collect();
    let sampled = |millisecond| Some(Timestamp::from_millisecond(millisecond).unwrap());
    assert_eq!(
        seen,
        [
            ("a", vec![Count::new(0.0, 100.0)], sampled(95_500)),
            ("b", vec![Count::new(3.0, 50.0)], sampled(96_000)),
            ("c", vec![], None),
        ]
    );
}

#[test]
fn what_can_not_be_counted_is_told() {
    let pods = [pod("a", Role::Stable)];
    let of = |data: &Data| counters().snapshot(data, at(100), &pods).unwrap_err();
    assert_eq!(of(&vector(&[])), Unusable::Empty);
    let Unusable::Wrong(why) = of(&vector(&[("total", None, "5")])) else {
        panic!("there was something");
    };
    assert!(why.contains("no label \"pod\""), "{why}");
    let Unusable::Wrong(why) = of(&vector(&[("total", Some("x"), "5")])) else {
        panic!("there was something");
    };
    assert!(why.contains("1 others (x)"), "{why}");
}

#[test]
fn proxies_stand_for_themselves_on_both_sides() {
    let counters = Counters {
        counted: Counted::Sides {
            canary: pair(),
            baseline: pair(),
        },
        ..counters()
    };
    let data = vector(&[
        ("total", Some("proxy"), "5"),
        ("at", Some("proxy"), "99"),
        ("baseline_total", Some("proxy"), "500"),
        ("baseline_at", Some("proxy"), "99"),
    ]);
    let snapshot = counters.snapshot(&data, at(100), &[]).unwrap();
    let sides: Vec<_> = snapshot
        .pods
        .iter()
        .map(|p| (p.pod.as_str(), p.role))
        .collect();
    assert_eq!(
        sides,
        [("proxy", Role::Canary), ("baseline proxy", Role::Stable)]
    );
}

#[test]
fn a_histogram_is_counted_at_the_bounds_of_the_stable_pods() {
    let latency = |measure| Counters {
        pod_label: "pod".to_owned(),
        counted: Counted::Latency {
            histogram: "h_bucket".to_owned(),
            measure,
        },
    };
    let row = |pod: &str, le: &str, value: &str| json!({"metric": {CLASS: "bucket", "pod": pod, "le": le}, "value": [100, value]});
    let data: Data = serde_json::from_value(json!({"resultType": "vector", "result": [
        row("a", "0.1", "6"), row("a", "+Inf", "10"), row("b", "0.1", "1"), row("b", "0.3", "2"), row("b", "+Inf", "4")]}))
    .unwrap();
    let pods = [pod("a", Role::Stable), pod("b", Role::Canary)];
    let every = latency(Measure::EveryBucket);
    let snapshot = every.snapshot(&data, at(100), &pods).unwrap();
    let counts: Vec<_> = snapshot
        .pods
        .iter()
        .map(|pod| pod.counters.clone())
        .collect();
    assert_eq!(
        counts,
        [vec![Count::new(4.0, 10.0)], vec![Count::new(3.0, 4.0)]]
    );
    // And a bound beyond the last one is refused, for it would never be exceeded.
    let beyond = latency(Measure::SlowerThan(0.2)).snapshot(&data, at(100), &pods);
    let Err(Unusable::Wrong(why)) = beyond else {
        panic!("{beyond:?}");
    };
    assert!(why.contains("up to 0.1 only"), "{why}");
}
