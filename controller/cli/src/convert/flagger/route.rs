//! The route that Flagger makes, which is the user's from now on, and leads to one Service.

use belay_engine::traffic::RouterKind;
use serde_json::{Map, Value, json};

use super::canary::Subject;
use crate::convert::{
    fields::Fields,
    manifest::{named, put},
    note::Notes,
};

/// A route and its kind. It has the Service's name.
pub(super) struct Route {
    pub(super) kind: RouterKind,
    pub(super) manifest: Value,
}

/// The route of the Canary's provider, if Belay leads such routes.
pub(super) fn route(
    own: &mut Fields,
    subject: &Subject,
    metadata: &Value,
    notes: &mut Notes,
) -> Option<Route> {
    let provider = subject.provider.as_deref().unwrap_or_default();
    let (kind, api_version, spec) = match provider {
        "istio" => (
            RouterKind::VirtualService,
            "networking.istio.io/v1",
            virtual_service(own, subject, notes),
        ),
        "traefik" => (
            RouterKind::TraefikService,
            "traefik.io/v1alpha1",
            json!({"weighted": {"services": [{"name": subject.service, "kind": "Service", "port": subject.port, "weight": 100}]}}),
        ),
        _ if provider.starts_with("gatewayapi") => (
            RouterKind::HttpRoute,
            "gateway.networking.k8s.io/v1",
            http_route(own, subject, notes),
        ),
        _ => {
            told(provider, notes);
            return None;
        }
    };
    let metadata = named(metadata, &subject.service);
    let manifest = json!({"apiVersion": api_version, "kind": kind.as_str(), "metadata": metadata, "spec": spec});
    Some(Route { kind, manifest })
}

fn told(provider: &str, notes: &mut Notes) {
    match provider {
        "kubernetes" => {}
        "" => notes.left("spec.provider", "no provider is named, and Flagger's default is not known here: write istio, traefik or gatewayapi:v1 here and convert again, or go by the share of pods as it is now"),
        other => notes.left("spec.provider", format!("{other} is not led: Belay leads routes of the Gateway API, Istio and Traefik; put one of these in front, or go by the share of pods as it is now")),
    }
}

fn virtual_service(own: &mut Fields, subject: &Subject, notes: &mut Notes) -> Value {
    let mut spec = Map::new();
    let delegation = own.flag("delegation", notes).unwrap_or_default();
    let (hosts, gateways) = (own.take("hosts"), own.take("gateways"));
    if !delegation {
        spec.insert(
            "hosts".to_owned(),
            hosts.unwrap_or_else(|| json!([subject.service])),
        );
        put(&mut spec, "gateways", gateways);
    }
    let mut rule = Map::new();
    for name in [
        "match",
        "rewrite",
        "timeout",
        "retries",
        "headers",
        "corsPolicy",
    ] {
        put(&mut rule, name, own.take(name));
    }
    // Flagger's own word beside Istio's.
    if let Some(rewrite) = rule.get_mut("rewrite").and_then(Value::as_object_mut) {
        rewrite.remove("type");
    }
    rule.insert(
        "route".to_owned(),
        json!([{"destination": {"host": subject.service}}]),
    );
    spec.insert("http".to_owned(), json!([rule]));
    spec.into()
}

fn http_route(own: &mut Fields, subject: &Subject, notes: &mut Notes) -> Value {
    let mut spec = Map::new();
    put(&mut spec, "parentRefs", own.take("gatewayRefs"));
    put(&mut spec, "hostnames", own.take("hosts"));
    let mut rule = Map::new();
    let matches: Vec<Value> = own
        .each("match", notes)
        .into_iter()
        .map(|one| matched(one, notes))
        .collect();
    put(
        &mut rule,
        "matches",
        (!matches.is_empty()).then_some(matches),
    );
    let mut timeouts = Map::new();
    put(&mut timeouts, "request", own.text("timeout", notes));
    put(
        &mut timeouts,
        "backendRequest",
        own.text("backendTimeout", notes),
    );
    if !timeouts.is_empty() {
        rule.insert("timeouts".to_owned(), timeouts.into());
    }
    rule.insert(
        "backendRefs".to_owned(),
        json!([{"name": subject.service, "port": subject.port}]),
    );
    spec.insert("rules".to_owned(), json!([rule]));
    spec.into()
}

/// A condition in Istio's words, which Flagger uses everywhere, in the Gateway API's.
fn matched(mut own: Fields, notes: &mut Notes) -> Value {
    let mut matched = Map::new();
    let uri_at = own.path("uri");
    if let Some((how, value)) = own
        .fields("uri", notes)
        .and_then(|uri| text_match(uri, notes))
    {
        let kind = match how {
            "exact" => Some("Exact"),
            "prefix" => Some("PathPrefix"),
            "regex" => Some("RegularExpression"),
            _ => None,
        };
        match kind {
            Some(kind) => put(
                &mut matched,
                "path",
                Some(json!({"type": kind, "value": value})),
            ),
            None => notes.left(
                &uri_at,
                "a path can't be matched by its end; write a regular expression into the route",
            ),
        }
    }
    if let Some(method) = own
        .fields("method", notes)
        .and_then(|own| text_match(own, notes))
    {
        matched.insert("method".to_owned(), method.1.into());
    }
    for (from, to) in [("headers", "headers"), ("queryParams", "queryParams")] {
        let conditions = conditions(&mut own, from, notes);
        put(
            &mut matched,
            to,
            (!conditions.is_empty()).then_some(conditions),
        );
    }
    own.end(&[], notes);
    matched.into()
}

fn conditions(own: &mut Fields, name: &str, notes: &mut Notes) -> Vec<Value> {
    let Some(mut all) = own.fields(name, notes) else {
        return Vec::new();
    };
    let mut conditions = Vec::new();
    for key in all.names() {
        let Some((how, value)) = all
            .fields(&key, notes)
            .and_then(|own| text_match(own, notes))
        else {
            continue;
        };
        let (kind, value) = match how {
            "exact" => ("Exact", value),
            "prefix" => ("RegularExpression", crate::convert::text::beginning(&value)),
            "suffix" => ("RegularExpression", crate::convert::text::ending(&value)),
            _ => ("RegularExpression", value),
        };
        conditions.push(json!({"type": kind, "name": key, "value": value}));
    }
    all.end(&[], notes);
    conditions
}

/// How a text is matched, and with what.
pub(super) fn text_match(mut own: Fields, notes: &mut Notes) -> Option<(&'static str, String)> {
    let found = ["exact", "prefix", "suffix", "regex"]
        .into_iter()
        .find_map(|how| Some((how, own.text(how, notes)?)));
    own.end(&[], notes);
    found
}
