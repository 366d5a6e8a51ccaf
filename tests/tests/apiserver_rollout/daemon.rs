//! DaemonSets: a new version goes from node to node, the first nodes first, as far as its steps go.

use belay_api::Rollout;
use belay_engine::rollout::status::{Phase, RollbackReason};
use belay_lab::wait_for;
use belay_tests::{
    daemon::{Agent, canary, rollout},
    scene::{SOON, Scene},
};
use kube::{
    ResourceExt as _,
    api::{DeleteParams, PostParams},
};
use serde_json::json;

use super::lab;

const NODES: [(&str, &str); 3] = [("n1", "core"), ("n2", "core"), ("n3", "edge")];

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_set_begins_on_its_first_nodes_and_keeps_the_canarys_pods() {
    // Given a DaemonSet whose manifest says that it rolls.
    let scene = Scene::new(lab().await, "nodes").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let steps = json!([{"replicas": 1, "approval": true}, {"replicas": 2, "approval": true}]);
    let agent = Agent::healthy(&scene, &NODES, canary(&steps, &["good"]))
        .await
        .unwrap();
    let before = agent.runs(&["v1", "v1", "v1"]).await.unwrap();
    // When a new version is asked for, and its first step has passed everything but the approval.
    agent.apply("v2").await.unwrap();
    let status = agent.rollout.waits_for("Approval").await.unwrap();
    // Then a first node runs it, and the pods of the others are those of before.
    assert_eq!(status.weight_percent, Some(33));
    let first = agent.runs(&["v1", "v1", "v2"]).await.unwrap();
    assert_eq!((&first["n1"], &first["n2"]), (&before["n1"], &before["n2"]));
    // When a tool applies the same manifest again, then it stays held.
    agent.apply("v2").await.unwrap();
    assert_eq!(agent.strategy().await.unwrap(), "OnDelete");
    // When a node joins in mid-canary, then it counts as the candidate's, and no other changes for that.
    agent.join("n4", "core").await.unwrap();
    let joined = agent.runs(&["v1", "v1", "v2", "v2"]).await.unwrap();
    agent
        .rollout
        .status_when(|status| match status.candidate_replicas {
            Some(2) => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    assert_eq!(joined["n1"], before["n1"]);
    // When both steps are approved, then all run it, and the canary's pods are the same.
    scene.act("agent", "Approve").await.unwrap();
    agent
        .rollout
        .status_when(|status| match &status.step {
            Some(step) if step.index == 1 && step.ready_at.is_some() => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    agent.rollout.waits_for("Approval").await.unwrap();
    scene.act("agent", "Approve").await.unwrap();
    agent
        .rollout
        .settled(Phase::Healthy, "v2", SOON)
        .await
        .unwrap();
    let after = agent.runs(&["v2", "v2", "v2", "v2"]).await.unwrap();
    assert_eq!((&after["n3"], &after["n4"]), (&joined["n3"], &joined["n4"]));
    agent.strategy_is("RollingUpdate").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_version_goes_from_all_nodes_and_stays_out_whoever_applies_it() {
    let scene = Scene::new(lab().await, "bad-nodes").await.unwrap();
    scene.gate("bad", "vector(1)").await.unwrap();
    let spec = canary(&json!([{"replicas": 1}]), &["bad"]);
    let agent = Agent::healthy(&scene, &NODES, spec).await.unwrap();
    let before = agent.pods().await.unwrap();
    // When a version fails its gate, then the stable template is back, and the other nodes were never touched.
    agent.apply("v2").await.unwrap();
    let status = agent
        .rollout
        .status_when(|status| match (&status.rollback, status.phase) {
            (Some(_), Phase::Healthy) => Ok(status.clone()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    assert_eq!(status.rollback.unwrap().reason, RollbackReason::GateFailed);
    assert_eq!(status.quarantine.len(), 1);
    let back = agent.runs(&["v1", "v1", "v1"]).await.unwrap();
    assert_eq!(agent.tag().await.unwrap(), "v1");
    agent.strategy_is("RollingUpdate").await.unwrap();
    assert_eq!((&back["n1"], &back["n2"]), (&before["n1"], &before["n2"]));
    // When somebody applies it again, then it is held, nothing goes, and the status says what that is worth.
    agent.apply("v2").await.unwrap();
    let status = agent.rollout.is_in(Phase::Rejected).await.unwrap();
    let waits = status.waiting_for.unwrap().message;
    assert!(waits.contains("nodes that join"), "{waits}");
    assert_eq!(agent.pods().await.unwrap(), back);
    assert_eq!(agent.strategy().await.unwrap(), "OnDelete");
    // When a node leaves and the stable content comes back, then it is let go.
    agent.leave("n1").await.unwrap();
    agent.apply("v1").await.unwrap();
    agent
        .rollout
        .settled(Phase::Healthy, "v1", SOON)
        .await
        .unwrap();
    let after = agent.pods().await.unwrap();
    assert_eq!((&after["n2"], &after["n3"]), (&back["n2"], &back["n3"]));
    agent.strategy_is("RollingUpdate").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_that_never_get_ready_take_one_node_and_are_taken_back() {
    let scene = Scene::new(lab().await, "stuck-nodes").await.unwrap();
    let mut spec = canary(&json!([{"replicas": 2}]), &[]);
    spec["progressDeadline"] = json!("15s");
    let agent = Agent::healthy(&scene, &NODES, spec).await.unwrap();
    let before = agent.pods().await.unwrap();
    // When a version comes whose pods never get ready.
    agent.apply("v2-neverready").await.unwrap();
    agent
        .rollout
        .status_when(|status| match &status.rollback {
            Some(rollback) if rollback.reason == RollbackReason::DeadlineExceeded => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    // Then it got no further than one pod may be unavailable, and goes.
    let after = agent.runs(&["v1", "v1", "v1"]).await.unwrap();
    assert_eq!((&after["n1"], &after["n2"]), (&before["n1"], &before["n2"]));
    agent.rollout.is_in(Phase::Healthy).await.unwrap();
    // When a fixing version is asked for, it goes through.
    agent.apply("v3").await.unwrap();
    agent
        .rollout
        .settled(Phase::Healthy, "v3", SOON)
        .await
        .unwrap();
    agent.runs(&["v3", "v3", "v3"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_takes_over_the_nodes_and_a_deleted_rollout_gives_the_strategy_back() {
    let scene = Scene::new(lab().await, "newer-nodes").await.unwrap();
    let spec = canary(&json!([{"replicas": 1, "approval": true}]), &[]);
    let agent = Agent::healthy(&scene, &NODES, spec).await.unwrap();
    let before = agent.pods().await.unwrap();
    agent.apply("v2").await.unwrap();
    agent.rollout.waits_for("Approval").await.unwrap();
    agent.runs(&["v1", "v1", "v2"]).await.unwrap();
    // When a newer version is asked for in mid-canary, then it takes the node of the one on trial, and no other.
    agent.apply("v3").await.unwrap();
    let newer = agent.runs(&["v1", "v1", "v3"]).await.unwrap();
    assert_eq!((&newer["n1"], &newer["n2"]), (&before["n1"], &before["n2"]));
    let status = agent.rollout.waits_for("Approval").await.unwrap();
    assert_eq!(status.candidate.unwrap().version.version, "v3");
    assert!(status.quarantine.is_empty());
    // When the Rollout is deleted, then the stable version has all nodes, and the DaemonSet is its owner's again.
    agent
        .rollout
        .rollouts()
        .delete("agent", &DeleteParams::default())
        .await
        .unwrap();
    wait_for("the Rollout to be gone", SOON, || async {
        let left = agent.rollout.rollouts().get_opt("agent").await.unwrap();
        left.map_or(Ok(()), |left| Err(format!("{:?}", left.status)))
    })
    .await
    .unwrap();
    agent.runs(&["v1", "v1", "v1"]).await.unwrap();
    let set = agent.sets.get("agent").await.unwrap();
    assert!(!set.labels().contains_key("belay.dev/rollout"));
    agent.strategy_is("RollingUpdate").await.unwrap();
    agent.apply("v4").await.unwrap();
    agent.runs(&["v4", "v4", "v4"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_daemon_set_cannot_follow_is_refused() {
    let scene = Scene::new(lab().await, "unfit-nodes").await.unwrap();
    let api = scene.api::<Rollout>();
    let create = async |rollout: Rollout| {
        let created = api.create(&PostParams::default(), &rollout).await;
        created.unwrap_err().to_string()
    };
    let mut led = canary(&json!([{"weight": 10}]), &[]);
    led["traffic"] =
        json!({"service": "agent", "routes": [{"kind": "HTTPRoute", "name": "agent"}]});
    let refused = create(rollout(led).unwrap()).await;
    assert!(refused.contains("how many nodes"), "{refused}");
    let mut other = rollout(canary(&json!([{"weight": 10}]), &[])).unwrap();
    other.spec.workload_ref.kind = belay_api::rollout::WorkloadKind::StatefulSet;
    let refused = create(other).await;
    assert!(refused.contains("leave canary.firstNodes out"), "{refused}");
}
