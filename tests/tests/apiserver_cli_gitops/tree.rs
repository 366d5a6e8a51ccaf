//! `kubectl belay tree`, `trace` and `history`: what belongs to a Release, where an object comes from, and what was before.

use belay_engine::release::Phase;
use belay_lab::wait_for;
use belay_tests::tenant::{config_map, deployment};
use k8s_openapi::api::core::v1::Pod;
use kube::{ResourceExt as _, api::ListParams};
use serde_json::{Value, json};

use super::{SOON, belay, open};

fn files(config: &str) -> [(&'static str, String); 2] {
    [
        ("config.yaml", config_map("config", config)),
        ("web.yaml", deployment("web", "shop/web:v1", 2, "config")),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_shown_down_to_its_pods_and_a_pod_is_traced_up_to_its_commit() {
    // given a Release with a workload, of which somebody undid the second version
    let first = files("one");
    let first: Vec<(&str, &str)> = first
        .iter()
        .map(|(path, text)| (*path, text.as_str()))
        .collect();
    let (tenant, open) = open("tree", &first, &json!({})).await;
    let namespace = tenant.namespace.as_str();
    let second = [("config.yaml", &*config_map("config", "two"))];
    let second = tenant.repo.commit(&second, "Second").await.unwrap();
    tenant.phase(Phase::Verified, &second, SOON).await.unwrap();

    // then the tree has the pods below their workload
    let tree = belay(&["tree", "release/shop", "-n", namespace]).await;
    assert_eq!(tree.code, 0, "{tree:?}");
    let position = |text: &str| tree.out.lines().position(|line| line.contains(text));
    let (workload, set, pod) = (
        position("Deployment"),
        position("ReplicaSet"),
        position("Pod"),
    );
    assert!(
        workload.is_some() && workload < set && set < pod,
        "{}",
        tree.out
    );
    assert_eq!(
        tree.out
            .lines()
            .filter(|line| line.contains("Pod "))
            .count(),
        2,
        "{}",
        tree.out
    );
    assert!(
        tree.out
            .lines()
            .filter(|line| line.contains("ConfigMap"))
            .all(|line| line.contains("Current")),
        "{}",
        tree.out
    );
    let json = belay(&["tree", "shop", "-n", namespace, "-o", "json"]).await;
    let nodes: Value = serde_json::from_str(&json.out).unwrap();
    let workload = nodes
        .as_array()
        .unwrap()
        .iter()
        .find(|node| node["kind"] == "Deployment")
        .unwrap();
    assert_eq!(
        workload["children"][0]["children"][0]["kind"], "Pod",
        "{nodes:#}"
    );

    // when a pod is traced
    let pods = tenant
        .api::<Pod>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let pod = format!("pod/{}", pods.items[0].name_any());
    let trace = belay(&["trace", &pod, "-n", namespace]).await;

    // then its owners, its Release, and the commit with its author are told
    assert_eq!(trace.code, 0, "{trace:?}");
    for part in [
        "ReplicaSet",
        "Deployment",
        &format!("Release {namespace}/shop"),
        &second,
        "\"Second\" by ",
    ] {
        assert!(
            trace.out.contains(part),
            "{part} is missing in {}",
            trace.out
        );
    }
    let json = belay(&["trace", &pod, "-n", namespace, "-o", "json"]).await;
    let told: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(
        told["commit"]["id"],
        Value::from(second.clone()),
        "{told:#}"
    );
    assert!(told["version"]["verifiedAt"].is_string(), "{told:#}");
    let stranger = belay(&["trace", "sa/default", "-n", namespace]).await;
    assert!(stranger.out.contains("by no Release"), "{stranger:?}");

    // when somebody goes back with a reason, then the history has it all
    let undo = [
        "undo",
        "release/shop",
        "-n",
        namespace,
        "--reason",
        "canary looked odd",
    ];
    let undone = belay(&undo).await;
    assert_eq!(undone.code, 0, "{undone:?}");
    let history = wait_for("the way back in the history", SOON, || async {
        let history = belay(&["history", "release/shop", "-n", namespace]).await;
        let told = history.out.contains("LAST ROLLBACK") && history.out.contains("QUARANTINE");
        if told {
            Ok(history.out)
        } else {
            Err(history.out)
        }
    })
    .await
    .unwrap();
    for part in [
        "VERIFIED, OLDEST FIRST",
        "TOOK",
        "STOOD",
        "Undone",
        "undo",
        "canary looked odd",
        &open[..7],
    ] {
        assert!(history.contains(part), "{part} is missing in {history}");
    }
    let json = belay(&["history", "release/shop", "-n", namespace, "-o", "json"]).await;
    let told: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!(told["acts"][0]["reason"], "canary looked odd", "{told:#}");
    assert_eq!(told["rollback"]["reason"], "Undone", "{told:#}");
}
