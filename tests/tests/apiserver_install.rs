//! Installing, upgrading and removing Belay on a real API server, by Helm and from the plain manifests.
//!
//! The lab has no containers: the controller's pods are played by KWOK, which is enough to see that they are admitted, scheduled
//! and counted.

#![expect(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

use std::time::Duration;

use belay_api::Rollout;
use belay_lab::{Lab, Program, SharedLab, wait_for_object};
use belay_tests::installed::{NAMESPACE, workspace_root};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{Namespace, Pod},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams},
};
use serde_json::json;

const SOON: Duration = Duration::from_mins(1);

static LAB: SharedLab = SharedLab::new();

async fn lab() -> &'static Lab {
    LAB.get(|| Lab::builder().nodes(2))
        .await
        .expect("the lab starts")
}

/// Runs a program with the lab's kubeconfig; its output, or its complaint.
async fn run(lab: &Lab, program: Program, arguments: &[&str]) -> Result<String, String> {
    let output = lab
        .command(program)
        .await
        .expect("the program is there")
        .args(arguments)
        .current_dir(workspace_root())
        .output()
        .await
        .expect("the program runs");
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

async fn pods_run(client: &Client, replicas: i32) {
    let deployments = Api::<Deployment>::namespaced(client.clone(), NAMESPACE);
    wait_for_object(&deployments, "belay", SOON, |deployment| {
        let status = deployment
            .and_then(|d| d.status.clone())
            .unwrap_or_default();
        let available = status.available_replicas.unwrap_or(0);
        (available == replicas)
            .then_some(())
            .ok_or_else(|| format!("{available} of {replicas} replicas are available"))
    })
    .await
    .expect("the controller's pods run");
}

fn rollout(namespace: &str) -> Rollout {
    serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "namespace": namespace},
        "spec": {"workloadRef": {"name": "web"}, "strategy": {"canary": {"steps": [{"weight": 10}]}}},
    }))
    .expect("a Rollout")
}

/// One test, since the steps follow each other in one cluster.
#[tokio::test]
async fn belay_is_installed_upgraded_removed_and_installed_again_without_losing_a_rollout() {
    let lab = lab().await;
    let client = lab.client().unwrap();
    let shop = lab.namespace("shop").await.unwrap();
    let rollouts = Api::<Rollout>::namespaced(client.clone(), &shop);

    // when the chart is installed in a namespace with the strictest pod security
    let namespace: Namespace = serde_json::from_value(json!({
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    }))
    .unwrap();
    Api::<Namespace>::all(client.clone())
        .create(&PostParams::default(), &namespace)
        .await
        .unwrap();
    let install = ["install", "belay", "charts/belay", "--namespace", NAMESPACE];
    run(lab, Program::Helm, &install).await.unwrap();

    // then its pods run, on different nodes, and a Rollout can be made
    pods_run(&client, 2).await;
    let pods = Api::<Pod>::namespaced(client.clone(), NAMESPACE)
        .list(&ListParams::default())
        .await
        .unwrap();
    let mut nodes: Vec<_> = pods
        .items
        .iter()
        .filter_map(|pod| pod.spec.as_ref()?.node_name.clone())
        .collect();
    nodes.sort();
    nodes.dedup();
    assert_eq!(nodes.len(), 2, "both pods are on one node");
    rollouts
        .create(&PostParams::default(), &rollout(&shop))
        .await
        .unwrap();

    // when it is upgraded with other values
    let upgrade = [
        "upgrade",
        "belay",
        "charts/belay",
        "--namespace",
        NAMESPACE,
        "--set",
        "replicas=1",
        "--set",
    ];
    let tenants = format!("tenants.namespaces={{{shop}}}");
    run(lab, Program::Helm, &[&upgrade[..], &[&tenants]].concat())
        .await
        .unwrap();
    pods_run(&client, 1).await;

    // when it is removed
    run(
        lab,
        Program::Helm,
        &["uninstall", "belay", "--namespace", NAMESPACE, "--wait"],
    )
    .await
    .unwrap();

    // then the Rollout and its definition are still there, and the same chart can be installed again
    rollouts.get("web").await.unwrap();
    run(lab, Program::Helm, &install).await.unwrap();
    pods_run(&client, 2).await;

    // when it is removed again and the plain manifests are applied in its place
    run(
        lab,
        Program::Helm,
        &["uninstall", "belay", "--namespace", NAMESPACE, "--wait"],
    )
    .await
    .unwrap();
    let apply = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--kustomize",
        "deploy/kustomize",
    ];
    let applied = run(lab, Program::Kubectl, &apply).await.unwrap();

    // then they install the same
    assert!(applied.contains("deployment.apps/belay"), "{applied}");
    pods_run(&client, 2).await;
    rollouts.get("web").await.unwrap();
}

#[tokio::test]
async fn on_a_cluster_without_mutating_policies_the_chart_installs_and_leaves_them_out() {
    // given an API server that can't change objects by policy
    let lab = Lab::builder()
        .nodes(1)
        .without_mutating_admission_policy()
        .start()
        .await
        .unwrap();

    // when the chart is installed
    let install = [
        "install",
        "belay",
        "charts/belay",
        "--namespace",
        NAMESPACE,
        "--create-namespace",
    ];
    run(&lab, Program::Helm, &install).await.unwrap();

    // then the validating policies are there, and what Belay needs to do without the others
    let policies = ["get", "validatingadmissionpolicies", "--output", "name"];
    let found = run(&lab, Program::Kubectl, &policies).await.unwrap();
    assert!(found.contains("guard.rollouts.belay.dev"), "{found}");
    let manifest = run(
        &lab,
        Program::Helm,
        &["get", "manifest", "belay", "--namespace", NAMESPACE],
    )
    .await
    .unwrap();
    assert!(
        !manifest.contains("kind: MutatingAdmissionPolicy"),
        "{manifest}"
    );
    lab.down().await.unwrap();
}

#[tokio::test]
async fn values_that_can_t_work_are_refused_by_name_before_anything_is_installed() {
    let lab = lab().await;
    for (value, complaint) in [
        ("replicas=-1", "/replicas"),
        ("replicas=many", "/replicas"),
        ("replica=2", "'replica' not allowed"),
        ("controller.logFormat=xml", "/controller/logFormat"),
        (
            "controller.prometheusUrl=prometheus:9090",
            "/controller/prometheusUrl",
        ),
        (
            "controller.prometheusUrl=http://user:secret@prometheus:9090",
            "/controller/prometheusUrl",
        ),
        ("image.digest=latest", "/image/digest"),
        ("tenants.namespaces={Shop}", "/tenants/namespaces/0"),
        ("cacheSizeLimit=big", "/cacheSizeLimit"),
        ("serviceAccount.create=false", "serviceAccount.name"),
    ] {
        let template = ["template", "belay", "charts/belay", "--set", value];
        let error = run(lab, Program::Helm, &template).await.unwrap_err();
        assert!(error.contains(complaint), "{value}: {error}");
    }
}

#[tokio::test]
async fn the_chart_renders_with_every_option_and_passes_helms_lint() {
    let lab = lab().await;
    run(lab, Program::Helm, &["lint", "--strict", "charts/belay"])
        .await
        .unwrap();
    for (value, expected) in [
        ("tenants.allNamespaces=true", "name: belay-tenant"),
        ("controller.namespace=shop", "--namespace=shop"),
        ("networkPolicy.enabled=true", "kind: NetworkPolicy"),
        (
            "metrics.serviceMonitor.enabled=true",
            "kind: ServiceMonitor",
        ),
        ("metrics.rules.enabled=true", "kind: PrometheusRule"),
        (
            "priorityClassName=system-cluster-critical",
            "priorityClassName: system-cluster-critical",
        ),
        (
            "controller.prometheusUrl=http://prometheus:9090",
            "--prometheus-url=http://prometheus:9090",
        ),
        ("fullnameOverride=other", "name: other-controller"),
    ] {
        let template = ["template", "belay", "charts/belay", "--set", value];
        let rendered = run(lab, Program::Helm, &template).await.unwrap();
        assert!(
            rendered.contains(expected),
            "{value} does not bring {expected:?}"
        );
    }
    let without = [
        "template",
        "belay",
        "charts/belay",
        "--set",
        "crds.install=false,rbac.create=false,policies.enabled=false",
    ];
    let rendered = run(lab, Program::Helm, &without).await.unwrap();
    for absent in ["CustomResourceDefinition", "ClusterRole", "AdmissionPolicy"] {
        assert!(!rendered.contains(absent), "{absent}");
    }
}
