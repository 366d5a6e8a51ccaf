use crate::{Code, Role, ScrapeInterval, Settings, Severity, lint, lint_pair};
use std::time::Duration;

fn codes(query: &str, role: Role) -> Vec<Code> {
    let found = lint(query, role, &Settings::default());
    found.iter().map(|finding| finding.code).collect()
}

fn worst(query: &str, role: Role) -> Option<(Code, Severity)> {
    let found = lint(query, role, &Settings::default());
    found
        .first()
        .map(|finding| (finding.code, finding.severity))
}

/// Each query with the one thing that is wrong with it as a threshold query.
const MISTAKES: &[(&str, Code, Severity)] = &[
    ("sum(rate(x_total[5m])", Code::Syntax, Severity::Error),
    ("sum(rate(x_total))", Code::Syntax, Severity::Error),
    ("", Code::Syntax, Severity::Error),
    (
        "sum(a) / (sum(b) or vector(1))",
        Code::HidesMissingData,
        Severity::Error,
    ),
    (
        "sum(a) / (sum(b) or on() vector(0))",
        Code::HidesMissingData,
        Severity::Error,
    ),
    (
        "1 - sum(a) / (sum(b) or vector(0))",
        Code::HidesMissingData,
        Severity::Error,
    ),
    (
        "(sum(a) / sum(b)) or vector(0)",
        Code::HidesMissingData,
        Severity::Error,
    ),
    (
        "1 - (sum(a) / sum(b) or vector(1))",
        Code::HidesMissingData,
        Severity::Error,
    ),
    (
        "sum(a) or vector(0)",
        Code::HidesMissingData,
        Severity::Warning,
    ),
    (
        "rate(x_total[5m])[10m:1m]",
        Code::NotANumber,
        Severity::Error,
    ),
    ("x[5m]", Code::NotANumber, Severity::Error),
    (r#""text""#, Code::NotANumber, Severity::Error),
    ("up", Code::SeveralSeries, Severity::Warning),
    ("sum by (pod) (up)", Code::SeveralSeries, Severity::Warning),
    (
        "sum without (pod) (up)",
        Code::SeveralSeries,
        Severity::Warning,
    ),
    ("topk(3, up)", Code::SeveralSeries, Severity::Warning),
    (
        "rate(a[5m]) / rate(b[5m])",
        Code::SeveralSeries,
        Severity::Warning,
    ),
    (
        "sum(a) or sum by (pod) (b)",
        Code::SeveralSeries,
        Severity::Warning,
    ),
    (
        "histogram_quantile(0.9, sum by (le, pod) (rate(x_bucket[5m])))",
        Code::SeveralSeries,
        Severity::Warning,
    ),
    (
        "sum(rate(x_total[30s]))",
        Code::ShortRange,
        Severity::Warning,
    ),
    (
        "sum(increase(x_total[59s]))",
        Code::ShortRange,
        Severity::Warning,
    ),
    ("sum(x_total)", Code::LifetimeTotal, Severity::Warning),
    (
        "histogram_quantile(0.9, sum by (le) (x_bucket))",
        Code::LifetimeTotal,
        Severity::Warning,
    ),
    (
        "sum(rate(sum(x_total)[5m:]))",
        Code::RateOfSum,
        Severity::Warning,
    ),
    ("sum(a) > 0.1", Code::FilteringComparison, Severity::Error),
    (
        "(sum(a) / sum(b)) < 0.99",
        Code::FilteringComparison,
        Severity::Error,
    ),
    ("count(a > 5)", Code::FilteringComparison, Severity::Warning),
    ("sum(a == 0)", Code::FilteringComparison, Severity::Warning),
    (
        r#"avg(x{quantile="0.99"})"#,
        Code::AverageOfQuantiles,
        Severity::Warning,
    ),
    (
        "avg(histogram_quantile(0.9, sum by (le, pod) (rate(x_bucket[5m]))))",
        Code::AverageOfQuantiles,
        Severity::Warning,
    ),
    (
        "histogram_quantile(0.9, sum(rate(x_bucket[5m])))",
        Code::QuantileWithoutBuckets,
        Severity::Error,
    ),
    (
        r#"sum(rate(x_total{code="500"}[5m]))"#,
        Code::OneStatusCode,
        Severity::Warning,
    ),
    (
        r#"sum(rate(x_total{status!="200"}[5m]))"#,
        Code::OneStatusCode,
        Severity::Warning,
    ),
    (
        r#"sum(x{zone=~".*"})"#,
        Code::MatchesEverything,
        Severity::Warning,
    ),
    (
        r#"sum(x{route=~".*--.*"})"#,
        Code::EmptyPart,
        Severity::Warning,
    ),
    (
        r#"sum(rate(x_total{code=~"5.."}[5m])) / sum(rate(x_total{service="shop"}[5m]))"#,
        Code::DifferentPopulations,
        Severity::Warning,
    ),
    (
        r"sum(rate(x_total[5m])) / sum(rate(x_total[5m]))",
        Code::DifferentPopulations,
        Severity::Warning,
    ),
];

/// Queries that are as they should be.
const RIGHT: &[&str] = &[
    "1",
    "vector(1)",
    "scalar(sum(a))",
    r#"sum(rate(http_requests_total{code=~"5.."}[1m])) / sum(rate(http_requests_total[1m]))"#,
    r#"(sum(rate(x_total{code=~"5.."}[5m])) or vector(0)) / sum(rate(x_total[5m]))"#,
    r#"1 - (sum(rate(x_total{code=~"5.."}[5m])) or on() vector(0)) / sum(rate(x_total[5m]))"#,
    "histogram_quantile(0.99, sum by (le) (rate(x_bucket[5m])))",
    "histogram_quantile(0.99, sum(rate(x[5m])))",
    "max(histogram_quantile(0.99, sum by (le, pod) (rate(x_bucket[5m]))))",
    "sum(a) and sum(rate(b_total[5m])) > 10",
    "sum(a > bool 5)",
    "sum(a) > bool 5",
    "count(x_total)",
    "absent(x_total)",
    r#"max(x{quantile="0.99"})"#,
    r#"sum(x{status="5xx"})"#,
    r#"sum(x{pod=~"checkout-.+"})"#,
    "topk(1, up)",
    "abs(sum(a)) * 100",
    "sum(a) * on() group_left max(b)",
];

#[test]
fn every_mistake_in_a_threshold_query_is_found_and_is_the_worst_of_it() {
    for (query, code, severity) in MISTAKES {
        assert_eq!(
            worst(query, Role::Threshold),
            Some((*code, *severity)),
            "{query}"
        );
    }
}

#[test]
fn right_queries_have_no_findings() {
    for query in RIGHT {
        assert_eq!(codes(query, Role::Threshold), [], "{query}");
    }
}

#[test]
fn every_finding_says_what_to_write() {
    for (query, ..) in MISTAKES {
        for finding in lint(query, Role::Threshold, &Settings::default()) {
            let tells = [
                "write",
                "leave out",
                "put",
                "add the buckets",
                "limit",
                "say what",
            ];
            assert!(
                finding.code == Code::Syntax
                    || tells.iter().any(|word| finding.message.contains(word)),
                "{}",
                finding.message
            );
        }
    }
}

#[test]
fn compared_counters_are_raw_and_keep_their_pod() {
    for query in [
        r#"http_requests_total{code=~"5.."}"#,
        "sum by (pod) (x_total)",
        "sum by (namespace, pod) (x_total)",
        "sum without (code) (x_total)",
        "a_total + b_total",
        "a_total or b_total",
        r#"label_replace(a_total, "pod", "$1", "kubernetes_pod_name", "(.*)")"#,
        "a_total * on (namespace, pod) group_left (version) kube_pod_info",
        "2 * a_total",
    ] {
        assert_eq!(codes(query, Role::Bad), [], "{query}");
    }
    for (query, code) in [
        ("sum(x_total)", Code::PodLabelLost),
        ("sum by (code) (x_total)", Code::PodLabelLost),
        ("sum without (pod) (x_total)", Code::PodLabelLost),
        ("a_total / on (namespace) b_total", Code::PodLabelLost),
        ("vector(1)", Code::PodLabelLost),
        ("rate(x_total[5m])", Code::NotRawCounter),
        ("sum by (pod) (increase(x_total[5m]))", Code::NotRawCounter),
        ("x_total[5m]", Code::NotRawCounter),
        ("x_total offset 1w", Code::ShiftedInTime),
        ("x_total > 0", Code::FilteringComparison),
    ] {
        assert_eq!(
            worst(query, Role::Total).map(|(code, _)| code),
            Some(code),
            "{query}"
        );
    }
    let hidden = worst("sum by (pod) (x_total) or vector(0)", Role::Bad);
    assert_eq!(hidden, Some((Code::HidesMissingData, Severity::Error)));
}

#[test]
fn the_name_of_the_pod_label_is_a_setting() {
    let settings = Settings {
        pod_label: Some("kubernetes_pod_name".to_owned()),
        ..Settings::default()
    };
    let found = |query| lint(query, Role::Bad, &settings);
    assert_eq!(found("sum by (kubernetes_pod_name) (x_total)"), []);
    assert!(
        found("sum by (pod) (x_total)")[0]
            .message
            .contains("kubernetes_pod_name")
    );
}

#[test]
fn a_known_scrape_interval_makes_a_hopeless_range_an_error() {
    let with = |seconds| Settings {
        scrape_interval: ScrapeInterval::Known(Duration::from_secs(seconds)),
        ..Settings::default()
    };
    let severity = |seconds| {
        let found = lint("sum(rate(x_total[1m]))", Role::Threshold, &with(seconds));
        found.first().map(|finding| finding.severity)
    };
    assert_eq!(severity(15), None);
    assert_eq!(severity(30), Some(Severity::Warning));
    assert_eq!(severity(60), Some(Severity::Error));
}

#[test]
fn bad_events_must_be_among_all_events() {
    let code = |bad, total| lint_pair(bad, total).first().map(|finding| finding.code);
    assert_eq!(code(r#"x_total{code=~"5.."}"#, "x_total"), None);
    assert_eq!(
        code(r#"x_total{s="a",code=~"5.."}"#, r#"x_total{s="a"}"#),
        None
    );
    assert_eq!(
        code(r#"x_total{code="500"}"#, r#"x_total{code=~"2..|5.."}"#),
        None
    );
    assert_eq!(code("x_errors_total", "x_requests_total"), None);
    let different = Some(Code::DifferentPopulations);
    assert_eq!(
        code(r#"x_total{code=~"5.."}"#, r#"x_total{s="a"}"#),
        different
    );
    assert_eq!(code(r#"x_total{s="a"}"#, r#"x_total{s="a"}"#), different);
}

#[test]
fn a_broken_query_is_pointed_at() {
    let found = lint("sum(\n  rate(x[5m])", Role::Threshold, &Settings::default());
    let position = found[0].position.unwrap();
    assert_eq!((position.line, position.column), (1, 4));
    assert!(
        found[0].message.contains("( is never closed"),
        "{}",
        found[0].message
    );
}

#[test]
fn damaged_and_deeply_nested_queries_are_read_without_harm() {
    // Given every query of this page with one piece cut out, doubled or replaced, by a fixed rule.
    let queries = RIGHT.iter().chain(MISTAKES.iter().map(|(query, ..)| query));
    for query in queries {
        for at in (0..query.len()).filter(|at| query.is_char_boundary(*at)) {
            let (before, after) = query.split_at(at);
            let cut: String = before.chars().chain(after.chars().skip(1)).collect();
            for damaged in [
                cut,
                format!("{before}({after}"),
                format!("{before}\"{after}"),
            ] {
                let _ = lint(&damaged, Role::Threshold, &Settings::default());
                let _ = lint(&damaged, Role::Bad, &Settings::default());
            }
        }
    }
    // And the deepest that fits into a template.
    let deep = [
        format!("{}1{}", "(".repeat(2000), ")".repeat(2000)),
        format!("{}1", "-".repeat(4000)),
        format!("{}x{}", "abs(".repeat(800), ")".repeat(800)),
        format!("x{}", " or vector(0)".repeat(300)),
    ];
    // When they are read on a stack as small as a worker's, then there is an answer.
    let reader = std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            for query in deep {
                let _ = lint(&query, Role::Threshold, &Settings::default());
                let _ = lint(&query, Role::Total, &Settings::default());
            }
        });
    reader.unwrap().join().unwrap();
}
