//! Rules of Gateway API's routes.
//!
//! A cohort is a rule of its own before the one that it is taken from: the same matches, each with the cohort's conditions added,
//! and the canary as its only destination. Clients that stay with their version are led likewise. A mirror is one more filter.

use belay_engine::traffic::{Match, RouterKind, Split};
use serde_json::{Value, json};

use super::{BackendRefs, cookies};
use crate::traffic::{
    Names, Refusal,
    condition::listed,
    sessions::{self, Given, To},
    weights::{self, Shape as _, Target},
};

/// Rules that a route can have.
const MOST_RULES: usize = 16;

/// Matches that a rule can have.
const MOST_MATCHES: usize = 64;

/// Matches that all rules of a route can have together.
const MOST_MATCHES_OF_ALL: usize = 128;

/// The rules without anything of Belay's.
pub(super) fn home(names: &Names, rules: &Value) -> Option<Value> {
    let shape = BackendRefs(names);
    let rules = rules.as_array()?;
    if !rules.iter().any(|rule| is_led(names, rule)) {
        return None;
    }
    let is_cohort = |rule: &Value| {
        weights::is_canary_only(&shape, refs(rule)) || about_sessions(rule).is_some()
    };
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
            let canary = weights::only(&shape, refs(rule), Target::Canary);
            rules.push(cohort(kind, rule, &split.cohorts, canary)?);
        }
        for (who, to) in sessions::rules(split) {
            let to = match to {
                To::Canary => weights::only(&shape, refs(rule), Target::Canary),
                To::Stable => weights::only(&shape, refs(rule), Target::Stable),
                To::Share(percent) => {
                    let shared = weights::split(&shape, refs(rule), percent)?;
                    cookies::set(&shape, shared.unwrap_or_default(), split)?
                }
            };
            rules.push(cohort(kind, rule, &[who], to)?);
        }
        let mut rule = rule.clone();
        if let Some(percent) = split.mirror_percent {
            add_mirror(names, &mut rule, percent)?;
        }
        let shared = cookies::set(&shape, shared, split)?;
        set(&mut rule, "backendRefs", Value::Array(shared));
        rules.push(rule);
    }
    within_limits(&rules, home.len())?;
    Ok(has_share.then_some(Value::Array(rules)))
}

fn within_limits(rules: &[Value], own: usize) -> Result<(), Refusal> {
    if rules.len() > MOST_RULES && rules.len() > own {
        return Err(Refusal::new(format!(
            "with rules for cohorts, and for clients that stay, before each of its own it would have {} rules, and {MOST_RULES} are the most; divide it into several routes",
            rules.len()
        )));
    }
    let matches = rules.iter().map(|rule| match rule.get("matches") {
        Some(matches) => matches.as_array().map_or(0, Vec::len),
        None => 0,
    });
    let matches: usize = matches.sum();
    if matches > MOST_MATCHES_OF_ALL && rules.len() > own {
        return Err(Refusal::new(format!(
            "with rules for cohorts, and for clients that stay, before each of its own it would have {matches} matches, and {MOST_MATCHES_OF_ALL} are the most; divide it into several routes",
        )));
    }
    Ok(())
}

/// The split that the rules seem to have.
pub(super) fn guess(names: &Names, rules: &Value) -> Option<Split> {
    let shape = BackendRefs(names);
    let rules = rules.as_array()?;
    let (at, percent) = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| about_sessions(rule).is_none())
        .find_map(|(at, rule)| weights::percent(&shape, refs(rule)).map(|percent| (at, percent)))?;
    let rule = rules.get(at)?;
    let mut before = rules.get(..at)?.iter().rev().peekable();
    let mut stay = Vec::new();
    while let Some(given) = before.peek().and_then(|rule| about_sessions(rule)) {
        stay.push(given);
        before.next();
    }
    let cohort = before
        .next()
        .filter(|before| weights::is_canary_only(&shape, refs(before)));
    let cohorts = cohort.map_or_else(|| Some(Vec::new()), |cohort| cohorts(rule, cohort))?;
    Some(Split {
        canary_percent: percent,
        cohorts,
        mirror_percent: mirror(names, rule),
        sessions: sessions::found(cookies::sessions(refs(rule)), percent, &stay),
    })
}

/// The rule that leads cohorts of `rule` elsewhere.
fn cohort(
    kind: RouterKind,
    rule: &Value,
    cohorts: &[Match],
    to: Vec<Value>,
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
    let mut copy = rule.clone();
    set(&mut copy, "matches", Value::Array(matches));
    set(&mut copy, "backendRefs", Value::Array(to));
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

/// Whom the rule leads, if it is one for clients that stay with their version.
fn about_sessions(rule: &Value) -> Option<Given> {
    let matches = rule.get("matches").and_then(Value::as_array);
    sessions::about(matches.into_iter().flatten().map(listed::cookie))
}

fn is_led(names: &Names, rule: &Value) -> bool {
    let shape = BackendRefs(names);
    let ours = |entry: &Value| matches!(shape.target(entry), Target::Stable | Target::Canary);
    refs(rule).iter().any(ours) || mirror(names, rule).is_some()
}

fn add_mirror(names: &Names, rule: &mut Value, percent: u8) -> Result<(), Refusal> {
    let shape = BackendRefs(names);
    let canary = weights::only(&shape, refs(rule), Target::Canary);
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
