use std::{io::Write as _, path::PathBuf};

use clap::Parser as _;
use tempfile::NamedTempFile;

use super::*;
use crate::args::{Args, Command};

const ROLLOUT: &str = r"
apiVersion: belay.dev/v1alpha1
kind: Rollout
metadata: {name: checkout, namespace: shop}
spec:
  workloadRef: {name: web}
  strategy:
    canary:
      steps:
      - {weight: 5, hold: 2m}
      - {weight: 25, hold: 5m}
  verification:
    gates:
    - {template: errors, args: {service: web}, argsFrom: [{name: place, field: /metadata/namespace}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
";

const TEMPLATE: &str = r#"
apiVersion: belay.dev/v1alpha1
kind: AnalysisTemplate
metadata: {name: errors}
spec:
  args: [{name: service}, {name: place}]
  gates:
  - name: ratio
    interval: 30s
    prometheus:
      query: errors{s="{{service}}",n="{{place}}"}
      threshold: {max: 0.01}
"#;

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn load_files(files: &[&NamedTempFile], more: &[&str]) -> Result<Subject, SimulateError> {
    let mut words = vec!["kubectl-belay".to_owned(), "simulate".to_owned()];
    for file in files {
        words.extend(["-f".to_owned(), path(file).display().to_string()]);
    }
    words.extend(more.iter().map(ToString::to_string));
    let args = Args::try_parse_from(words).unwrap();
    let Command::Simulate(simulate) = &args.command else {
        panic!("another command");
    };
    from_files(simulate, &args.cluster)
}

fn path(file: &NamedTempFile) -> PathBuf {
    file.path().to_owned()
}

fn query(gate: &Asked) -> String {
    let query = gate
        .spec
        .prometheus
        .as_ref()
        .unwrap()
        .query
        .clone()
        .unwrap();
    gate.fill(&query).unwrap()
}

#[test]
fn a_rollout_brings_its_gates_arguments_and_times() {
    let subject = load_files(&[&file(ROLLOUT), &file(TEMPLATE)], &[]).unwrap();
    assert_eq!(subject.title, "Rollout shop/checkout");
    assert_eq!(subject.workload.as_deref(), Some("web"));
    assert_eq!(subject.duration, Duration::from_mins(7));
    assert!((subject.canary_share - 5.0).abs() < f64::EPSILON);
    assert_eq!(query(&subject.gates[0]), r#"errors{s="web",n="shop"}"#);
}

#[test]
fn an_argument_of_the_command_line_goes_before_the_rollout() {
    let subject = load_files(
        &[&file(ROLLOUT), &file(TEMPLATE)],
        &["--arg", "service=api"],
    );
    assert_eq!(
        query(&subject.unwrap().gates[0]),
        r#"errors{s="api",n="shop"}"#
    );
    let unknown = load_files(&[&file(ROLLOUT), &file(TEMPLATE)], &["--arg", "nope=1"]);
    assert!(unknown.unwrap_err().to_string().contains("--arg nope"));
}

#[test]
fn a_template_alone_needs_its_arguments() {
    let template = file(TEMPLATE);
    let missing = load_files(&[&template], &[]).unwrap_err().to_string();
    assert!(
        missing.contains("argument \"service\" is missing"),
        "{missing}"
    );
    let arguments = ["--arg", "service=web", "--arg", "place=shop"];
    let subject = load_files(&[&template], &arguments).unwrap();
    assert_eq!(subject.title, "AnalysisTemplate errors");
    assert_eq!(subject.duration, USUAL_WINDOW);
}

#[test]
fn what_is_not_there_is_named() {
    let without = load_files(&[&file(ROLLOUT)], &[]).unwrap_err().to_string();
    assert!(without.contains("template errors"), "{without}");
    let other = load_files(&[&file(ROLLOUT), &file(TEMPLATE)], &["nope"]);
    assert!(other.unwrap_err().to_string().contains("no Rollout nope"));
    let kind = load_files(&[&file(ROLLOUT)], &["release/shop"]);
    assert!(kind.unwrap_err().to_string().contains("template/NAME"));
    let wrong =
        file("apiVersion: belay.dev/v1alpha1\nkind: Rollout\nmetadata: {name: x}\nspec: {}\n");
    let wrong = load_files(&[&wrong], &[]).unwrap_err().to_string();
    assert!(wrong.contains("Rollout x: missing field"), "{wrong}");
}
