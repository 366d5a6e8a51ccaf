//! The control plane is real: workloads come up, clients are told apart, the parts survive outages.

#![expect(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

use std::time::Duration;

use belay_lab::{Lab, SharedLab, wait_for_object};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, PostParams};
use serde_json::json;

static LAB: SharedLab = SharedLab::new();
const SOON: Duration = Duration::from_mins(1);

async fn lab() -> &'static Lab {
    LAB.get(|| Lab::builder().nodes(2).audit())
        .await
        .expect("the lab starts")
}

fn deployment(name: &str, image: &str, replicas: u32) -> Deployment {
    let object = json!({
        "metadata": {"name": name},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "app", "image": image}]}},
        },
    });
    serde_json::from_value(object).expect("a Deployment")
}

fn ready_replicas(deployment: Option<&Deployment>) -> i32 {
    deployment
        .and_then(|object| object.status.as_ref()?.ready_replicas)
        .unwrap_or(0)
}

#[tokio::test]
async fn a_deployment_gets_ready_pods_with_addresses() {
    let lab = lab().await;
    let namespace = lab.namespace("ready").await.unwrap();
    let client = lab.client().unwrap();
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
    deployments
        .create(&PostParams::default(), &deployment("web", "shop/web:v1", 3))
        .await
        .unwrap();

    let three = |object: Option<&Deployment>| match ready_replicas(object) {
        3 => Ok(()),
        other => Err(format!("{other} ready")),
    };
    wait_for_object(&deployments, "web", SOON, three)
        .await
        .unwrap();

    let pods = Api::<Pod>::namespaced(client, &namespace)
        .list(&ListParams::default())
        .await
        .unwrap();
    let addresses: std::collections::BTreeSet<_> = pods
        .iter()
        .filter_map(|pod| pod.status.as_ref()?.pod_ip.clone())
        .collect();
    assert_eq!(addresses.len(), 3);
    assert!(
        addresses
            .iter()
            .all(|address| address.starts_with("10.244.")),
        "{addresses:?}"
    );
}
