//! What a step costs the API server.

use belay_engine::rollout::status::Phase;
use belay_lab::Lab;
use belay_tests::{installed::NAMESPACE, measure::audit::Mark};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use crate::{canary::Shop, lab};

const MOST_WRITES: u64 = 4;

#[tokio::test(flavor = "multi_thread")]
async fn a_step_takes_at_most_four_writes_whatever_the_number_of_pods() {
    let lab = lab().await;
    for pods in [3, 30, 300] {
        let shop = Shop::open("cost", pods, json!([{"weight": 10}]), &[]).await;
        // When a version goes up by one step, and another one by five.
        let few = writes_up_to_the_last(lab, &shop, "v2", &[10]).await;
        let many = writes_up_to_the_last(lab, &shop, "v3", &[10, 20, 30, 40, 50]).await;
        // Then the four steps between took no more than their due.
        let of_four = many.saturating_sub(few);
        assert!(
            of_four <= 4 * MOST_WRITES,
            "{pods} pods: {few} writes with 1 step, {many} with 5"
        );
        println!("{pods} pods: {few} writes up to the first step, {of_four} for four more");
    }
}

/// Writes of the controller, without events, until the last of these weights is given; then the version is taken back.
async fn writes_up_to_the_last(lab: &Lab, shop: &Shop, version: &str, weights: &[u8]) -> u64 {
    let mut steps: Vec<Value> = weights
        .iter()
        .map(|weight| json!({"weight": weight}))
        .collect();
    if let Some(last) = steps.last_mut() {
        last["approval"] = json!(true);
    }
    let patch = json!({"spec": {"strategy": {"canary": {"steps": steps}}}});
    let rollouts = shop.web.rollouts();
    let changed = rollouts
        .patch("web", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    // What the change itself costs is over before it is counted.
    shop.web
        .status_when(|status| {
            if status.observed_generation == changed.metadata.generation {
                Ok(())
            } else {
                Err(format!("{:?}", status.observed_generation))
            }
        })
        .await
        .unwrap();
    let user = format!("system:serviceaccount:{NAMESPACE}:belay");
    let mark = Mark::now(&lab.audit_log_path().unwrap(), &user)
        .unwrap()
        .within(&shop.scene.namespace);
    shop.web.set_image(&format!("web:{version}")).await.unwrap();
    let status = shop.web.waits_for("Approval").await.unwrap();
    let weight = weights.last().copied().map(i32::from);
    assert_eq!(status.weight_percent, weight);
    let requests = mark.since().unwrap();
    println!("{} steps: {requests:?}", weights.len());
    shop.scene.act("web", "Abort").await.unwrap();
    shop.web.is_in(Phase::Rejected).await.unwrap();
    shop.is_as_before().await;
    requests.writes
}
