//! The control plane is real: workloads come up, clients are told apart, pods do what their image tags say.

#![expect(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

mod common;

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use belay_lab::{Lab, SharedLab, wait_for, wait_for_object};
use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};

use common::{SOON, deployment, ready};

static LAB: SharedLab = SharedLab::new();

async fn lab() -> &'static Lab {
    LAB.get(|| Lab::builder().nodes(2).audit())
        .await
        .expect("the lab starts")
}

fn pod(name: &str, image: &str) -> Pod {
    let object = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "app", "image": image}]}});
    serde_json::from_value(object).expect("a Pod")
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_ref());
    conditions
        .into_iter()
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[tokio::test]
async fn a_deployment_gets_ready_pods_with_addresses_and_loses_them() {
    let lab = lab().await;
    let namespace = lab.namespace("ready").await.unwrap();
    let client = lab.client().unwrap();
    let deployments = Api::<Deployment>::namespaced(client.clone(), &namespace);
    deployments
        .create(&PostParams::default(), &deployment("web", "shop/web:v1", 3))
        .await
        .unwrap();
    wait_for_object(&deployments, "web", SOON, ready(3))
        .await
        .unwrap();

    let pods = Api::<Pod>::namespaced(client, &namespace);
    let list = pods.list(&ListParams::default()).await.unwrap();
    let addresses: BTreeSet<_> = list
        .iter()
        .filter_map(|pod| pod.status.as_ref()?.pod_ip.clone())
        .collect();
    assert_eq!(addresses.len(), 3);
    let in_range = |address: &String| {
        let address: Ipv4Addr = address.parse().unwrap();
        let [first, second, ..] = address.octets();
        first == 10 && second >= 128
    };
    assert!(addresses.iter().all(in_range), "{addresses:?}");

    deployments
        .delete("web", &DeleteParams::background())
        .await
        .unwrap();
    let gone = wait_for("the pods to be gone", SOON, || async {
        let left = pods
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?
            .items
            .len();
        if left == 0 {
            Ok(())
        } else {
            Err(format!("{left} left"))
        }
    });
    gone.await.unwrap();
}

#[tokio::test]
async fn a_slow_pod_runs_before_it_is_ready_and_becomes_ready_after_its_time() {
    let lab = lab().await;
    let pods = Api::<Pod>::namespaced(lab.client().unwrap(), &lab.namespace("slow").await.unwrap());
    let begun = Instant::now();
    pods.create(
        &PostParams::default(),
        &pod("late", "registry.example:5000/web:v2-slow-2s"),
    )
    .await
    .unwrap();
    let mut seen_unready = false;
    let became_ready = |object: Option<&Pod>| {
        let object = object.ok_or("gone")?;
        let running = object
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            == Some("Running");
        seen_unready |= running && !is_ready(object);
        if is_ready(object) {
            Ok(())
        } else {
            Err(String::from("not ready"))
        }
    };
    wait_for_object(&pods, "late", SOON, became_ready)
        .await
        .unwrap();
    assert!(
        seen_unready,
        "it was never seen running without being ready"
    );
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "ready after {:?}",
        begun.elapsed()
    );
}

#[tokio::test]
async fn crashing_and_never_ready_pods_stay_unready() {
    let lab = lab().await;
    let pods = Api::<Pod>::namespaced(lab.client().unwrap(), &lab.namespace("bad").await.unwrap());
    for (name, image) in [
        ("broken", "web:v2-crash"),
        ("stuck", "web:v2-neverready"),
        ("fine", "web:v2"),
    ] {
        pods.create(&PostParams::default(), &pod(name, image))
            .await
            .unwrap();
    }
    let crashed_twice = |object: Option<&Pod>| {
        let statuses = object
            .and_then(|object| object.status.as_ref()?.container_statuses.clone())
            .unwrap_or_default();
        let status = statuses.first().ok_or("no container yet")?;
        let reason = status
            .state
            .as_ref()
            .and_then(|state| state.waiting.as_ref()?.reason.clone());
        if status.restart_count >= 2 && reason.as_deref() == Some("CrashLoopBackOff") {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    };
    wait_for_object(&pods, "broken", SOON, crashed_twice)
        .await
        .unwrap();
    // The second restart came after seconds, in which the other pods had all the time to become ready.
    assert!(is_ready(&pods.get("fine").await.unwrap()));
    for name in ["broken", "stuck"] {
        let object = pods.get(name).await.unwrap();
        assert!(!is_ready(&object), "{name} is ready");
        assert_eq!(object.status.unwrap().phase.as_deref(), Some("Running"));
    }
}

#[tokio::test]
async fn jobs_succeed_or_fail_as_their_tag_says() {
    let lab = lab().await;
    let jobs = Api::<Job>::namespaced(lab.client().unwrap(), &lab.namespace("jobs").await.unwrap());
    for (name, image, expected) in [
        ("good", "smoke:v1", "Complete"),
        ("bad", "smoke:v1-fail", "Failed"),
    ] {
        let object = json!({
            "metadata": {"name": name},
            "spec": {"backoffLimit": 0, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "app", "image": image}]}}},
        });
        jobs.create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
        let ended = |object: Option<&Job>| {
            let conditions = object
                .and_then(|object| object.status.as_ref()?.conditions.clone())
                .unwrap_or_default();
            let met = conditions
                .iter()
                .any(|condition| condition.type_ == expected && condition.status == "True");
            if met {
                Ok(())
            } else {
                Err(format!("{conditions:?}"))
            }
        };
        wait_for_object(&jobs, name, SOON, ended).await.unwrap();
    }
}

#[tokio::test]
async fn a_service_account_may_do_what_rbac_gives_it_and_the_audit_log_names_it() {
    let lab = lab().await;
    let namespace = lab.namespace("rbac").await.unwrap();
    let token = lab
        .service_account_token(&namespace, "default")
        .await
        .unwrap();
    let configs = Api::<ConfigMap>::namespaced(lab.client_for_token(&token).unwrap(), &namespace);
    let refused = configs.list(&ListParams::default()).await.unwrap_err();
    assert!(
        matches!(&refused, kube::Error::Api(status) if status.is_forbidden()),
        "{refused}"
    );

    let user = format!("system:serviceaccount:{namespace}:default");
    let path = lab.audit_log_path().unwrap();
    let logged = wait_for("the audit log's line", SOON, || async {
        let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
        let mut events = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let found = events
            .find(|event| event["user"]["username"] == user.as_str() && event["verb"] == "list");
        found.ok_or(format!("{} lines", text.lines().count()))
    });
    let event = logged.await.unwrap();
    assert_eq!(event["responseStatus"]["code"], 403);
    assert_eq!(event["objectRef"]["resource"], "configmaps");
}

#[tokio::test]
async fn kubectl_and_the_kubeconfig_of_a_token_work() {
    let lab = lab().await;
    let namespace = lab.namespace("kubectl").await.unwrap();
    let token = lab
        .service_account_token(&namespace, "default")
        .await
        .unwrap();
    let kubeconfig = lab.kubeconfig_for_token("somebody", &token).unwrap();
    let kubectl = lab.program(belay_lab::Program::Kubectl).await.unwrap();
    let run = |kubeconfig: std::path::PathBuf| {
        tokio::process::Command::new(&kubectl)
            .args(["auth", "whoami", "-o", "json", "--kubeconfig"])
            .arg(kubeconfig)
            .output()
    };
    for (path, expected) in [
        (lab.kubeconfig_path(), "lab-admin".to_owned()),
        (
            kubeconfig,
            format!("system:serviceaccount:{namespace}:default"),
        ),
    ] {
        let output = run(path).await.unwrap();
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(answer["status"]["userInfo"]["username"], expected.as_str());
    }
}

#[tokio::test]
async fn mutating_admission_policies_are_there_unless_switched_off() {
    async fn status_of(lab: &Lab, resource: &str) -> u16 {
        let request =
            http::Request::get(format!("/apis/admissionregistration.k8s.io/v1/{resource}"))
                .body(Vec::new())
                .unwrap();
        match lab.client().unwrap().request::<Value>(request).await {
            Ok(_) => 200,
            Err(kube::Error::Api(status)) => status.code,
            Err(error) => panic!("{error}"),
        }
    }
    let (with, without) = (
        lab().await,
        Lab::builder()
            .nodes(1)
            .without_mutating_admission_policy()
            .start()
            .await
            .unwrap(),
    );
    for resource in [
        "mutatingadmissionpolicies",
        "mutatingadmissionpolicybindings",
    ] {
        assert_eq!(status_of(with, resource).await, 200);
        assert_eq!(status_of(&without, resource).await, 404);
    }
    // The rest of the group is not touched, and the API server takes writes: no plugin waits for the missing API.
    let policies = Api::<ValidatingAdmissionPolicy>::all(without.client().unwrap());
    policies.list(&ListParams::default()).await.unwrap();
    let namespace = without.namespace("plain").await.unwrap();
    assert!(namespace.starts_with("plain-"));
    without.down().await.unwrap();
}

#[tokio::test]
async fn every_namespace_is_new() {
    let lab = lab().await;
    let (one, two) = (
        lab.namespace("same").await.unwrap(),
        lab.namespace("same").await.unwrap(),
    );
    assert_ne!(one, two);
    let namespaces = Api::<k8s_openapi::api::core::v1::Namespace>::all(lab.client().unwrap());
    assert_eq!(namespaces.get(&one).await.unwrap().name_any(), one);
}
