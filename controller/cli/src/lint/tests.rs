use clap::Parser as _;

use super::*;
use crate::{Args, args::Command};

const FILE: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
---
apiVersion: belay.dev/v1alpha1
kind: AnalysisTemplate
metadata: {name: errors, namespace: shop}
spec:
  args:
  - name: service
  - {name: window, default: 5m}
  gates:
  - name: ratio
    prometheus:
      query: sum(rate(x_total{s=\"{{service}}\",code=~\"5..\"}[{{window}}])) / (sum(rate(x_total{s=\"{{service}}\"}[{{window}}])) or vector(1))
      threshold: {max: 0.01}
---
apiVersion: belay.dev/v1alpha1
kind: Rollout
metadata: {name: web, namespace: shop}
spec:
  workloadRef: {name: web}
  strategy: {canary: {steps: [{weight: 10}]}}
  verification:
    gates:
    - {template: errors, args: {window: 20s, service: web}}
    - {template: elsewhere}
";

fn lint(text: &str, more: &[&str]) -> (Result<(), Error>, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gates.yaml");
    std::fs::write(&path, text).unwrap();
    let words = ["kubectl-belay", "lint", path.to_str().unwrap()];
    let args = Args::try_parse_from(words.iter().chain(more)).unwrap();
    let Command::Lint(args) = args.command else {
        panic!("another command");
    };
    let mut out = Vec::new();
    let outcome = run(&args, Style::default(), &mut out);
    let printed = String::from_utf8(out).unwrap();
    (
        outcome,
        printed.replace(&format!("{}/", folder.path().display()), ""),
    )
}

#[test]
fn mistakes_of_templates_and_of_their_use_are_told_with_their_place() {
    let (outcome, printed) = lint(FILE, &[]);
    let lines: Vec<&str> = printed.lines().collect();
    assert!(
        lines[0].starts_with("gates.yaml:15: AnalysisTemplate shop/errors, gate ratio, prometheus.query: error hides-missing-data: "),
        "{printed}"
    );
    assert!(
        lines[1].starts_with("gates.yaml:24: Rollout shop/web, gate errors/ratio, prometheus.query: warning short-range: "),
        "{printed}"
    );
    assert_eq!(
        lines.last(),
        Some(&"1 error, 1 warning in 2 objects"),
        "{printed}"
    );
    assert_eq!(outcome.unwrap_err().exit_code(), 5);
}

#[test]
fn warnings_alone_end_well_unless_they_are_denied() {
    let text = FILE.replace(" or vector(1)", "");
    assert!(lint(&text, &[]).0.is_ok());
    assert_eq!(
        lint(&text, &["--deny-warnings"]).0.unwrap_err().exit_code(),
        5
    );
    let known = lint(&text, &["--scrape-interval", "15s"]);
    assert!(
        known.0.is_err(),
        "20 s never hold two scrapes of 15 s: {}",
        known.1
    );
}

#[test]
fn programs_get_json() {
    let (_, printed) = lint(FILE, &["-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(found[0]["code"], "hides-missing-data");
    assert_eq!(found[0]["gate"], "ratio");
    assert_eq!(found[1]["kind"], "Rollout");
}

#[test]
fn what_cannot_be_read_is_a_failure_and_no_finding() {
    let (outcome, _) = lint("a: [", &[]);
    assert_eq!(outcome.unwrap_err().exit_code(), 1);
}

#[test]
fn schemas_rules_plans_and_sources_are_told_with_their_line() {
    let text = "\
apiVersion: belay.dev/v1alpha1
kind: Rollout
metadata: {name: web}
spec:
  workloadRef: {name: web}
  strategy:
    canary:
      steps:
      - weight: 20
      - weight: 10
---
apiVersion: belay.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  source:
    git:
      url: https://git.example.com/shop.git
      ref:
        semver: not a range
  serviceAccountName: deployer
---
apiVersion: belay.dev/v1alpha1
kind: Release
metadata: {name: other}
spec:
  source: {git: {url: https://git.example.com/shop.git, ref: {branch: main, tag: v1}}}
  serviceAccountName: deployer
---
apiVersion: belay.dev/v1alpha1
kind: AnalysisTemplate
metadata: {name: errors}
spec:
  gates:
  - nme: ratio
";
    let (outcome, printed) = lint(text, &[]);
    let starts = [
        "gates.yaml:4: Rollout web, spec: error plan: step 2 gives the new version a smaller share",
        "gates.yaml:19: Release shop, spec.source.git.ref: error source: ",
        "gates.yaml:27: Release other, spec.source.git.ref: error rule: give exactly one of branch",
        "gates.yaml:35: AnalysisTemplate errors, spec.gates[0]: error schema: name is missing",
    ];
    for start in starts {
        assert!(
            printed.lines().any(|line| line.starts_with(start)),
            "{start} is missing in {printed}"
        );
    }
    assert_eq!(outcome.unwrap_err().exit_code(), 5);
}

#[test]
fn a_rule_of_health_that_cannot_be_read_is_told() {
    let text = "\
apiVersion: belay.dev/v1alpha1
kind: Release
metadata: {name: shop}
spec:
  source: {git: {url: https://git.example.com/shop.git, ref: {branch: main}}}
  serviceAccountName: deployer
  verification:
    health:
    - {apiVersion: example.com/v1, kind: Database, current: stauts.phase == 'Ready'}
";
    let (outcome, printed) = lint(text, &[]);
    let wanted = "error plan: verification.health: current of the rule for example.com/v1 Database: stauts is not known: write status";
    assert!(printed.contains(wanted), "{printed}");
    assert_eq!(outcome.unwrap_err().exit_code(), 5);
}
