//! From Flagger.

use serde_json::{Value, json};

use crate::{guide::Guide, lab, served::Served, shell::Shell};

/// What users have written.
const WRITTEN: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: storefront, labels: {app: storefront}}
spec:
  replicas: 0
  selector: {matchLabels: {app: storefront}}
  template:
    metadata: {labels: {app: storefront}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: storefront, image: 'shop/storefront:v1', ports: [{containerPort: 8080}]}
---
apiVersion: flagger.app/v1beta1
kind: Canary
metadata: {name: storefront}
spec:
  provider: gatewayapi:v1
  targetRef: {apiVersion: apps/v1, kind: Deployment, name: storefront}
  service:
    port: 80
    targetPort: 8080
    gatewayRefs: [{name: public}]
    hosts: [store.example.com]
  analysis:
    interval: 30s
    threshold: 3
    maxWeight: 60
    stepWeight: 30
    metrics:
    - name: errors
      templateRef: {name: errors}
      thresholdRange: {max: 1}
    webhooks:
    - {name: manager, type: confirm-promotion, url: 'http://tester.shop/gate/check'}
    alerts:
    - {name: on-call, severity: error, providerRef: {name: chat}}
---
apiVersion: flagger.app/v1beta1
kind: MetricTemplate
metadata: {name: errors}
spec:
  provider: {type: prometheus, address: 'http://prometheus.monitoring:9090'}
  query: |
    100 * sum(rate(http_requests_total{namespace=\"{{ namespace }}\",pod=~\"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\",code=~\"5..\"}[{{ interval }}]))
      / sum(rate(http_requests_total{namespace=\"{{ namespace }}\",pod=~\"{{ target }}-[0-9a-zA-Z]+(-[0-9a-zA-Z]+)\"}[{{ interval }}]))
";

/// Makes what users have written, and what Flagger makes of it.
async fn at_rest(shell: &Shell) {
    shell.feed("apply -f -", WRITTEN).await;
    let uid = shell
        .run("kubectl get canaries.flagger.app storefront -o jsonpath='{.metadata.uid}'")
        .await;
    let status = json!({"status": {"phase": "Succeeded", "canaryWeight": 0, "failedChecks": 0, "iterations": 0}});
    shell
        .run(&format!("kubectl patch canaries.flagger.app storefront --subresource=status --type=merge -p '{status}'"))
        .await;
    let metadata = |name: &str| {
        json!({"name": name, "ownerReferences": [{"apiVersion": "flagger.app/v1beta1", "kind": "Canary", "name": "storefront",
            "uid": uid, "controller": true, "blockOwnerDeletion": true}]})
    };
    let service = |name: &str, app: &str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata(name), "spec": {
            "selector": {"app": app}, "ports": [{"name": "http", "port": 80, "targetPort": 8080, "protocol": "TCP"}]}})
    };
    let labels = json!({"app": "storefront-primary"});
    let primary = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("storefront-primary"),
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{"name": "storefront", "image": "shop/storefront:v1", "ports": [{"containerPort": 8080}]}],
        }}},
    });
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata("storefront"),
        "spec": {"parentRefs": [{"name": "public"}], "hostnames": ["store.example.com"], "rules": [{
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"name": "storefront-primary", "port": 80, "weight": 100}, {"name": "storefront-canary", "port": 80, "weight": 0}],
        }]},
    });
    for made in [
        primary,
        service("storefront", "storefront-primary"),
        service("storefront-primary", "storefront-primary"),
        service("storefront-canary", "storefront"),
        route,
    ] {
        // As another writer than the guide's, as Flagger is.
        shell
            .feed("create --field-manager=flagger -f -", &made.to_string())
            .await;
    }
}

/// Says of the route what a gateway says that has taken it up as it is now.
async fn acknowledge(shell: &Shell) {
    let route: Value =
        serde_json::from_str(&shell.run("kubectl get httproute storefront -o json").await).unwrap();
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": kind, "message": "",
            "observedGeneration": route["metadata"]["generation"], "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let status = json!({"status": {"parents": [{
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public"},
        "controllerName": "example.com/gateway",
        "conditions": [condition("Accepted"), condition("ResolvedRefs")],
    }]}});
    shell
        .run(&format!(
            "kubectl patch httproute storefront --subresource=status --type=merge -p '{status}'"
        ))
        .await;
}

async fn nobody_owns_what_stays(shell: &Shell) {
    for kind in ["service", "httproute"] {
        let owners = shell
            .run(&format!(
                "kubectl get {kind} storefront -o jsonpath='{{.metadata.ownerReferences}}'"
            ))
            .await;
        assert_eq!(owners, "", "{kind}");
    }
}

#[tokio::test]
async fn the_guide_moves_a_canary_of_flaggers_without_stopping_its_traffic() {
    // given a workload at rest under Flagger
    let shell = Shell::new(lab().await, "flagger").await;
    at_rest(&shell).await;
    let served = Served::begin(&shell, "storefront", 3).await;

    // when every command of the guide is run
    let (before, from_there) =
        Guide::new("migrate-from-flagger.md").split("kubectl delete canaries.flagger.app");
    before.follow(&shell, &[&served]).await;
    // (what stays is nobody's before its owner goes: the garbage collector may not know all kinds)
    nobody_owns_what_stays(&shell).await;
    from_there.follow(&shell, &[&served]).await;

    // then the Deployment serves, nobody owns its Service and route any more, and the copy is gone
    assert!(served.changes() > 1, "the watch saw no change");
    let left = shell
        .run("kubectl get canaries.flagger.app,metrictemplates.flagger.app -o name")
        .await;
    assert_eq!(left, "");
    let deployments = shell.run("kubectl get deployments -o name").await;
    assert_eq!(deployments.trim(), "deployment.apps/storefront");
    nobody_owns_what_stays(&shell).await;

    // and the next version goes by the steps, once the gateway has taken the route up
    acknowledge(&shell).await;
    shell
        .run("kubectl set image deployment/storefront storefront=shop/storefront:v2")
        .await;
    shell.run("kubectl wait --for=jsonpath='{.spec.rules[0].backendRefs[?(@.name==\"storefront-canary\")].weight}'=30 httproute/storefront --timeout=5m").await;
    let route: Value =
        serde_json::from_str(&shell.run("kubectl get httproute storefront -o json").await).unwrap();
    let names: Vec<&Value> = route["spec"]["rules"][0]["backendRefs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|backend| &backend["name"])
        .collect();
    assert_eq!(names, ["storefront-stable", "storefront-canary"]);
    served.never_empty("the canary after the guide");
}
