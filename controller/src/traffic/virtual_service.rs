//! Istio: `VirtualService`.
//!
//! Its routes lead to hosts, and Belay's Services are hosts of their own, so no `DestinationRule` is touched; a route by subset of
//! the user's Service is refused, since its subsets are not those of Belay's Services.

mod cookies;

use belay_engine::traffic::{Sessions, Split};
use serde_json::{Value, json};

use super::{
    Field, Names, Refusal, Router,
    condition::Keyed,
    rules::{self, Rules, list, set},
    weights::{Missing, Shape, Target},
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
        rules::home(&Destinations(names), value)
    }

    fn split(
        names: &Names,
        field: &str,
        home: &Value,
        split: &Split,
    ) -> Result<Option<Value>, Refusal> {
        let plain = Split::share(split.canary_percent);
        let split = if Self::takes_all(field) {
            split
        } else {
            &plain
        };
        let rules = rules::split(&Destinations(names), home, split)?;
        Ok(rules.map(Value::Array))
    }

    fn takes_all(field: &str) -> bool {
        field == HTTP
    }

    fn guess(names: &Names, value: &Value) -> Option<Split> {
        rules::guess(&Destinations(names), value)
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

impl Rules for Destinations<'_> {
    type Conditions = Keyed;

    const MATCHES: &'static str = "match";
    const DESTINATIONS: &'static str = "route";
    const MIRRORS: &'static str = "mirrors";

    fn check(&self, rule: &Value, split: &Split) -> Result<(), Refusal> {
        let subset = list(rule, Self::DESTINATIONS)
            .iter()
            .filter(|entry| self.target(entry) == Target::Home)
            .find_map(|entry| entry.pointer("/destination/subset")?.as_str());
        if let Some(subset) = subset {
            return Err(Refusal::new(format!(
                "it leads to subset {subset} of Service {}; take the subset out, Belay tells versions apart by Services of their own",
                self.0.service
            )));
        }
        if split.mirror_percent.is_some() && rule.get("mirror").is_some() {
            return Err(Refusal::new(
                "it has a mirror of its own; write it as an entry of mirrors, which can hold several",
            ));
        }
        Ok(())
    }

    fn with_cookies(&self, shared: Vec<Value>, split: &Split) -> Result<Vec<Value>, Refusal> {
        cookies::set(self, shared, split)
    }

    fn sessions(destinations: &[Value]) -> Option<Sessions> {
        cookies::sessions(destinations)
    }

    fn mirror(&self, canary: Option<&Value>, percent: u8) -> Value {
        let destination = canary.and_then(|entry| entry.get("destination"));
        json!({"destination": destination, "percentage": {"value": percent}})
    }

    fn is_mirror(&self, mirror: &Value) -> bool {
        let destination = mirror.get("destination");
        destination.is_some_and(|to| self.of_host(to) == Target::Canary)
    }

    fn mirrored(mirror: &Value) -> Option<u64> {
        mirror.pointer("/percentage/value")?.as_u64()
    }
}
