use serde_json::json;

use super::*;

const CHECKOUT: &str = include_str!("checkout.yaml");

/// A Rollout with this strategy and a pod template.
fn rollout(strategy: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {{name: web, namespace: shop}}\nspec:\n  replicas: 2\n  \
         selector: {{matchLabels: {{app: web}}}}\n  template:\n    metadata: {{labels: {{app: web}}}}\n    \
         spec: {{containers: [{{name: web, image: 'shop/web:1'}}]}}\n  strategy: {strategy}\n"
    )
}

fn steps_of(converted: &Converted) -> Value {
    converted.item("Rollout", "web")["spec"]["strategy"]["canary"]["steps"].clone()
}

#[test]
fn settings_and_waits_become_steps_that_are_both() {
    // when a canary with a route, a cohort and gates of its steps is converted
    let converted = converted(CHECKOUT);

    // then each wait is in the step whose settings it follows
    let rollout = converted.item("Rollout", "checkout");
    let staff = json!([{"headers": [{"name": "X-Staff", "exact": "yes"}]}]);
    assert_eq!(
        rollout["spec"]["strategy"]["canary"]["steps"],
        json!([
            {"replicas": 1, "match": staff, "approval": true},
            {"weight": 10, "match": staff, "hold": "5m", "gates": [
                {"template": "smoke", "argsFrom": [{"name": "hash", "field": "/status/candidate/hash"}]},
                {"template": "latency", "kind": "ClusterAnalysisTemplate",
                 "argsFrom": [{"name": "hash", "field": "/status/candidate/hash"}]},
            ]},
            {"weight": 50, "hold": "10m"},
        ])
    );
    assert_eq!(
        rollout["spec"]["traffic"],
        json!({"service": "checkout", "routes": [{"kind": "HTTPRoute", "name": "checkout"}], "drain": "20s"})
    );
    assert_eq!(
        rollout["spec"]["verification"],
        json!({"gates": [{"template": "error-rate", "args": {"service": "checkout"}}]})
    );
    assert_eq!(rollout["spec"]["progressDeadline"], "15m");
    assert_eq!(rollout["spec"]["workloadRef"], json!({"name": "checkout"}));
    assert_eq!(
        rollout["metadata"]["annotations"],
        json!({"owner": "payments@example.com"})
    );
    assert!(converted.left().is_empty(), "{:#?}", converted.notes);
    assert!(
        converted
            .note("spec.strategy.canary.canaryService")
            .contains("delete it")
    );
}

#[test]
fn the_pod_template_goes_into_a_deployment_as_it_is() {
    let converted = converted(CHECKOUT);
    let deployment = converted.item("Deployment", "checkout");
    let documents = serde_saphyr::from_multiple::<Value>(CHECKOUT).unwrap();
    assert_eq!(
        deployment["spec"]["template"],
        documents[0]["spec"]["template"]
    );
    assert_eq!(deployment["spec"]["replicas"], 6);
    assert_eq!(
        deployment["spec"]["strategy"]["rollingUpdate"],
        json!({"maxSurge": "25%", "maxUnavailable": 0})
    );
    // and who scaled the Rollout scales it
    let scaler = converted.item("HorizontalPodAutoscaler", "checkout");
    assert_eq!(
        scaler["spec"]["scaleTargetRef"],
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "checkout"})
    );
}

#[test]
fn metrics_become_gates_and_secrets_stay_secrets() {
    let converted = converted(CHECKOUT);
    let template = &converted.item("AnalysisTemplate", "error-rate")["spec"];
    // the token is named where it is sent, and is no argument any more
    assert_eq!(
        template["args"],
        json!([{"name": "service"}, {"name": "limit", "default": "0.05"}])
    );
    let gate = &template["gates"][0];
    assert_eq!(gate["name"], "error-rate");
    assert_eq!(gate["interval"], "30s");
    assert_eq!(
        (&gate["successCount"], &gate["failureLimit"]),
        (&json!(5), &json!(2))
    );
    assert_eq!(gate["prometheus"]["threshold"], json!({"max": 0.05}));
    assert_eq!(
        gate["prometheus"]["headers"],
        json!([{"name": "Authorization", "prefix": "Bearer ", "secretKey": {"name": "prometheus", "key": "token"}}])
    );
    assert!(
        gate["prometheus"]["query"]
            .as_str()
            .unwrap()
            .contains(r#"service="{{service}}""#)
    );
    // a bound that is an argument goes into the query
    let slow = &template["gates"][1];
    assert_eq!(slow["mode"], "DryRun");
    assert_eq!(slow["onError"]["consecutiveLimit"], 4);
    assert_eq!(slow["prometheus"]["threshold"], json!({"max": 0.0}));
    assert!(
        slow["prometheus"]["query"]
            .as_str()
            .unwrap()
            .ends_with(") - {{limit}}")
    );
    let smoke = &converted.item("AnalysisTemplate", "smoke")["spec"];
    assert_eq!(smoke["gates"][0]["job"]["serviceAccountName"], "smoke");
    assert_eq!(
        smoke["gates"][0]["job"]["spec"]["template"]["spec"]["containers"][0]["args"],
        json!(["--version={{hash}}"])
    );
    assert_eq!(
        smoke["gates"][1]["http"]["expect"]["json"],
        json!([{"path": "$.status.ok", "equals": "true"}, {"path": "$.status.backlog", "max": 100.0}])
    );
    let latency = &converted.item("ClusterAnalysisTemplate", "latency")["spec"]["gates"][0];
    let max = latency["prometheus"]["threshold"]["max"].as_f64().unwrap();
    assert!(max < 0.5 && max.next_up() >= 0.5, "{max}");
    assert!(
        converted
            .note("spec.metrics[0].successCondition")
            .contains("holds the change")
    );
}

#[test]
fn without_a_router_the_share_is_the_number_of_pods() {
    let converted = converted(&rollout(
        "{canary: {steps: [{setWeight: 20}, {pause: {duration: 1m}}, {setWeight: 80}, {pause: {duration: 1m}}, {setWeight: 100}]}}",
    ));
    assert_eq!(
        steps_of(&converted),
        json!([{"weight": 20, "hold": "1m"}, {"weight": 50, "hold": "1m"}])
    );
    assert!(converted.left().is_empty(), "{:#?}", converted.notes);
}

#[test]
fn an_approval_in_the_middle_ends_a_step() {
    let converted = converted(&rollout(
        "{canary: {steps: [{setWeight: 20}, {pause: {}}, {pause: {duration: 30}}, {setWeight: 40}, {setWeight: 45}]}}",
    ));
    assert_eq!(
        steps_of(&converted),
        json!([{"weight": 20, "approval": true}, {"weight": 20, "hold": "30s"}, {"weight": 40}, {"weight": 45}])
    );
}

#[test]
fn a_wait_never_moves_to_a_larger_share() {
    let converted = converted(&rollout(
        "{canary: {steps: [{pause: {duration: 1m}}, {setWeight: 30}, {setWeight: 10}, {pause: {}}]}}",
    ));
    assert_eq!(
        steps_of(&converted),
        json!([{"weight": 30, "approval": true}])
    );
    assert_eq!(converted.left().len(), 2, "{:#?}", converted.notes);
    assert!(
        converted
            .note("spec.strategy.canary.steps[2].setWeight")
            .contains("only rise")
    );
}

#[test]
fn blue_green_keeps_its_gates_and_its_person() {
    let converted = converted(&rollout(
        "{blueGreen: {activeService: web, previewService: web-preview, previewReplicaCount: 1, autoPromotionEnabled: false, \
         scaleDownDelaySeconds: 300, prePromotionAnalysis: {templates: [{templateName: smoke}]}, \
         postPromotionAnalysis: {templates: [{templateName: errors}]}, antiAffinity: {}}}",
    ));
    let spec = &converted.item("Rollout", "web")["spec"];
    assert_eq!(
        spec["strategy"]["blueGreen"],
        json!({
            "preview": {"replicas": 1, "approval": true, "gates": [{"template": "smoke"}]},
            "scaleDownDelay": "5m",
            "gates": [{"template": "errors"}],
        })
    );
    assert_eq!(spec["traffic"], json!({"service": "web"}));
    assert!(converted.left().is_empty(), "{:#?}", converted.notes);
}

#[test]
fn what_a_router_cannot_do_is_left() {
    let converted = converted(&rollout(
        "{canary: {stableService: web-stable, canaryService: web-canary, trafficRouting: {traefik: {weightedTraefikServiceName: web}}, \
         steps: [{setHeaderRoute: {name: a, match: [{headerName: x, headerValue: {prefix: a.}}]}}, {setMirrorRoute: {name: m, percentage: 10}}, \
         {setWeight: 10}, {experiment: {duration: 1m, templates: []}}]}}",
    ));
    assert_eq!(steps_of(&converted), json!([{"weight": 10}]));
    let at = |what: &str| format!("spec.strategy.canary.steps{what}");
    assert_eq!(
        converted.left(),
        [
            at("[0].setHeaderRoute.match"),
            at("[1].setMirrorRoute.percentage"),
            at("[3].experiment")
        ]
    );
    assert_eq!(
        converted.item("Rollout", "web")["spec"]["traffic"]["routes"],
        json!([{"kind": "TraefikService", "name": "web"}])
    );
}

#[test]
fn istio_is_led_without_subsets() {
    let converted = converted(&rollout(
        "{canary: {stableService: web, trafficRouting: {istio: {virtualServices: [{name: web.shop, routes: [primary]}, {name: web.other}], \
         destinationRule: {name: web, canarySubsetName: canary, stableSubsetName: stable}}, nginx: {stableIngress: web}}, \
         steps: [{setHeaderRoute: {name: a, match: [{headerName: x, headerValue: {prefix: a.}}]}}, {setWeight: 10}]}}",
    ));
    assert_eq!(
        steps_of(&converted),
        json!([{"weight": 10, "match": [{"headers": [{"name": "x", "regex": "a\\..*"}]}]}])
    );
    assert_eq!(
        converted.left(),
        [
            "spec.strategy.canary.trafficRouting.istio.virtualServices[1].name",
            "spec.strategy.canary.trafficRouting.istio.destinationRule",
            "spec.strategy.canary.trafficRouting.nginx",
        ]
    );
}

#[test]
fn a_deployment_that_is_referred_to_stays_as_it_is() {
    let converted = converted(
        "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata: {name: web}\nspec:\n  replicas: 3\n  \
         workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web-app, scaleDown: onsuccess}\n  \
         strategy: {canary: {maxSurge: 1, steps: [{setWeight: 50}, {pause: {duration: 1h}}]}}\n",
    );
    assert_eq!(converted.items.len(), 1);
    assert_eq!(
        converted.item("Rollout", "web")["spec"]["workloadRef"],
        json!({"name": "web-app"})
    );
    assert!(converted.left().is_empty(), "{:#?}", converted.notes);
}

#[test]
fn the_same_template_with_other_arguments_is_left() {
    let converted = converted(&rollout(
        "{canary: {analysis: {templates: [{templateName: errors}], args: [{name: path, value: a}]}, \
         steps: [{setWeight: 10}, {analysis: {templates: [{templateName: errors}], args: [{name: path, value: b}]}}]}}",
    ));
    assert!(
        converted
            .note("spec.strategy.canary.steps[1].analysis.templates")
            .contains("copy")
    );
    assert_eq!(converted.left().len(), 1);
}

#[test]
fn an_analysis_that_begins_later_holds_from_that_step_on() {
    let converted = converted(&rollout(
        "{canary: {analysis: {startingStep: 2, templates: [{templateName: errors}]}, \
         steps: [{setWeight: 10}, {pause: {duration: 1m}}, {setWeight: 20}, {pause: {duration: 1m}}]}}",
    ));
    assert_eq!(
        steps_of(&converted),
        json!([{"weight": 10, "hold": "1m"}, {"weight": 20, "hold": "1m", "gates": [{"template": "errors"}]}])
    );
}

#[test]
fn providers_and_kinds_without_a_counterpart_are_left_with_advice() {
    let converted = converted(
        "apiVersion: argoproj.io/v1alpha1\nkind: AnalysisTemplate\nmetadata: {name: dd}\nspec:\n  metrics:\n  - name: errors\n    \
         successCondition: result < 1\n    provider: {datadog: {query: 'avg:errors{*}', apiVersion: v2}}\n---\n\
         apiVersion: argoproj.io/v1alpha1\nkind: Experiment\nmetadata: {name: e}\nspec: {templates: []}\n",
    );
    assert!(converted.items.is_empty());
    assert!(
        converted
            .note("spec.metrics[0].provider.datadog")
            .contains("docs/recipes/datadog.md")
    );
    assert!(converted.note("spec").contains("prometheus.compare"));
}
