//! A changed ConfigMap is a version: its canary, its promotion, and what pods read meanwhile.

use belay_engine::rollout::status::Phase;
use belay_tests::scene::SOON;
use kube::ResourceExt as _;
use serde_json::json;

use super::{
    lab,
    reader::{Reader, template},
};

#[tokio::test(flavor = "multi_thread")]
async fn each_versions_pods_read_what_it_was_verified_with() {
    // Given a workload that reads a ConfigMap in every way, whose pods run since before Belay came.
    let reader = Reader::new(
        lab().await,
        "config",
        2,
        &json!([{"replicas": 1, "hold": "1h"}]),
    )
    .await;
    let web = &reader.web;
    reader.read("web", &[("live one", 2)]).await;
    // When its ConfigMap changes, and nothing else.
    reader.configure("two").await;
    // Then that is a canary beside the pods of before.
    let status = reader.on_trial().await;
    let started = status.candidate.unwrap().started_at;
    let pods = reader.pods("web").await;
    assert_eq!(pods.len(), 3);
    reader.read("web", &[("live two", 2), ("two", 1)]).await;
    // And pods of the stable version that are made from now on, for whatever reason, read what it was verified with.
    reader.replace_a_pod().await;
    reader
        .read("web", &[("live two", 1), ("one", 1), ("two", 1)])
        .await;
    web.patch(json!({"spec": {"replicas": 4}})).await.unwrap();
    reader
        .read("web", &[("live two", 1), ("one", 3), ("two", 1)])
        .await;
    // A tool that applies Git's state again changes nothing.
    reader.apply(4).await;
    reader.configure("two").await;
    let status = reader.on_trial().await;
    assert_eq!(status.candidate.unwrap().started_at, started);
    // When it is promoted, then all pods read the new content, and the Deployment still names the ConfigMap as Git does.
    reader.scene.act("web", "Promote").await.unwrap();
    web.settled(Phase::Healthy, "with configuration", SOON)
        .await
        .unwrap();
    reader.read("web", &[("two", 4)]).await;
    let deployment = web.deployments().get("web").await.unwrap();
    let spec = serde_json::to_value(deployment.spec.unwrap().template.spec).unwrap();
    let volumes = template("web")["spec"]["volumes"].clone();
    assert_eq!(
        spec["volumes"][0]["configMap"]["name"],
        volumes[0]["configMap"]["name"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workloads_that_share_a_config_map_go_each_their_own_way() {
    // Given two workloads with one ConfigMap.
    let reader = Reader::new(
        lab().await,
        "shared",
        1,
        &json!([{"replicas": 1, "hold": "1h"}]),
    )
    .await;
    let spec = json!({"strategy": {"canary": {"steps": [{"replicas": 1}]}}});
    reader.govern("api", 1, &template("api"), spec).await;
    // When it changes, then one has its canary still while the other is done.
    reader.configure("two").await;
    let api = belay_tests::workload::Workload::existing(
        &reader.scene.client,
        &reader.scene.namespace,
        "api",
    );
    api.settled(Phase::Healthy, "with configuration", SOON)
        .await
        .unwrap();
    reader.read("api", &[("two", 1)]).await;
    reader.on_trial().await;
    reader.replace_a_pod().await;
    reader.read("web", &[("one", 1), ("two", 1)]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_with_the_last_revision_that_reads_them() {
    // Given a workload that keeps one old revision.
    let reader = Reader::new(lab().await, "copies", 1, &json!([{"replicas": 1}])).await;
    let mut versions = vec!["v1".to_owned()];
    for value in ["two", "three", "four"] {
        reader.configure(value).await;
        reader.read("web", &[(value, 1)]).await;
        let status = reader.web.is_in(Phase::Healthy).await.unwrap();
        versions.push(status.stable.unwrap().version);
    }
    versions.dedup();
    assert_eq!(versions.len(), 4, "{versions:?}");
    // Then only the copies of the present and of that one revision stay.
    belay_lab::wait_for("old copies to go", SOON, || async {
        match reader.copies().await {
            copies if copies.len() == 2 => Ok(()),
            copies => Err(format!("{copies:?}")),
        }
    })
    .await
    .unwrap();
    let pods = reader.pods("web").await;
    assert!(
        pods.iter()
            .all(|pod| pod.metadata.deletion_timestamp.is_none()),
        "{}",
        pods[0].name_any()
    );
}
