//! Every kind of route, on manifests as people write them.

mod acknowledged;
mod fields;
mod pair;
mod routes;
mod stay;

use belay_engine::traffic::{Affinity, Condition, Match, Part, RouterKind, Sessions, Split, Text};
use serde_json::{Value, json};

use super::Names;

fn names() -> Names {
    Names::new("shop", "web")
}

fn condition(part: Part, name: &str, value: &str) -> Condition {
    Condition {
        part,
        name: name.to_owned(),
        value: Text::Exact(value.to_owned()),
    }
}

fn cohort(conditions: &[Condition]) -> Match {
    Match {
        all: conditions.to_vec(),
    }
}

/// Clients that stay with the version that they were given.
fn sessions(earlier_percent: Option<u8>) -> Sessions {
    Sessions {
        affinity: Affinity {
            cookie: "shop".to_owned(),
            max_age_seconds: 3_600,
        },
        trial: "5d4f8-67a1".to_owned(),
        earlier_percent,
    }
}

/// A route that has it all: other destinations, weights, rules that don't concern the Service, unknown fields.
fn rich(kind: RouterKind) -> Value {
    match kind {
        RouterKind::HttpRoute => json!({"spec": {
            "parentRefs": [{"name": "edge"}],
            "hostnames": ["shop.example"],
            "rules": [
                {"name": "images", "matches": [{"path": {"type": "PathPrefix", "value": "/img"}}],
                 "backendRefs": [{"group": "", "kind": "Service", "name": "images", "port": 80, "weight": 1}]},
                {"name": "api",
                 "matches": [
                    {"path": {"type": "PathPrefix", "value": "/api"}, "method": "GET"},
                    {"path": {"type": "Exact", "value": "/v2"}, "headers": [{"type": "Exact", "name": "x-api", "value": "2"}]},
                 ],
                 "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]}}],
                 "backendRefs": [
                    {"group": "", "kind": "Service", "name": "web", "port": 80, "weight": 3, "fromTheFuture": {"a": 1}},
                    {"group": "", "kind": "Service", "name": "legacy", "port": 80, "weight": 1},
                    {"group": "", "kind": "Service", "name": "web", "port": 81, "weight": 0},
                 ],
                 "timeouts": {"request": "10s"}},
                {"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                 "backendRefs": [{"group": "", "kind": "Service", "name": "web", "port": 80, "weight": 1}]},
            ],
        }}),
        RouterKind::GrpcRoute => json!({"spec": {
            "parentRefs": [{"name": "edge"}],
            "rules": [
                {"matches": [{"method": {"type": "Exact", "service": "shop.Cart"}}],
                 "backendRefs": [{"group": "", "kind": "Service", "name": "web", "port": 9000, "weight": 1}]},
                {"backendRefs": [{"group": "", "kind": "Service", "name": "web", "port": 9000, "weight": 7},
                                 {"group": "", "kind": "Service", "name": "old", "port": 9000, "weight": 3}]},
            ],
        }}),
        RouterKind::VirtualService => json!({"spec": {
            "hosts": ["web", "shop.example"],
            "gateways": ["mesh", "edge"],
            "http": [
                {"match": [{"uri": {"prefix": "/img"}}], "route": [{"destination": {"host": "images"}}]},
                {"name": "api",
                 "match": [{"uri": {"prefix": "/api"}}, {"headers": {"x-api": {"exact": "2"}}}],
                 "retries": {"attempts": 3},
                 "mirrors": [{"destination": {"host": "shadow"}, "percentage": {"value": 5}}],
                 "route": [
                    {"destination": {"host": "web.shop.svc.cluster.local", "port": {"number": 80}}, "weight": 90},
                    {"destination": {"host": "legacy"}, "weight": 10},
                 ]},
                {"route": [{"destination": {"host": "web"}, "headers": {"response": {"set": {"a": "b"}}}}]},
            ],
            "tcp": [{"match": [{"port": 9000}], "route": [{"destination": {"host": "web.shop"}}]}],
        }}),
        RouterKind::TraefikService => json!({"spec": {"weighted": {
            "services": [
                {"name": "web", "port": 80, "weight": 3, "passHostHeader": true},
                {"name": "legacy", "kind": "TraefikService", "weight": 1},
            ],
            "sticky": {"cookie": {"name": "lb"}},
        }}}),
    }
}

/// The route of a beginner.
fn plain(kind: RouterKind) -> Value {
    match kind {
        RouterKind::HttpRoute => json!({"spec": {"parentRefs": [{"name": "edge"}], "rules": [
            {"backendRefs": [{"name": "web", "port": 80, "weight": 1}]}]}}),
        RouterKind::GrpcRoute => json!({"spec": {"parentRefs": [{"name": "edge"}], "rules": [
            {"backendRefs": [{"name": "web", "port": 9000, "weight": 1}]}]}}),
        RouterKind::VirtualService => json!({"spec": {"hosts": ["web"], "http": [
            {"route": [{"destination": {"host": "web"}}]}]}}),
        RouterKind::TraefikService => json!({"spec": {"weighted": {"services": [
            {"name": "web", "port": 80}]}}}),
    }
}

const KINDS: [RouterKind; 4] = [
    RouterKind::HttpRoute,
    RouterKind::GrpcRoute,
    RouterKind::VirtualService,
    RouterKind::TraefikService,
];

/// What this kind can be asked for.
fn asked(kind: RouterKind, percent: u8, bits: u8) -> Split {
    let mut split = Split::share(percent);
    if bits & 16 != 0 && kind.keeps_sessions() && (1..100).contains(&percent) {
        split.sessions = Some(sessions((percent > 7).then_some(7)));
        split = kind.told(&split);
    }
    if kind == RouterKind::TraefikService {
        return split;
    }
    if bits & 1 != 0 {
        let mut all = vec![condition(Part::Header, "X-Cohort", "beta")];
        if kind.matches(Part::Query) {
            all.push(condition(Part::Query, "try", "yes"));
        }
        split.cohorts.push(cohort(&all));
    }
    if bits & 2 != 0 {
        split
            .cohorts
            .push(cohort(&[condition(Part::Header, "x-staff", "a.b=(c)")]));
    }
    if bits & 4 != 0 && kind.matches(Part::Cookie) {
        split
            .cohorts
            .push(cohort(&[condition(Part::Cookie, "tr.y", "a=b;(c)")]));
    }
    if bits & 8 != 0 {
        split.mirror_percent = Some(percent.max(1));
    }
    split
}
