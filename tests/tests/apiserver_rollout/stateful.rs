//! StatefulSets: a new version takes the places of pods, from the highest down, as far as its steps go.

use belay_api::Rollout;
use belay_engine::rollout::{
    revisions::HELD,
    status::{Phase, RollbackReason},
};
use belay_lab::wait_for;
use belay_tests::{
    scene::{SOON, Scene},
    stateful::{Db, canary, rollout},
};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::json;

use super::lab;

#[tokio::test(flavor = "multi_thread")]
async fn a_stateful_set_moves_by_its_partition_and_keeps_the_canarys_pods() {
    // Given a StatefulSet that was adopted, with nothing held.
    let scene = Scene::new(lab().await, "places").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let steps = json!([{"replicas": 1, "approval": true}]);
    let db = Db::healthy(&scene, "OrderedReady", canary(&steps, &["good"]))
        .await
        .unwrap();
    assert_eq!(db.partition().await.unwrap(), 0);
    let before = db.runs(&["v1", "v1", "v1"]).await.unwrap();
    // When a new version is asked for, and its canary has passed everything but the approval.
    db.set_image("db:v2").await.unwrap();
    let status = db.rollout.waits_for("Approval").await.unwrap();
    // Then the highest place runs it, and the other pods are those of before.
    assert_eq!(status.candidate_replicas, Some(1));
    assert_eq!(status.weight_percent, Some(33));
    assert_eq!(db.partition().await.unwrap(), 2);
    let canary = db.runs(&["v1", "v1", "v2"]).await.unwrap();
    assert_eq!(canary["db-0"], before["db-0"]);
    assert_eq!(canary["db-1"], before["db-1"]);
    // When it is scaled up in mid-canary, then the candidate has the highest place, and that one only.
    db.patch(json!({"spec": {"replicas": 4}})).await.unwrap();
    let scaled = db.runs(&["v1", "v1", "v1", "v2"]).await.unwrap();
    assert_eq!(scaled["db-1"], before["db-1"]);
    db.rollout.waits_for("Approval").await.unwrap();
    assert_eq!(db.partition().await.unwrap(), 3);
    // When a person approves, then all run it, the canary's pod is the same, and the partition is given back.
    scene.act("db", "Approve").await.unwrap();
    db.rollout
        .settled(Phase::Healthy, "v2", SOON)
        .await
        .unwrap();
    let after = db.runs(&["v2", "v2", "v2", "v2"]).await.unwrap();
    assert_eq!(after["db-3"], scaled["db-3"]);
    assert_eq!(db.partition().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_never_gets_ready_is_taken_back_and_stays_out() {
    for management in ["OrderedReady", "Parallel"] {
        let scene = Scene::new(lab().await, "stuck").await.unwrap();
        let steps = json!([{"replicas": 2}]);
        let mut spec = canary(&steps, &[]);
        spec["progressDeadline"] = json!("15s");
        let db = Db::healthy(&scene, management, spec).await.unwrap();
        let before = db.pods().await.unwrap();
        // When a version comes whose pods never get ready.
        db.set_image("db:v2-neverready").await.unwrap();
        // Then it is rejected, the stable version has its places back, and the template stays as it was asked for, held.
        let status = db.rollout.is_in(Phase::Rejected).await.unwrap();
        let reason = status.rollback.unwrap().reason;
        assert_eq!(reason, RollbackReason::DeadlineExceeded);
        let after = db.runs(&["v1", "v1", "v1"]).await.unwrap();
        assert_eq!(after["db-0"], before["db-0"]);
        assert_eq!(db.partition().await.unwrap(), HELD);
        assert_eq!(db.image().await.unwrap(), "db:v2-neverready");
        // When pods are added while it is held, they are of the stable version.
        db.patch(json!({"spec": {"replicas": 4}})).await.unwrap();
        db.runs(&["v1", "v1", "v1", "v1"]).await.unwrap();
        // When a fixing version is asked for, it goes through.
        db.set_image("db:v3").await.unwrap();
        db.rollout
            .settled(Phase::Healthy, "v3", SOON)
            .await
            .unwrap();
        db.runs(&["v3", "v3", "v3", "v3"]).await.unwrap();
        assert_eq!(db.partition().await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_gets_stuck_is_rolled_back_past_the_pod_that_blocks_it() {
    // Given a version whose pods never get ready, promoted by a person all the same.
    let scene = Scene::new(lab().await, "blocked").await.unwrap();
    let mut spec = canary(&json!([{"replicas": 1, "hold": "1h"}]), &[]);
    spec["progressDeadline"] = json!("15s");
    let db = Db::healthy(&scene, "OrderedReady", spec).await.unwrap();
    db.set_image("db:v2-neverready").await.unwrap();
    db.rollout.is_in(Phase::Progressing).await.unwrap();
    scene.act("db", "Promote").await.unwrap();
    // When it makes no progress, then the stable template is written back, and nothing of it is left.
    let status = db
        .rollout
        .status_when(|status| match &status.rollback {
            Some(rollback) if rollback.promoted && status.phase == Phase::Healthy => {
                Ok(status.clone())
            }
            other => Err(format!("{:?} {other:?}", status.phase)),
        })
        .await
        .unwrap();
    assert_eq!(status.quarantine.len(), 1);
    db.runs(&["v1", "v1", "v1"]).await.unwrap();
    assert_eq!(db.image().await.unwrap(), "db:v1");
    assert_eq!(db.partition().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_version_begins_at_the_first_place_and_a_failing_bake_goes_back() {
    let scene = Scene::new(lab().await, "newer-db").await.unwrap();
    scene.gate("errors", "vector(0)").await.unwrap();
    let mut spec = canary(&json!([{"replicas": 2, "approval": true}]), &["errors"]);
    spec["verification"]["afterPromotion"] = json!({"bake": "10m"});
    let db = Db::healthy(&scene, "Parallel", spec).await.unwrap();
    db.set_image("db:v2").await.unwrap();
    db.rollout.waits_for("Approval").await.unwrap();
    db.runs(&["v1", "v2", "v2"]).await.unwrap();
    // When a newer version is asked for in mid-canary, then it takes the place of the one on trial.
    db.set_image("db:v3").await.unwrap();
    db.rollout
        .status_when(|status| {
            let version = status
                .candidate
                .as_ref()
                .map(|c| c.version.version.as_str());
            let waits = status.waiting_for.as_ref().map(|w| w.reason.as_str());
            match (version, waits) {
                (Some("v3"), Some("Approval")) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await
        .unwrap();
    db.runs(&["v1", "v3", "v3"]).await.unwrap();
    assert!(db.rollout.status().await.unwrap().quarantine.is_empty());
    // When it is promoted and fails while it bakes, then the stable template comes back.
    scene.act("db", "Approve").await.unwrap();
    db.rollout.is_in(Phase::Baking).await.unwrap();
    scene.set_query("errors", "vector(1)").await.unwrap();
    db.rollout
        .status_when(|status| match status.phase {
            Phase::Healthy => Ok(()),
            phase => Err(format!("{phase:?}")),
        })
        .await
        .unwrap();
    db.runs(&["v1", "v1", "v1"]).await.unwrap();
    assert_eq!(db.image().await.unwrap(), "db:v1");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_lowers_the_partition_past_a_hold_and_a_deleted_rollout_lets_go() {
    let lab = lab().await;
    let scene = Scene::new(lab, "leaves-db").await.unwrap();
    let spec = canary(&json!([{"replicas": 1, "hold": "1h"}]), &[]);
    let db = Db::healthy(&scene, "OrderedReady", spec).await.unwrap();
    db.set_image("db:v2").await.unwrap();
    db.rollout.waits_for("Hold").await.unwrap();
    // When somebody who may change StatefulSets lowers the partition, he is told who holds it.
    super::acts::allow(&scene, "joe", &["get"]).await;
    let joe = lab.client_for_user("joe", None).unwrap();
    let may_patch: Api<StatefulSet> = Api::namespaced(joe, &scene.namespace);
    wait_for("the role to be in force", SOON, || async {
        let read = may_patch.get("db").await;
        read.map(drop).map_err(|error| error.to_string())
    })
    .await
    .unwrap();
    let lower = json!({"spec": {"updateStrategy": {"rollingUpdate": {"partition": 0}}}});
    let refused = may_patch
        .patch("db", &PatchParams::default(), &Patch::Merge(&lower))
        .await
        .unwrap_err()
        .to_string();
    assert!(refused.contains("holds this StatefulSet"), "{refused}");
    // When the Rollout is deleted in mid-canary, then the stable version has all places, and the label is gone.
    db.rollout
        .rollouts()
        .delete("db", &DeleteParams::default())
        .await
        .unwrap();
    db.runs(&["v1", "v1", "v1"]).await.unwrap();
    wait_for("the Rollout to be gone", SOON, || async {
        let left = db.rollout.rollouts().get_opt("db").await.unwrap();
        left.map_or(Ok(()), |left| Err(format!("{:?}", left.status)))
    })
    .await
    .unwrap();
    let set = db.sets.get("db").await.unwrap();
    assert!(!set.labels().contains_key("belay.dev/rollout"));
    // Its template was never verified: it stays held until its owner lowers the partition.
    assert_eq!(db.partition().await.unwrap(), HELD);
    db.patch(lower).await.unwrap();
    db.runs(&["v2", "v2", "v2"]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_two_versions_beside_each_other_is_refused_for_a_stateful_set() {
    let scene = Scene::new(lab().await, "unfit").await.unwrap();
    let traffic = json!({"service": "db", "routes": [{"kind": "HTTPRoute", "name": "db"}]});
    let spec = json!({"strategy": {"blueGreen": {}}, "traffic": traffic});
    let api = scene.api::<Rollout>();
    let refused = api
        .create(&PostParams::default(), &rollout(spec).unwrap())
        .await
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("use canary, with traffic or without"),
        "{refused}"
    );
}
