//! Every rule of the definitions, on real objects.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;
use crate::lint::schema::tests::{cases, filled};

/// The texts of all rules in `schema`, save those about a change.
fn rules(schema: &Value, found: &mut BTreeSet<String>) {
    match schema {
        Value::Object(fields) => {
            let rules = fields
                .get("x-kubernetes-validations")
                .and_then(Value::as_array);
            let texts = rules
                .into_iter()
                .flatten()
                .map(|rule| text(rule, "rule").to_owned());
            found.extend(texts.filter(|text| !text.contains("oldSelf")));
            fields.values().for_each(|field| rules_of(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| rules_of(item, found)),
        _ => {}
    }
}

fn rules_of(schema: &Value, found: &mut BTreeSet<String>) {
    rules(schema, found);
}

#[test]
fn every_rule_of_the_definitions_is_evaluated_fulfilled_and_violated() {
    let mut seen: BTreeMap<String, BTreeSet<bool>> = BTreeMap::new();
    let mut all = BTreeSet::new();
    for (object, schema) in cases().iter().filter_map(filled) {
        rules(&schema, &mut all);
        each(&object, &schema, &mut |pointer, rule, verdict| {
            let rule = text(rule, "rule").to_owned();
            let fulfilled = match verdict {
                Verdict::Fulfilled => true,
                Verdict::Violated => false,
                Verdict::NotEvaluated(why) => panic!("{pointer}: {rule}: {why}"),
            };
            seen.entry(rule).or_default().insert(fulfilled);
        });
    }
    assert!(all.len() > 30, "the definitions were not read");
    for rule in all {
        let both = BTreeSet::from([false, true]);
        assert_eq!(
            seen.get(&rule),
            Some(&both),
            "no object that fulfils and one that violates {rule}"
        );
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_told() {
    let schema = serde_json::json!({"x-kubernetes-validations": [
        {"rule": "self.nowhere()", "message": "no"}, {"rule": "self ==", "message": "no"}, {"rule": "self.size() > 3", "message": "too short"},
    ]});
    let found = check(&Value::from("abc"), &schema);
    let kinds: Vec<WrongKind> = found.iter().map(|wrong| wrong.kind).collect();
    assert_eq!(
        kinds,
        [
            WrongKind::NotEvaluated,
            WrongKind::NotEvaluated,
            WrongKind::Rule
        ],
        "{found:?}"
    );
    assert!(found[0].message.contains("self.nowhere()"), "{found:?}");
    assert_eq!(found[2].message, "too short");
}

#[test]
fn numbers_are_what_the_schema_says_and_durations_compare() {
    let number = serde_json::json!({"type": "object", "properties": {"a": {"type": "number"}, "b": {"type": "number"}}});
    let value = serde_json::json!({"a": 1, "b": 1.5});
    assert_eq!(
        evaluate("self.a <= self.b", &value, &number),
        Some(Verdict::Fulfilled)
    );
    let text = Value::from("90s");
    let schema = serde_json::json!({"type": "string"});
    assert_eq!(
        evaluate("duration(self) > duration('1m')", &text, &schema),
        Some(Verdict::Fulfilled)
    );
    assert_eq!(evaluate("self == oldSelf", &text, &schema), None);
}
