//! Rules of Gateway API's routes.
//!
//! A cohort is a rule of its own before the one that it is taken from: the same matches, each with the cohort's conditions added,
//! and the canary as its only destination. A mirror is one more filter.

use belay_engine::traffic::{Match, RouterKind, Split};
use serde_json::{Value, json};

use super::BackendRefs;
use crate::traffic::{
    Names, Refusal,
    condition::listed,
    weights::{self, Shape as _, Target},
};

/// Rules that a route can have.
const MOST_RULES: usize = 16;

/// Matches that a rule can have.
const MOST_MATCHES: usize = 64;

/// The rules without anything of Belay's.
pub(super) fn home(names: &Names, rules: &Value) -> Option<Value> {
    let shape = BackendRefs(names);
    let rules = rules.as_array()?;
    if !rules.iter().any(|rule| is_led(names, rule)) {
        return None;
    }
    let is_cohort = |rule: &Value| weights::is_canary_only(&shape, refs(rule));
    // Should somebody have left nothing but cohorts, they are all that is left of the route.
    let cohorts_only = rules.iter().all(is_cohort);
    let home = rules
        .iter()
        .filter(|rule| cohorts_only || !is_cohort(rule))
        .map(|rule| {
            let mut rule = without_mirror(names, rule);
            if let Some(home) = weights::home(&shape, refs(&rule)) {
                set(&mut rule, "backendRefs", Value::Array(home));
            }
            rule
        })
        .collect();
    Some(Value::Array(home))
}

/// The rules with the split.
pub(super) fn split(
    kind: RouterKind,
    names: &Names,
    home: &Value,
    split: &Split,
) -> Result<Option<Value>, Refusal> {
    let shape = BackendRefs(names);
    let home = home.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rules = Vec::with_capacity(home.len());
    let mut has_share = false;
    for rule in home {
        let Some(shared) = weights::split(&shape, refs(rule), split.canary_percent)? else {
            rules.push(rule.clone());
            continue;
        };
        has_share = true;
        if !split.cohorts.is_empty() {
            rules.push(cohort(kind, names, rule, &split.cohorts)?);
        }
        let mut rule = rule.clone();
        if let Some(percent) = split.mirror_percent {
            add_mirror(names, &mut rule, percent)?;
        }
        set(&mut rule, "backendRefs", Value::Array(shared));
        rules.push(rule);
    }
    if rules.len() > MOST_RULES {
        return Err(Refusal::new(format!(
            "with a rule for the cohorts before each of its own it would have {} rules, and {MOST_RULES} are the most; divide it into several routes",
            rules.len()
        )));
    }
    Ok(has_share.then_some(Value::Array(rules)))
}

/// The split that the rules seem to have.
pub(super) fn guess(names: &Names, rules: &Value) -> Option<Split> {
    let shape = BackendRefs(names);
    let rules = rules.as_array()?;
    let (at, percent) = rules
        .iter()
        .enumerate()
        .find_map(|(at, rule)| weights::percent(&shape, refs(rule)).map(|percent| (at, percent)))?;
    let rule = rules.get(at)?;
    let before = at.checked_sub(1).and_then(|before| rules.get(before));
    let cohort = before.filter(|before| weights::is_canary_only(&shape, refs(before)));
    let cohorts = cohort.map_or_else(|| Some(Vec::new()), |cohort| cohorts(rule, cohort))?;
    Some(Split {
        canary_percent: percent,
        cohorts,
        mirror_percent: mirror(names, rule),
    })
}

/// The rule that sends cohorts of `rule` to the canary.
fn cohort(
    kind: RouterKind,
    names: &Names,
    rule: &Value,
    cohorts: &[Match],
) -> Result<Value, Refusal> {
    let mut matches = Vec::new();
    for cohort in cohorts {
        for original in &matches_of(kind, rule) {
            matches.push(listed::add(original, cohort)?);
        }
    }
    if matches.len() > MOST_MATCHES {
        return Err(Refusal::new(format!(
            "a rule for {} cohorts would have {} matches, and {MOST_MATCHES} are the most; divide the rule, or use fewer cohorts",
            cohorts.len(),
            matches.len()
        )));
    }
    let shape = BackendRefs(names);
    let mut copy = rule.clone();
    set(&mut copy, "matches", Value::Array(matches));
    set(
        &mut copy,
        "backendRefs",
        Value::Array(weights::canary_only(&shape, refs(rule))),
    );
    if let Some(fields) = copy.as_object_mut() {
        // Names of rules are unique.
        fields.remove("name");
    }
    Ok(copy)
}

/// The cohorts by which `cohort` differs from `rule`.
fn cohorts(rule: &Value, cohort: &Value) -> Option<Vec<Match>> {
    let matches = |rule: &Value| rule.get("matches").and_then(Value::as_array).cloned();
    let own = matches(rule).unwrap_or_default();
    let theirs = matches(cohort)?;
    let plain = own.first().cloned().unwrap_or_else(|| json!({}));
    theirs
        .iter()
        .step_by(own.len().max(1))
        .map(|with| listed::added(&plain, with))
        .collect()
}

/// The matches of a rule; one that has none takes everything.
fn matches_of(kind: RouterKind, rule: &Value) -> Vec<Value> {
    let matches = rule.get("matches").and_then(Value::as_array);
    match matches {
        Some(matches) if !matches.is_empty() => matches.clone(),
        _ if kind == RouterKind::HttpRoute => {
            vec![json!({"path": {"type": "PathPrefix", "value": "/"}})]
        }
        _ => vec![json!({})],
    }
}

fn is_led(names: &Names, rule: &Value) -> bool {
    let shape = BackendRefs(names);
    let ours = |entry: &Value| matches!(shape.target(entry), Target::Stable | Target::Canary);
    refs(rule).iter().any(ours) || mirror(names, rule).is_some()
}

fn add_mirror(names: &Names, rule: &mut Value, percent: u8) -> Result<(), Refusal> {
    let shape = BackendRefs(names);
    let canary = weights::canary_only(&shape, refs(rule));
    let port = canary.first().and_then(|entry| entry.get("port")).cloned();
    let mut backend = json!({"group": "", "kind": "Service", "name": names.canary});
    if let Some(port) = port {
        set(&mut backend, "port", port);
    }
    let mut mirror = json!({ "backendRef": backend });
    // The whole is what it means without a percentage, which older versions of the API don't know.
    if percent < 100 {
        set(&mut mirror, "percent", json!(percent));
    }
    let filter = json!({"type": "RequestMirror", "requestMirror": mirror});
    let fields = rule
        .as_object_mut()
        .ok_or_else(|| Refusal::new("one of its rules is no object"))?;
    let filters = fields.entry("filters").or_insert_with(|| json!([]));
    if let Some(filters) = filters.as_array_mut() {
        filters.push(filter);
    }
    Ok(())
}

fn mirror(names: &Names, rule: &Value) -> Option<u8> {
    let filters = rule.get("filters")?.as_array()?;
    let mirror = filters.iter().find(|filter| is_mirror(names, filter))?;
    let percent = mirror.pointer("/requestMirror/percent");
    u8::try_from(percent.map_or(Some(100), Value::as_u64)?).ok()
}

fn without_mirror(names: &Names, rule: &Value) -> Value {
    let mut rule = rule.clone();
    let Some(fields) = rule.as_object_mut() else {
        return rule;
    };
    if let Some(filters) = fields.get_mut("filters").and_then(Value::as_array_mut) {
        let before = filters.len();
        filters.retain(|filter| !is_mirror(names, filter));
        if filters.is_empty() && before > 0 {
            fields.remove("filters");
        }
    }
    rule
}

fn is_mirror(names: &Names, filter: &Value) -> bool {
    let backend = filter.pointer("/requestMirror/backendRef");
    backend.is_some_and(|entry| BackendRefs(names).target(entry) == Target::Canary)
}

fn refs(rule: &Value) -> &[Value] {
    let refs = rule.get("backendRefs").and_then(Value::as_array);
    refs.map(Vec::as_slice).unwrap_or_default()
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}
