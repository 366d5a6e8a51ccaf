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

/// A query of a gate.
struct Asked<'a> {
    field: &'static str,
    role: Role,
    text: &'a str,
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
    let mut used = BTreeSet::new();
    let mut tell = |field: &str, found: Vec<Finding>| {
        findings.extend(found.into_iter().map(|finding| Located {
            gate: Some(gate.name.clone()),
            field: field.to_owned(),
            finding,
        }));
    };
    for asked in queries(gate) {
        let (text, names, holes) = filled(asked.text, known, declared);
        used.extend(names);
        // A query with a hole that nothing fills would only be misread.
        if holes.is_empty() {
            tell(asked.field, lint(&text, asked.role, settings));
        } else {
            tell(asked.field, holes);
        }
    }
    used
}

/// The queries of a gate.
fn queries(gate: &GateSpec) -> Vec<Asked<'_>> {
    let Some(prometheus) = &gate.prometheus else {
        return Vec::new();
    };
    let query = prometheus.query.iter().map(|text| Asked {
        field: "prometheus.query",
        role: Role::Threshold,
        text,
    });
    query.collect()
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
