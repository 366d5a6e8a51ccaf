//! From Argo Rollouts.

use serde_json::{Value, json};

use crate::{guide::Guide, lab, served::Served, shell::Shell};

/// Hash that Argo's controller gave to the version that runs.
const HASH: &str = "6d9c7b5f8";

/// What users have written.
const WRITTEN: &str = "
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata:
  name: checkout
  labels: {app: checkout}
spec:
  replicas: 4
  revisionHistoryLimit: 2
  selector: {matchLabels: {app: checkout}}
  template:
    metadata: {labels: {app: checkout}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - {name: checkout, image: 'shop/checkout:v1', ports: [{containerPort: 8080}]}
  strategy:
    canary:
      stableService: checkout
      canaryService: checkout-canary
      maxSurge: 25%
      maxUnavailable: 0
      trafficRouting:
        istio:
          virtualService: {name: checkout}
      steps:
      - setWeight: 25
      - pause: {}
      - analysis:
          templates: [{templateName: errors}]
          args: [{name: service, value: checkout}]
      - setWeight: 60
      - pause: {duration: 1m}
---
apiVersion: argoproj.io/v1alpha1
kind: AnalysisTemplate
metadata: {name: errors}
spec:
  args: [{name: service}]
  metrics:
  - name: ratio
    interval: 10s
    count: 3
    successCondition: result[0] <= 0.02
    provider:
      prometheus:
        query: |
          sum(rate(http_requests_total{service=\"{{args.service}}\",code=~\"5..\"}[2m]))
            / sum(rate(http_requests_total{service=\"{{args.service}}\"}[2m]))
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: checkout}
spec:
  hosts: [checkout]
  http:
  - route:
    - {destination: {host: checkout}, weight: 100}
    - {destination: {host: checkout-canary}, weight: 0}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: checkout}
spec:
  minReplicas: 4
  maxReplicas: 8
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]
  scaleTargetRef: {apiVersion: argoproj.io/v1alpha1, kind: Rollout, name: checkout}
";

/// Makes what users have written, and what Argo's controller makes of it.
async fn at_rest(shell: &Shell) {
    shell.feed("apply -f -", WRITTEN).await;
    let uid = shell
        .run("kubectl get rollouts.argoproj.io checkout -o jsonpath='{.metadata.uid}'")
        .await;
    let status = json!({"status": {"phase": "Healthy", "stableRS": HASH, "currentPodHash": HASH}});
    shell
        .run(&format!("kubectl patch rollouts.argoproj.io checkout --subresource=status --type=merge -p '{status}'"))
        .await;
    let labels = json!({"app": "checkout", "rollouts-pod-template-hash": HASH});
    let set = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("checkout-{HASH}"), "labels": labels,
            "ownerReferences": [{"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "checkout", "uid": uid,
                "controller": true, "blockOwnerDeletion": true}],
        },
        "spec": {
            "replicas": 4,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [{"name": "checkout", "image": "shop/checkout:v1", "ports": [{"containerPort": 8080}]}],
            }},
        },
    });
    let service = |name: &str| {
        json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": name, "annotations": {"argo-rollouts.argoproj.io/managed-by-rollouts": "checkout"}},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        })
    };
    for made in [set, service("checkout"), service("checkout-canary")] {
        shell.feed("apply -f -", &made.to_string()).await;
    }
}

#[tokio::test]
async fn the_guide_moves_a_rollout_of_argos_without_stopping_its_traffic() {
    // given a workload at rest under Argo Rollouts
    let shell = Shell::new(lab().await, "argo").await;
    at_rest(&shell).await;
    let served = Served::begin(&shell, "checkout", 4).await;

    // when every command of the guide is run
    Guide::new("migrate-from-argo-rollouts.md")
        .follow(&shell, &[&served])
        .await;

    // then the Deployment serves alone, under its autoscaler, and nothing of Argo's is left
    assert!(served.changes() > 1, "the watch saw no change");
    let left = shell
        .run("kubectl get rollouts.argoproj.io,analysistemplates.argoproj.io -o name")
        .await;
    assert_eq!(left, "");
    let scaled = shell
        .run("kubectl get hpa checkout -o jsonpath='{.spec.scaleTargetRef.kind}'")
        .await;
    assert_eq!(scaled, "Deployment");

    // and the next version goes by the steps: its share of the route, and an approval
    shell
        .run("kubectl set image deployment/checkout checkout=shop/checkout:v2")
        .await;
    shell.run("kubectl wait --for=jsonpath='{.status.waitingFor.reason}'=Approval rollouts.belay.dev/checkout --timeout=5m").await;
    let route = shell
        .run("kubectl get virtualservice checkout -o json")
        .await;
    let route: Value = serde_json::from_str(&route).unwrap();
    let shares: Vec<(&Value, &Value)> = route["spec"]["http"][0]["route"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["destination"]["host"], &entry["weight"]))
        .collect();
    assert_eq!(
        shares,
        [
            (&json!("checkout-stable"), &json!(75)),
            (&json!("checkout-canary"), &json!(25))
        ]
    );
    served.never_empty("the canary after the guide");
}
