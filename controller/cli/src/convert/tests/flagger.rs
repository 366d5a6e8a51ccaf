use serde_json::json;

use super::*;

const STOREFRONT: &str = include_str!("storefront.yaml");

#[test]
fn weights_become_steps_and_metrics_become_gates() {
    let converted = converted(STOREFRONT);
    let spec = &converted.item("Rollout", "storefront")["spec"];
    let before = json!([{"template": "storefront-before", "argsFrom": [
        {"name": "hash", "field": "/status/candidate/hash"}, {"name": "namespace", "field": "/metadata/namespace"}]}]);
    assert_eq!(
        spec["strategy"]["canary"]["steps"],
        json!([
            {"weight": 20, "hold": "1m", "gates": before},
            {"weight": 40, "hold": "1m"},
            {"weight": 60, "hold": "1m", "approval": true},
        ])
    );
    assert_eq!(
        spec["traffic"],
        json!({"service": "storefront", "routes": [{"kind": "HTTPRoute", "name": "storefront"}]})
    );
    let names: Vec<&Value> = spec["verification"]["gates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|gate| &gate["template"])
        .collect();
    assert_eq!(
        names,
        [
            "request-success-rate-threshold",
            "storefront-not-found",
            "storefront-webhooks"
        ]
    );
    assert_eq!(
        spec["verification"]["gates"][0]["args"],
        json!({"maxRatio": "0.01", "window": "2m", "workload": "storefront"})
    );
    let gate = &converted.item("AnalysisTemplate", "storefront-not-found")["spec"]["gates"][0];
    assert_eq!(gate["failureLimit"], 4);
    assert_eq!(
        gate["prometheus"]["address"],
        "http://prometheus.monitoring:9090"
    );
    let query = gate["prometheus"]["query"].as_str().unwrap();
    assert!(
        query
            .contains(r#"namespace="{{namespace}}",pod=~"storefront-{{hash}}-.+",code="404"}[1m]"#),
        "{query}"
    );
    let hook =
        &converted.item("AnalysisTemplate", "storefront-webhooks")["spec"]["gates"][0]["http"];
    assert_eq!(hook["method"], "POST");
    assert!(hook["body"].as_str().unwrap().contains("hey -z 1m"));
}

#[test]
fn the_service_and_the_route_are_the_users_from_now_on() {
    let converted = converted(STOREFRONT);
    assert_eq!(
        converted.item("Service", "storefront")["spec"],
        json!({"selector": {"app": "storefront"}, "ports": [{"name": "web", "port": 80, "targetPort": 8080}]})
    );
    assert_eq!(
        converted.item("HTTPRoute", "storefront")["spec"],
        json!({
            "parentRefs": [{"name": "public", "namespace": "gateways"}],
            "hostnames": ["store.example.com"],
            "rules": [{
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "timeouts": {"request": "15s"},
                "backendRefs": [{"name": "storefront", "port": 80}],
            }],
        })
    );
    let route = &converted.item("VirtualService", "search-api")["spec"];
    assert_eq!(
        route["http"][0]["route"],
        json!([{"destination": {"host": "search-api"}}])
    );
    assert_eq!(route["http"][0]["retries"]["attempts"], 3);
    // labels are those of the Deployment where it is given
    assert_eq!(
        converted.item("Service", "worker")["spec"]["selector"],
        json!({"app.kubernetes.io/name": "worker"})
    );
}

#[test]
fn a_match_with_iterations_is_a_test_with_a_cohort_for_its_time() {
    let converted = converted(STOREFRONT);
    let spec = &converted.item("Rollout", "search")["spec"];
    assert_eq!(
        spec["strategy"],
        json!({"ab": {"duration": "5m", "end": "Time", "match": [
            {"headers": [{"name": "x-beta", "exact": "on"}]},
            {"headers": [{"name": "cookie", "regex": "^(.*?;)?(beta=on)(;.*)?$"}]},
        ]}})
    );
    assert_eq!(
        spec["verification"]["gates"][0]["template"],
        "istio-request-duration-threshold"
    );
    let left: Vec<&str> = converted
        .notes
        .iter()
        .filter(|note| note.name == "search" && note.effect == Effect::Left)
        .map(|note| note.field.as_str())
        .collect();
    assert_eq!(
        left,
        [
            "spec.service.trafficPolicy",
            "spec.skipAnalysis",
            "spec.analysis.match[1].sourceLabels",
        ]
    );
}

#[test]
fn iterations_alone_are_a_preview_and_a_switch() {
    let converted = converted(STOREFRONT);
    let spec = &converted.item("Rollout", "worker")["spec"];
    assert_eq!(
        spec["strategy"]["blueGreen"],
        json!({"preview": {"hold": "3m", "gates": [{"template": "worker-queue-errors"}]}})
    );
    assert_eq!(spec["traffic"], json!({"service": "worker"}));
    let gate = &converted.item("AnalysisTemplate", "worker-queue-errors")["spec"]["gates"][0];
    assert_eq!(gate["prometheus"]["threshold"], json!({"max": 0.5}));
}

#[test]
fn a_mirror_without_weights_is_a_step_of_its_own() {
    let converted = converted(
        "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: web, namespace: shop}\nspec:\n  provider: istio\n  \
         targetRef: {kind: Deployment, name: web}\n  service: {port: 80}\n  \
         analysis: {interval: 1m, threshold: 2, iterations: 5, mirror: true, mirrorWeight: 30}\n",
    );
    assert_eq!(
        converted.item("Rollout", "web")["spec"]["strategy"]["canary"]["steps"],
        json!([{"mirror": 30, "hold": "5m"}, {"weight": 100}])
    );
    assert!(converted.left().is_empty(), "{:#?}", converted.notes);
}

#[test]
fn alerts_and_kinds_without_a_counterpart_are_left() {
    let converted = converted(STOREFRONT);
    let alerts: Vec<&Note> = converted
        .notes
        .iter()
        .filter(|note| {
            note.message.contains("Alertmanager") || note.field == "spec.analysis.alerts"
        })
        .collect();
    assert_eq!(alerts.len(), 2, "{alerts:#?}");
    let daemons = super::converted(
        "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {name: web}\nspec:\n  targetRef: {kind: DaemonSet, name: web}\n  service: {port: 80}\n",
    );
    assert!(daemons.items.is_empty());
    assert!(daemons.note("spec.targetRef.kind").contains("Deployments"));
}

#[test]
fn a_cookie_keeps_clients_where_a_route_can_and_is_told_where_none_can() {
    let canary = |provider: &str, analysis: &str| {
        converted(&format!(
            "apiVersion: flagger.app/v1beta1\nkind: Canary\nmetadata: {{name: web, namespace: shop}}\nspec:\n  provider: {provider}\n  \
             targetRef: {{kind: Deployment, name: web}}\n  service: {{port: 80}}\n  \
             analysis: {{interval: 1m, threshold: 2, {analysis}}}\n",
        ))
    };
    let kept = canary(
        "istio",
        "stepWeight: 20, maxWeight: 60, sessionAffinity: {cookieName: shop-version, maxAge: 3600}",
    );
    assert_eq!(
        kept.item("Rollout", "web")["spec"]["traffic"]["affinity"],
        json!({"cookie": "shop-version", "maxAge": "1h"})
    );
    assert!(kept.left().is_empty(), "{:#?}", kept.notes);
    for analysis in [
        "iterations: 5, sessionAffinity: {cookieName: shop}",
        "stepWeight: 20, sessionAffinity: {cookieName: a cookie}",
    ] {
        let converted = canary("istio", analysis);
        let spec = &converted.item("Rollout", "web")["spec"];
        assert_eq!(spec["traffic"]["affinity"], json!(null), "{analysis}");
        let told = converted
            .notes
            .iter()
            .any(|note| note.field == "spec.analysis.sessionAffinity");
        assert!(told, "{analysis}: {:#?}", converted.notes);
    }
}
