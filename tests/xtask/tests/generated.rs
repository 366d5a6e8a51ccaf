//! The committed generated files are what the code says, and what is generated keeps to its own rules.

use belay_xtask::{check, definitions, generated, manifests, permissions, root};
use serde_json::Value;

#[test]
fn committed_files_are_what_the_code_says() {
    let root = root();
    let files = generated(&root).unwrap();
    check(&root, &files).unwrap();
}

#[tokio::test]
async fn the_committed_manifests_are_what_the_chart_renders() {
    let helm = belay_lab::program(belay_lab::Program::Helm).await.unwrap();
    let root = root();
    let files = manifests::files(&root, &helm).unwrap();
    check(&root, &files).unwrap();
}

#[test]
fn drift_is_found_and_named() {
    // given a copy of the tree in which one file differs, one is absent, and one is left over
    let folder = tempfile::tempdir().unwrap();
    let files = definitions::files().unwrap();
    belay_xtask::write(folder.path(), &files).unwrap();
    check(folder.path(), &files).unwrap();
    std::fs::write(folder.path().join("crds/rollouts.yaml"), "changed").unwrap();
    std::fs::remove_file(folder.path().join("crds/actions.yaml")).unwrap();
    std::fs::write(folder.path().join("crds/old.yaml"), "left over").unwrap();

    // when it is checked
    let message = check(folder.path(), &files).unwrap_err().to_string();

    // then all three are named, and what to do
    for name in [
        "crds/rollouts.yaml",
        "crds/actions.yaml",
        "crds/old.yaml",
        "cargo xtask generate",
    ] {
        assert!(message.contains(name), "{name} is missing in: {message}");
    }
    // and writing repairs all three
    belay_xtask::write(folder.path(), &files).unwrap();
    check(folder.path(), &files).unwrap();
}

#[test]
fn every_default_in_a_schema_is_a_value_that_the_schema_allows() {
    let mut seen = 0;
    for definition in belay_api::definitions() {
        let value = serde_json::to_value(&definition).unwrap();
        each_schema(&value, &mut |schema| {
            let Some(default) = schema.get("default").and_then(Value::as_str) else {
                return;
            };
            seen += 1;
            if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
                let pattern = regex::Regex::new(pattern).unwrap();
                assert!(pattern.is_match(default), "{default:?} against {pattern}");
            }
            if let Some(allowed) = schema.get("enum").and_then(Value::as_array) {
                assert!(allowed.iter().any(|value| value == default), "{default:?}");
            }
        });
    }
    assert!(seen > 5, "only {seen} defaults were seen");
}

#[test]
fn every_resource_can_be_read_by_viewers_and_by_the_controller() {
    let roles = permissions::roles();
    for definition in belay_api::definitions() {
        let plural = definition.spec.names.plural;
        for names in [vec!["viewer"], vec!["controller", "cluster"]] {
            let granted = roles.iter().filter(|role| names.contains(&role.name));
            let readable = granted.flat_map(|role| &role.rules).any(|rule| {
                rule.group == "belay.dev"
                    && rule.resources.contains(&plural.as_str())
                    && ["get", "list", "watch"]
                        .iter()
                        .all(|verb| rule.verbs.contains(verb))
            });
            assert!(readable, "{names:?} can't read {plural}");
        }
    }
}

#[test]
fn no_role_has_a_wildcard_or_a_rule_without_a_reason() {
    for role in permissions::roles() {
        for rule in &role.rules {
            assert!(!rule.why.is_empty(), "{role:?}");
            let words = rule.resources.iter().chain(&rule.verbs);
            assert!(
                words.chain([&rule.group]).all(|word| !word.contains('*')),
                "{rule:?}"
            );
        }
    }
}

#[test]
fn break_glass_and_the_acts_are_not_part_of_kubernetes_edit_role() {
    // given the chart's template for user roles
    let template =
        std::fs::read_to_string(root().join("charts/belay/templates/rbac-users.yaml")).unwrap();
    // then only viewer and admin are aggregated
    for line in template
        .lines()
        .filter(|line| line.contains("\"aggregate\" \""))
    {
        let aggregated = !line.contains("\"aggregate\" \"\"");
        let expected = line.contains("\"viewer\"") || line.contains("\"admin\"");
        assert_eq!(aggregated, expected, "{line}");
    }
}

fn each_schema(value: &Value, visit: &mut dyn FnMut(&Value)) {
    visit(value);
    match value {
        Value::Object(map) => map.values().for_each(|inner| each_schema(inner, visit)),
        Value::Array(items) => items.iter().for_each(|inner| each_schema(inner, visit)),
        _ => {}
    }
}
