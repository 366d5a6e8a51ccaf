//! What a step costs the API server.

use belay_engine::rollout::status::Phase;
use belay_tests::{installed::NAMESPACE, measure::audit::Mark, scene::SOON};
use serde_json::{Value, json};

use crate::{canary::Shop, lab};

#[tokio::test(flavor = "multi_thread")]
async fn a_step_takes_at_most_four_writes_whatever_the_number_of_pods() {
    for pods in [3, 40] {
        let few = writes(pods, &[10, 90]).await;
        let many = writes(pods, &[10, 20, 30, 40, 50, 90]).await;
        let of_four = many.saturating_sub(few);
        assert!(
            of_four <= 4 * 4,
            "{pods} pods: {few} writes with 2 steps, {many} with 6"
        );
    }
}

/// Writes of the controller, without events, for a rollout with these weights.
async fn writes(pods: i32, weights: &[u8]) -> u64 {
    let steps: Vec<Value> = weights
        .iter()
        .map(|weight| json!({"weight": weight}))
        .collect();
    let shop = Shop::open("cost", pods, json!(steps), &[]).await;
    let user = format!("system:serviceaccount:{NAMESPACE}:belay");
    let log = lab().await.audit_log_path().unwrap();
    let mark = Mark::now(&log, &user)
        .unwrap()
        .within(&shop.scene.namespace);
    shop.web.set_image("web:v2").await.unwrap();
    shop.web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    shop.is_as_before().await;
    let requests = mark.since().unwrap();
    println!("{pods} pods, {} steps: {requests:?}", weights.len());
    requests.writes
}
