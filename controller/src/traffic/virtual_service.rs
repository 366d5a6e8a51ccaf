//! Istio: `VirtualService`.
//!
//! Its routes lead to hosts, and Belay's Services are hosts of their own, so no `DestinationRule` is touched; a route by subset of
//! the user's Service is refused, since its subsets are not those of Belay's Services. Rules are tried in order: a cohort's rule
//! stands before the one that it is taken from, and so do those of clients that stay with their version.

mod cookies;

use belay_engine::traffic::{Match, Split};
use serde_json::{Value, json};

use super::{
    Field, Names, Refusal, Router,
    condition::keyed,
    sessions::{self, Given, To},
    weights::{self, Missing, Shape, Target},
};

/// The rules for requests; the others are for connections.
const HTTP: &str = "/spec/http";

/// `VirtualService`.
pub(super) struct Istio;

impl Router for Istio {
    const FIELDS: &'static [Field] = &[
        (HTTP, &["f:spec", "f:http"]),
        ("/spec/tls", &["f:spec", "f:tls"]),
        ("/spec/tcp", &["f:spec", "f:tcp"]),
    ];

    fn home(names: &Names, value: &Value) -> Option<Value> {
        let shape = Destinations(names);
        let rules = value.as_array()?;
        if !rules.iter().any(|rule| is_led(names, rule)) {
            return None;
        }
        let is_cohort = |rule: &Value| {
            weights::is_canary_only(&shape, routes(rule)) || about_sessions(rule).is_some()
        };
        let cohorts_only = rules.iter().all(is_cohort);
        let home = rules
            .iter()
            .filter(|rule| cohorts_only || !is_cohort(rule))
            .map(|rule| {
                let mut rule = without_mirror(names, rule);
                if let Some(home) = weights::home(&shape, routes(&rule)) {
                    set(&mut rule, "route", Value::Array(home));
                }
                rule
            })
            .collect();
        Some(Value::Array(home))
    }

    fn split(
        names: &Names,
        field: &str,
        home: &Value,
        split: &Split,
    ) -> Result<Option<Value>, Refusal> {
        let shape = Destinations(names);
        let plain = Split::share(split.canary_percent);
        let split = if Self::takes_all(field) {
            split
        } else {
            &plain
        };
        let home = home.as_array().map(Vec::as_slice).unwrap_or_default();
        let mut rules = Vec::with_capacity(home.len());
        let mut has_share = false;
        for rule in home {
            let Some(shared) = weights::split(&shape, routes(rule), split.canary_percent)? else {
                rules.push(rule.clone());
                continue;
            };
            refuse_subsets(names, rule)?;
            has_share = true;
            if !split.cohorts.is_empty() {
                let canary = weights::only(&shape, routes(rule), Target::Canary);
                rules.push(cohort(rule, &split.cohorts, canary)?);
            }
            for (who, to) in sessions::rules(split) {
                let to = match to {
                    To::Canary => weights::only(&shape, routes(rule), Target::Canary),
                    To::Stable => weights::only(&shape, routes(rule), Target::Stable),
                    To::Share(percent) => {
                        let shared = weights::split(&shape, routes(rule), percent)?;
                        cookies::set(&shape, shared.unwrap_or_default(), split)?
                    }
                };
                rules.push(cohort(rule, &[who], to)?);
            }
            let mut rule = rule.clone();
            if let Some(percent) = split.mirror_percent {
                add_mirror(names, &mut rule, percent)?;
            }
            let shared = cookies::set(&shape, shared, split)?;
            set(&mut rule, "route", Value::Array(shared));
            rules.push(rule);
        }
        Ok(has_share.then_some(Value::Array(rules)))
    }

    fn takes_all(field: &str) -> bool {
        field == HTTP
    }

    fn guess(names: &Names, value: &Value) -> Option<Split> {
        let shape = Destinations(names);
        let rules = value.as_array()?;
        let mut shared = rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| about_sessions(rule).is_none());
        let (at, percent) = shared.find_map(|(at, rule)| {
            weights::percent(&shape, routes(rule)).map(|percent| (at, percent))
        })?;
        let rule = rules.get(at)?;
        let mut before = rules.get(..at)?.iter().rev().peekable();
        let mut stay = Vec::new();
        while let Some(given) = before.peek().and_then(|rule| about_sessions(rule)) {
            stay.push(given);
            before.next();
        }
        let cohort = before.next();
        let cohort = cohort.filter(|before| weights::is_canary_only(&shape, routes(before)));
        Some(Split {
            canary_percent: percent,
            cohorts: cohort.map_or_else(|| Some(Vec::new()), |cohort| cohorts(rule, cohort))?,
            mirror_percent: mirror(names, rule),
            sessions: sessions::found(cookies::sessions(routes(rule)), percent, &stay),
        })
    }
}

/// `route[].destination`.
struct Destinations<'a>(&'a Names);

impl Destinations<'_> {
    /// The Service's name in a host of this namespace, and what follows it: `web`, `web.shop`, `web.shop.svc.cluster.local`.
    fn name<'h>(&self, host: &'h str) -> Option<(&'h str, &'h str)> {
        let Some((name, rest)) = host.split_once('.') else {
            return Some((host, ""));
        };
        let namespace = rest
            .split_once('.')
            .map_or(rest, |(namespace, _)| namespace);
        let kind = rest.split('.').nth(1).unwrap_or("svc");
        let tail = host.get(name.len()..)?;
        (namespace == self.0.namespace && kind == "svc").then_some((name, tail))
    }

    fn of_host(&self, destination: &Value) -> Target {
        let host = destination.get("host").and_then(Value::as_str);
        host.and_then(|host| self.name(host))
            .map_or(Target::Other, |(name, _)| self.0.target(name))
    }

    fn to_host(&self, destination: &mut Value, target: Target) {
        let host = destination.get("host").and_then(Value::as_str);
        let tail = host.and_then(|host| self.name(host)).map(|(_, tail)| tail);
        if let (Some(tail), Some(name)) = (tail, self.0.of(target)) {
            let host = format!("{name}{tail}");
            set(destination, "host", Value::from(host));
        }
    }
}

impl Shape for Destinations<'_> {
    const MISSING: Missing = Missing::AllOrNothing;
    const HIGHEST: u64 = i32::MAX as u64;

    fn target(&self, entry: &Value) -> Target {
        entry
            .get("destination")
            .map_or(Target::Other, |destination| self.of_host(destination))
    }

    fn pointed(&self, entry: &Value, target: Target) -> Value {
        let mut entry = entry.clone();
        if target == Target::Home {
            cookies::without(&mut entry);
        }
        if let Some(destination) = entry.get_mut("destination") {
            self.to_host(destination, target);
        }
        entry
    }
}

/// The rule that leads cohorts of `rule` elsewhere.
fn cohort(rule: &Value, cohorts: &[Match], to: Vec<Value>) -> Result<Value, Refusal> {
    let own = matches(rule);
    let own = if own.is_empty() { vec![json!({})] } else { own };
    let mut with = Vec::new();
    for cohort in cohorts {
        for original in &own {
            with.push(keyed::add(original, cohort)?);
        }
    }
    let mut copy = rule.clone();
    set(&mut copy, "match", Value::Array(with));
    set(&mut copy, "route", Value::Array(to));
    if let Some(fields) = copy.as_object_mut() {
        fields.remove("name");
    }
    Ok(copy)
}

/// The cohorts by which `cohort` differs from `rule`.
fn cohorts(rule: &Value, cohort: &Value) -> Option<Vec<Match>> {
    let own = matches(rule);
    let plain = own.first().cloned().unwrap_or_else(|| json!({}));
    matches(cohort)
        .iter()
        .step_by(own.len().max(1))
        .map(|with| keyed::added(&plain, with))
        .collect()
}

/// Whom the rule leads, if it is one for clients that stay with their version.
fn about_sessions(rule: &Value) -> Option<Given> {
    let matches = rule.get("match").and_then(Value::as_array);
    sessions::about(matches.into_iter().flatten().map(keyed::cookie))
}

fn refuse_subsets(names: &Names, rule: &Value) -> Result<(), Refusal> {
    let shape = Destinations(names);
    let subset = routes(rule)
        .iter()
        .filter(|entry| shape.target(entry) == Target::Home)
        .find_map(|entry| entry.pointer("/destination/subset")?.as_str());
    match subset {
        None => Ok(()),
        Some(subset) => Err(Refusal::new(format!(
            "it leads to subset {subset} of Service {}; take the subset out, Belay tells versions apart by Services of their own",
            names.service
        ))),
    }
}

fn add_mirror(names: &Names, rule: &mut Value, percent: u8) -> Result<(), Refusal> {
    let canary = weights::only(&Destinations(names), routes(rule), Target::Canary);
    let destination = canary.first().and_then(|entry| entry.get("destination"));
    let mirror = json!({"destination": destination, "percentage": {"value": percent}});
    let fields = rule
        .as_object_mut()
        .ok_or_else(|| Refusal::new("one of its rules is no object"))?;
    if fields.contains_key("mirror") {
        return Err(Refusal::new(
            "it has a mirror of its own; write it as an entry of mirrors, which can hold several",
        ));
    }
    let mirrors = fields.entry("mirrors").or_insert_with(|| json!([]));
    if let Some(mirrors) = mirrors.as_array_mut() {
        mirrors.push(mirror);
    }
    Ok(())
}

fn mirror(names: &Names, rule: &Value) -> Option<u8> {
    let mirrors = rule.get("mirrors")?.as_array()?;
    let mirror = mirrors.iter().find(|mirror| is_mirror(names, mirror))?;
    let percent = mirror.pointer("/percentage/value")?.as_u64()?;
    u8::try_from(percent).ok()
}

fn without_mirror(names: &Names, rule: &Value) -> Value {
    let mut rule = rule.clone();
    let Some(fields) = rule.as_object_mut() else {
        return rule;
    };
    if let Some(mirrors) = fields.get_mut("mirrors").and_then(Value::as_array_mut) {
        let before = mirrors.len();
        mirrors.retain(|mirror| !is_mirror(names, mirror));
        if mirrors.is_empty() && before > 0 {
            fields.remove("mirrors");
        }
    }
    rule
}

fn is_mirror(names: &Names, mirror: &Value) -> bool {
    let destination = mirror.get("destination");
    destination.is_some_and(|to| Destinations(names).of_host(to) == Target::Canary)
}

fn is_led(names: &Names, rule: &Value) -> bool {
    let shape = Destinations(names);
    let ours = |entry: &Value| matches!(shape.target(entry), Target::Stable | Target::Canary);
    routes(rule).iter().any(ours) || mirror(names, rule).is_some()
}

fn matches(rule: &Value) -> Vec<Value> {
    let matches = rule.get("match").and_then(Value::as_array);
    matches.cloned().unwrap_or_default()
}

fn routes(rule: &Value) -> &[Value] {
    let routes = rule.get("route").and_then(Value::as_array);
    routes.map(Vec::as_slice).unwrap_or_default()
}

fn set(object: &mut Value, key: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(key.to_owned(), value);
    }
}
