//! Manifests of routes as each project's users write them: with what such routes use, nothing for tests.

use belay_engine::traffic::RouterKind;
use serde_json::{Value, json};

/// A route of this kind to Service `web`, whole enough to be applied.
pub(crate) fn route(kind: RouterKind, namespace: &str) -> Value {
    let spec = match kind {
        RouterKind::HttpRoute => json!({
            "parentRefs": [{"name": "edge"}],
            "hostnames": ["shop.example"],
            "rules": [
                {"matches": [{"path": {"type": "PathPrefix", "value": "/images"}}],
                 "backendRefs": [{"name": "images", "port": 80}]},
                {"matches": [{"path": {"type": "PathPrefix", "value": "/api"}, "headers": [{"name": "x-version", "value": "2"}]}],
                 "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": {"add": [{"name": "x-from", "value": "edge"}]}}],
                 "backendRefs": [{"name": "web", "port": 80, "weight": 9}, {"name": "legacy", "port": 80, "weight": 1}],
                 "timeouts": {"request": "10s"}},
                {"backendRefs": [{"name": "web", "port": 80}]},
            ],
        }),
        RouterKind::GrpcRoute => json!({
            "parentRefs": [{"name": "edge"}],
            "rules": [
                {"matches": [{"method": {"service": "shop.Cart", "method": "Add"}}], "backendRefs": [{"name": "web", "port": 9000}]},
                {"backendRefs": [{"name": "web", "port": 9000}]},
            ],
        }),
        RouterKind::VirtualService => json!({
            "hosts": ["web", "shop.example"],
            "gateways": ["mesh", "edge"],
            "http": [
                {"name": "api", "match": [{"uri": {"prefix": "/api"}}],
                 "route": [{"destination": {"host": "web.{namespace}.svc.cluster.local", "port": {"number": 80}}, "weight": 90},
                           {"destination": {"host": "legacy"}, "weight": 10}],
                 "retries": {"attempts": 3, "perTryTimeout": "2s"}, "timeout": "10s"},
                {"route": [{"destination": {"host": "web"}}]},
            ],
            "tcp": [{"match": [{"port": 9000}], "route": [{"destination": {"host": "web", "port": {"number": 9000}}}]}],
        }),
        RouterKind::TraefikService => json!({"weighted": {
            "services": [{"name": "web", "port": 80, "weight": 9}, {"name": "legacy", "port": 80, "weight": 1}],
            "sticky": {"cookie": {"name": "lb", "secure": true, "httpOnly": true}},
        }}),
    };
    let text = spec.to_string().replace("{namespace}", namespace);
    let resource = belay::traffic::resource(kind);
    json!({
        "apiVersion": resource.api_version,
        "kind": resource.kind,
        "metadata": {"name": "web", "namespace": namespace, "labels": {"app": "web"}},
        "spec": serde_json::from_str::<Value>(&text).unwrap(),
    })
}

/// The user's Service.
pub(crate) fn service(namespace: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": namespace, "labels": {"app": "web"}},
        "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
    })
}
