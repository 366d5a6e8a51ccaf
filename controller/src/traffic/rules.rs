//! Rules of a route, each with matches and destinations, for all kinds that can tell requests apart.
//!
//! A cohort is a rule of its own before the one that it is taken from: the same matches, each with the cohort's conditions added,
//! and the canary as its only destination. Clients that stay with their version are led likewise. A mirror is one more entry of a
//! list beside them.
//!
//! Invariant: [`home`] undoes [`split`] exactly. Leaves out how a kind writes conditions, cookies and mirrors: that is [`Rules`].

use belay_engine::traffic::{Match, Sessions, Split};
use serde_json::{Value, json};

use super::{
    Refusal,
    condition::Conditions,
    sessions::{self, Given, To},
    weights::{self, Shape, Target},
};

/// How a kind of route writes its rules down.
pub(super) trait Rules: Shape {
    /// How its matches have conditions.
    type Conditions: Conditions;
    /// The field of a rule that has its matches.
    const MATCHES: &'static str;
    /// The field of a rule that has its destinations.
    const DESTINATIONS: &'static str;
    /// The field of a rule that has its mirrors, maybe among other things.
    const MIRRORS: &'static str;

    /// The match that takes everything.
    fn everything(&self) -> Value {
        json!({})
    }

    /// Why a rule that leads to the user's Service can't be led.
    fn check(&self, rule: &Value, split: &Split) -> Result<(), Refusal>;

    /// The destinations of a shared rule, each with the cookie of its version.
    fn with_cookies(&self, shared: Vec<Value>, split: &Split) -> Result<Vec<Value>, Refusal>;

    /// The sessions that the destinations' cookies are about.
    fn sessions(destinations: &[Value]) -> Option<Sessions>;

    /// The mirror that copies this share of what goes to this destination of the canary.
    fn mirror(&self, canary: Option<&Value>, percent: u8) -> Value;

    /// Whether the entry is a mirror of Belay's.
    fn is_mirror(&self, entry: &Value) -> bool;

    /// The share that such a mirror copies, in percent.
    fn mirrored(entry: &Value) -> Option<u64>;
}

/// The rules without anything of Belay's; nothing if there is nothing.
pub(super) fn home<R: Rules>(shape: &R, rules: &Value) -> Option<Value> {
    let rules = rules.as_array()?;
    if !rules.iter().any(|rule| is_led(shape, rule)) {
        return None;
    }
    let is_cohort = |rule: &Value| {
        weights::is_canary_only(shape, destinations::<R>(rule))
            || about_sessions::<R>(rule).is_some()
    };
    // Should somebody have left nothing but cohorts, they are all that is left of the route.
    let cohorts_only = rules.iter().all(is_cohort);
    let home = rules
        .iter()
        .filter(|rule| cohorts_only || !is_cohort(rule))
        .map(|rule| {
            let mut rule = without_mirror(shape, rule);
            if let Some(home) = weights::home(shape, destinations::<R>(&rule)) {
                set(&mut rule, R::DESTINATIONS, Value::Array(home));
            }
            rule
        })
        .collect();
    Some(Value::Array(home))
}

/// The rules with the split; nothing if the user's Service has no share in them.
pub(super) fn split<R: Rules>(
    shape: &R,
    home: &Value,
    split: &Split,
) -> Result<Option<Vec<Value>>, Refusal> {
    let home = home.as_array().map(Vec::as_slice).unwrap_or_default();
    let mut rules = Vec::with_capacity(home.len());
    let mut has_share = false;
    for rule in home {
        let shared = weights::split(shape, destinations::<R>(rule), split.canary_percent)?;
        let Some(shared) = shared else {
            rules.push(rule.clone());
            continue;
        };
        has_share = true;
        shape.check(rule, split)?;
        before(shape, rule, split, &mut rules)?;
        let mut rule = rule.clone();
        if let Some(percent) = split.mirror_percent {
            add_mirror(shape, &mut rule, percent)?;
        }
        let shared = shape.with_cookies(shared, split)?;
        set(&mut rule, R::DESTINATIONS, Value::Array(shared));
        rules.push(rule);
    }
    Ok(has_share.then_some(rules))
}

/// Adds what stands before a shared rule: a rule for cohorts, and those for clients that stay.
fn before<R: Rules>(
    shape: &R,
    rule: &Value,
    split: &Split,
    rules: &mut Vec<Value>,
) -> Result<(), Refusal> {
    let own = destinations::<R>(rule);
    if !split.cohorts.is_empty() {
        let canary = weights::only(shape, own, Target::Canary);
        rules.push(cohort(shape, rule, &split.cohorts, canary)?);
    }
    for (who, to) in sessions::rules(split) {
        let to = match to {
            To::Canary => weights::only(shape, own, Target::Canary),
            To::Stable => weights::only(shape, own, Target::Stable),
            To::Share(percent) => {
                let shared = weights::split(shape, own, percent)?;
                shape.with_cookies(shared.unwrap_or_default(), split)?
            }
        };
        rules.push(cohort(shape, rule, &[who], to)?);
    }
    Ok(())
}

/// The split that the rules seem to have.
pub(super) fn guess<R: Rules>(shape: &R, rules: &Value) -> Option<Split> {
    let rules = rules.as_array()?;
    let (at, percent) = rules
        .iter()
        .enumerate()
        .filter(|(_, rule)| about_sessions::<R>(rule).is_none())
        .find_map(|(at, rule)| Some((at, weights::percent(shape, destinations::<R>(rule))?)))?;
    let rule = rules.get(at)?;
    let mut before = rules.get(..at)?.iter().rev().peekable();
    let mut stay = Vec::new();
    while let Some(given) = before.peek().and_then(|rule| about_sessions::<R>(rule)) {
        stay.push(given);
        before.next();
    }
    let cohort = before
        .next()
        .filter(|before| weights::is_canary_only(shape, destinations::<R>(before)));
    let cohorts = cohort.map_or_else(|| Some(Vec::new()), |cohort| cohorts::<R>(rule, cohort))?;
    Some(Split {
        canary_percent: percent,
        cohorts,
        mirror_percent: mirror_percent(shape, rule),
        sessions: sessions::found(R::sessions(destinations::<R>(rule)), percent, &stay),
    })
}

/// The rule that leads cohorts of `rule` elsewhere.
fn cohort<R: Rules>(
    shape: &R,
    rule: &Value,
    cohorts: &[Match],
    to: Vec<Value>,
) -> Result<Value, Refusal> {
    let own = match list(rule, R::MATCHES) {
        [] => vec![shape.everything()],
        own => own.to_vec(),
    };
    let mut matches = Vec::with_capacity(cohorts.len() * own.len());
    for cohort in cohorts {
        for original in &own {
            matches.push(R::Conditions::add(original, cohort)?);
        }
    }
    let mut copy = rule.clone();
    set(&mut copy, R::MATCHES, Value::Array(matches));
    set(&mut copy, R::DESTINATIONS, Value::Array(to));
    if let Some(fields) = copy.as_object_mut() {
        // Names of rules are unique.
        fields.remove("name");
    }
    Ok(copy)
}

/// The cohorts by which `cohort` differs from `rule`.
fn cohorts<R: Rules>(rule: &Value, cohort: &Value) -> Option<Vec<Match>> {
    let own = list(rule, R::MATCHES);
    let plain = own.first().cloned().unwrap_or_else(|| json!({}));
    list(cohort, R::MATCHES)
        .iter()
        .step_by(own.len().max(1))
        .map(|with| R::Conditions::added(&plain, with))
        .collect()
}

/// Whom the rule leads, if it is one for clients that stay with their version.
fn about_sessions<R: Rules>(rule: &Value) -> Option<Given> {
    sessions::about(list(rule, R::MATCHES).iter().map(R::Conditions::cookie))
}

fn is_led<R: Rules>(shape: &R, rule: &Value) -> bool {
    let ours = |entry: &Value| matches!(shape.target(entry), Target::Stable | Target::Canary);
    destinations::<R>(rule).iter().any(ours) || mirror_percent(shape, rule).is_some()
}

fn add_mirror<R: Rules>(shape: &R, rule: &mut Value, percent: u8) -> Result<(), Refusal> {
    let canary = weights::only(shape, destinations::<R>(rule), Target::Canary);
    let mirror = shape.mirror(canary.first(), percent);
    let fields = rule
        .as_object_mut()
        .ok_or_else(|| Refusal::new("one of its rules is no object"))?;
    let mirrors = fields.entry(R::MIRRORS).or_insert_with(|| json!([]));
    if let Some(mirrors) = mirrors.as_array_mut() {
        mirrors.push(mirror);
    }
    Ok(())
}

fn mirror_percent<R: Rules>(shape: &R, rule: &Value) -> Option<u8> {
    let mut mirrors = list(rule, R::MIRRORS).iter();
    let mirror = mirrors.find(|mirror| shape.is_mirror(mirror))?;
    u8::try_from(R::mirrored(mirror)?).ok()
}

fn without_mirror<R: Rules>(shape: &R, rule: &Value) -> Value {
    let mut rule = rule.clone();
    let Some(fields) = rule.as_object_mut() else {
        return rule;
    };
    if let Some(mirrors) = fields.get_mut(R::MIRRORS).and_then(Value::as_array_mut) {
        let before = mirrors.len();
        mirrors.retain(|mirror| !shape.is_mirror(mirror));
        if mirrors.is_empty() && before > 0 {
            fields.remove(R::MIRRORS);
        }
    }
    rule
}

fn destinations<R: Rules>(rule: &Value) -> &[Value] {
    list(rule, R::DESTINATIONS)
}

/// A list of an object; an absent one is empty.
pub(super) fn list<'a>(object: &'a Value, key: &str) -> &'a [Value] {
    let list = object.get(key).and_then(Value::as_array);
    list.map(Vec::as_slice).unwrap_or_default()
}

/// Sets a field of an object.
pub(super) fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}
