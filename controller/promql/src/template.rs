//! The lint of whole templates, alone or as somebody uses them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use belay_api::{
    AnalysisTemplateSpec,
    analysis::{GateRef, GateSpec, arguments},
};

use crate::{
    Code, Finding, Role, Settings,
    holes::{self, Bare},
    lint_pair,
    query::{self, lint, parse},
};

/// A mistake and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// Name of the gate; absent for what is about the whole template.
    pub gate: Option<String>,
    /// Field of the gate or template, for example `prometheus.query`.
    pub field: String,
    /// The mistake.
    pub finding: Finding,
}

impl fmt::Display for Located {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(gate) = &self.gate {
            write!(f, "gate {gate}, ")?;
        }
        write!(f, "{}: {}", self.field, self.finding.message)
    }
}

const BASELINE_BAD: &str = "prometheus.compare.baseline.query.bad";
const BASELINE_TOTAL: &str = "prometheus.compare.baseline.query.total";

/// A query of a gate.
struct Asked<'a> {
    field: &'static str,
    role: Role,
    text: &'a str,
    /// The label that must be left, with its holes.
    pod_label: Option<&'a str>,
    /// A hole that Belay fills by itself.
    given: Option<&'static str>,
}

impl<'a> Asked<'a> {
    const fn new(field: &'static str, role: Role, text: &'a str) -> Self {
        Self {
            field,
            role,
            text,
            pod_label: None,
            given: None,
        }
    }
}

/// The mistakes in a template, whatever arguments it is used with.
pub fn lint_template(spec: &AnalysisTemplateSpec, settings: &Settings) -> Vec<Located> {
    let known = spec
        .args
        .iter()
        .filter_map(|parameter| Some((parameter.name.clone(), parameter.default.clone()?)))
        .collect();
    let declared: BTreeSet<&str> = spec.args.iter().map(|p| p.name.as_str()).collect();
    let mut findings = Vec::new();
    let mut used = BTreeSet::new();
    for gate in &spec.gates {
        used.extend(lint_gate(gate, &known, &declared, settings, &mut findings));
    }
    for unused in declared.iter().filter(|name| !used.contains(**name)) {
        findings.push(Located {
            gate: None,
            field: "args".to_owned(),
            finding: Finding::warning(
                Code::ArgumentUnused,
                format!("no gate uses the argument {unused}: write {{{{{unused}}}}} where it belongs, or leave it out"),
            ),
        });
    }
    findings
}

/// The mistakes in a template as it is used with the arguments of `reference`.
pub fn lint_use(
    spec: &AnalysisTemplateSpec,
    reference: &GateRef,
    settings: &Settings,
) -> Vec<Located> {
    let from_elsewhere: BTreeSet<&str> = reference
        .args_from
        .iter()
        .map(|from| from.name.as_str())
        .collect();
    let mut given = reference.args.clone();
    for name in &from_elsewhere {
        given.insert((*name).to_owned(), "value".to_owned());
    }
    let mut known = match arguments::resolve(&spec.args, &given) {
        Ok(known) => known,
        Err(error) => {
            return vec![Located {
                gate: None,
                field: "args".to_owned(),
                finding: Finding::error(Code::ArgumentMissing, error.to_string()),
            }];
        }
    };
    known.retain(|name, _| !from_elsewhere.contains(name.as_str()));
    let declared = spec.args.iter().map(|p| p.name.as_str()).collect();
    let mut findings = Vec::new();
    for gate in &spec.gates {
        lint_gate(gate, &known, &declared, settings, &mut findings);
    }
    findings
}

/// Lints one gate; gives the arguments that it uses.
fn lint_gate(
    gate: &GateSpec,
    known: &BTreeMap<String, String>,
    declared: &BTreeSet<&str>,
    settings: &Settings,
    findings: &mut Vec<Located>,
) -> BTreeSet<String> {
    let mut used = everywhere(gate);
    let mut tell = |field: &str, found: Vec<Finding>| {
        findings.extend(found.into_iter().map(|finding| Located {
            gate: Some(gate.name.clone()),
            field: field.to_owned(),
            finding,
        }));
    };
    let read = |text: &str| holes::fill(text, known, Bare::Name).text;
    for asked in queries(gate) {
        let mut declared = declared.clone();
        declared.extend(asked.given);
        let (text, names, holes) = filled(asked.text, known, &declared);
        used.extend(names);
        let settings = Settings {
            pod_label: asked.pod_label.map(read),
            ..settings.clone()
        };
        // A query with a hole that nothing fills would only be misread.
        if holes.is_empty() {
            tell(asked.field, lint(&text, asked.role, &settings));
        } else {
            tell(asked.field, holes);
        }
    }
    for (field, bad, total) in pairs(gate) {
        tell(field, lint_pair(&read(bad), &read(total)));
    }
    used
}

/// Every argument that stands anywhere in a gate, also where no query is.
fn everywhere(gate: &GateSpec) -> BTreeSet<String> {
    let text = serde_json::to_string(gate).unwrap_or_default();
    holes::fill(&text, &BTreeMap::new(), Bare::Name).used
}

/// Bad events and all events that belong together, with the field of the former.
fn pairs(gate: &GateSpec) -> Vec<(&'static str, &str, &str)> {
    let compare = gate.prometheus.as_ref().and_then(|p| p.compare.as_ref());
    let Some(compare) = compare else {
        return Vec::new();
    };
    let baseline = compare.baseline.as_ref().and_then(|b| b.query.as_ref());
    let own = ("prometheus.compare.bad", &*compare.bad, &*compare.total);
    let other = baseline.map(|of| (BASELINE_BAD, &*of.bad, &*of.total));
    [own].into_iter().chain(other).collect()
}

/// The queries of a gate.
fn queries(gate: &GateSpec) -> Vec<Asked<'_>> {
    let Some(prometheus) = &gate.prometheus else {
        return Vec::new();
    };
    let mut queries = Vec::new();
    if let Some(query) = &prometheus.query {
        queries.push(Asked::new("prometheus.query", Role::Threshold, query));
    }
    if let Some(compare) = &prometheus.compare {
        let baseline = compare.baseline.as_ref().and_then(|b| b.query.as_ref());
        let own = [
            ("prometheus.compare.bad", Role::Bad, &compare.bad),
            ("prometheus.compare.total", Role::Total, &compare.total),
        ];
        let other = baseline.into_iter().flat_map(|of| {
            [
                (BASELINE_BAD, Role::Bad, &of.bad),
                (BASELINE_TOTAL, Role::Total, &of.total),
            ]
        });
        queries.extend(
            own.into_iter()
                .chain(other)
                .map(|(field, role, text)| Asked {
                    pod_label: Some(&compare.tolerance.pod_label),
                    ..Asked::new(field, role, text)
                }),
        );
    }
    if let Some(latency) = &prometheus.latency {
        queries.push(Asked {
            pod_label: Some(&latency.tolerance.pod_label),
            ..Asked::new(
                "prometheus.latency.histogram",
                Role::Histogram,
                &latency.histogram,
            )
        });
    }
    let burn = prometheus.burn_rate.as_ref();
    let of_window = |field, role, text| Asked {
        given: Some("window"),
        ..Asked::new(field, role, text)
    };
    if let Some(ratio) = burn.and_then(|burn| burn.error_ratio.as_ref()) {
        let field = "prometheus.burnRate.errorRatio";
        queries.push(of_window(field, Role::ErrorRatio, ratio));
    }
    if let Some(total) = burn.and_then(|burn| burn.total.as_ref()) {
        queries.push(of_window(
            "prometheus.burnRate.total",
            Role::Threshold,
            total,
        ));
    }
    queries
}

/// `text` as it will read, the arguments in it, and what is wrong with its holes.
fn filled(
    text: &str,
    known: &BTreeMap<String, String>,
    declared: &BTreeSet<&str>,
) -> (String, BTreeSet<String>, Vec<Finding>) {
    let as_name = holes::fill(text, known, Bare::Name);
    let mut findings: Vec<Finding> = as_name
        .used
        .iter()
        .filter(|name| !declared.contains(name.as_str()))
        .map(|name| {
            Finding::error(
                Code::ArgumentMissing,
                format!("{{{{{name}}}}} is not among the template's args: declare it there, or correct the name"),
            )
        })
        .collect();
    if as_name.is_open {
        findings.push(Finding::error(
            Code::Syntax,
            "there is a {{ without }}: close it after the argument's name",
        ));
    }
    query::tidy(&mut findings);
    let used = as_name.used.clone();
    if parse(&as_name.text).is_ok() {
        return (as_name.text, used, findings);
    }
    let as_number = holes::fill(text, known, Bare::Number);
    if parse(&as_number.text).is_ok() {
        return (as_number.text, used, findings);
    }
    (as_name.text, used, findings)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::Severity;

    fn template(args: &Value, query: &str) -> AnalysisTemplateSpec {
        serde_json::from_value(json!({
            "args": args,
            "gates": [{"name": "errors", "prometheus": {"query": query, "threshold": {"max": 1.0}}}],
        }))
        .unwrap()
    }

    fn codes(found: &[Located]) -> Vec<Code> {
        found.iter().map(|located| located.finding.code).collect()
    }

    #[test]
    fn a_template_is_read_with_its_holes_filled() {
        let spec = template(
            &json!([{"name": "service"}, {"name": "window", "default": "1m"}, {"name": "factor"}]),
            r#"sum(rate(errors_total{service="{{service}}"}[{{window}}])) * {{factor}}"#,
        );
        assert_eq!(lint_template(&spec, &Settings::default()), []);
    }

    #[test]
    fn holes_and_arguments_must_fit_each_other() {
        let spec = template(&json!([{"name": "service"}]), r#"sum(x{s="{{servcie}}"})"#);
        let found = lint_template(&spec, &Settings::default());
        assert_eq!(codes(&found), [Code::ArgumentMissing, Code::ArgumentUnused]);
        assert!(
            found[0]
                .to_string()
                .starts_with("gate errors, prometheus.query: {{servcie}} is not")
        );
        assert!(found[1].finding.message.contains("{{service}}"));
        let open = template(&json!([]), "sum(x{s=\"{{service\"})");
        assert_eq!(
            codes(&lint_template(&open, &Settings::default())),
            [Code::Syntax]
        );
    }

    #[test]
    fn counters_are_read_for_their_role_and_for_the_label_that_the_gate_names() {
        let lint = |prometheus: Value| {
            let spec = serde_json::from_value(json!({
                "args": [{"name": "service"}, {"name": "podLabel", "default": "kubernetes_pod_name"}],
                "gates": [{"name": "errors", "prometheus": prometheus}],
            }));
            let found = lint_template(&spec.unwrap(), &Settings::default());
            found
                .into_iter()
                .map(|located| (located.field, located.finding.code))
                .collect::<Vec<_>>()
        };
        let compare = |bad: &str, label: &str| {
            lint(json!({"compare": {
                "bad": bad, "total": r#"x_total{s="{{service}}"}"#, "podLabel": label,
                "baseline": {"query": {"bad": "x_total", "total": "rate(x_total[5m])"}},
            }}))
        };
        let baseline = (
            "prometheus.compare.baseline.query.total".to_owned(),
            Code::NotRawCounter,
        );
        let bad = r#"sum by (kubernetes_pod_name) (x_total{s="{{service}}",code=~"5.."})"#;
        assert_eq!(compare(bad, "{{podLabel}}")[0], baseline);
        let found = compare(bad, "pod");
        assert!(
            found.contains(&("prometheus.compare.bad".to_owned(), Code::PodLabelLost)),
            "{found:?}"
        );
        let burning = lint(json!({"burnRate": {
            "objectivePercent": 99.9,
            "errorRatio": r#"sum(rate(x_total{s="{{service}}",p="{{podLabel}}",code=~"5.."}[{{window}}])) / sum(rate(x_total{s="{{service}}",p="{{podLabel}}"}[{{window}}]))"#,
        }}));
        assert_eq!(burning, []);
        let several = lint(json!({"burnRate": {
            "objectivePercent": 99.9, "sloth": {"service": "{{service}}", "slo": "{{podLabel}}"},
            "total": r#"increase(x_total{s="{{service}}"}[{{window}}])"#,
        }}));
        let total = "prometheus.burnRate.total".to_owned();
        assert_eq!(several, [(total, Code::SeveralSeries)]);
        let slow = lint(json!({"latency": {
            "histogram": r#"sum by (le) (x_bucket{s="{{service}}"})"#, "measure": {"maxGrowth": 0.1}, "podLabel": "{{podLabel}}",
        }}));
        assert_eq!(
            slow,
            [(
                "prometheus.latency.histogram".to_owned(),
                Code::PodLabelLost
            )]
        );
    }

    #[test]
    fn a_use_is_read_with_its_own_arguments() {
        let spec = template(
            &json!([{"name": "window", "default": "5m"}, {"name": "hash"}]),
            r#"sum(rate(errors_total{h="{{hash}}"}[{{window}}]))"#,
        );
        let lint = |reference: Value| {
            lint_use(
                &spec,
                &serde_json::from_value(reference).unwrap(),
                &Settings::default(),
            )
        };
        let short = lint(json!({
            "template": "t", "args": {"window": "10s"},
            "argsFrom": [{"name": "hash", "field": "/status/candidate/hash"}],
        }));
        assert_eq!(codes(&short), [Code::ShortRange]);
        let missing = lint(json!({"template": "t"}));
        assert_eq!(codes(&missing), [Code::ArgumentMissing]);
        assert_eq!(missing[0].finding.severity, Severity::Error);
    }
}
