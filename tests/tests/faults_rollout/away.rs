//! No Prometheus for minutes. The longest of these tests; by its name it begins with the first ones.

use std::time::{Duration, Instant};

use belay_engine::rollout::status::Phase;
use belay_lab::Part;
use belay_tests::scene::Scene;
use serde_json::json;

use crate::{SOON, turn};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_prometheus_for_two_minutes_a_canary_is_held_and_then_goes_on() {
    const OUTAGE: Duration = Duration::from_mins(2);
    // Given a canary in its first step.
    let turn = turn().await;
    let controller = turn.acting("prometheus").await.unwrap();
    let scene = Scene::new(turn.lab, "prometheus").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let steps = json!([{"replicas": 1, "hold": "5s"}, {"replicas": 2, "hold": "1s"}]);
    let web = scene.workload("web", 4, &steps, &["good"]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.is_in(Phase::Progressing).await.unwrap();
    // When Prometheus goes away.
    turn.lab.kill(Part::Prometheus).await.unwrap();
    let gone = Instant::now();
    let unknown = |status: &belay_engine::rollout::RolloutStatus| {
        if status.verdict == Some(belay_engine::gate::Verdict::Error) {
            Ok(status.clone())
        } else {
            Err(format!("verdict {:?}", status.verdict))
        }
    };
    let held = web.status_when(unknown).await.unwrap();
    // Then the status says so, and for two minutes nothing moves: neither forward nor back.
    assert_eq!(
        (held.phase, held.step_text.as_deref()),
        (Phase::Progressing, Some("1/2"))
    );
    while gone.elapsed() < OUTAGE {
        tokio::time::sleep(Duration::from_secs(5)).await;
        let status = web.rollouts().get("web").await.unwrap().status.unwrap();
        assert_eq!(
            (status.phase, status.step_text.as_deref()),
            (Phase::Progressing, Some("1/2"))
        );
        assert!(status.rollback.is_none() && status.quarantine.is_empty());
    }
    let waiting = web
        .rollouts()
        .get("web")
        .await
        .unwrap()
        .status
        .unwrap()
        .waiting_for
        .unwrap();
    assert!(
        waiting.message.contains("good/value"),
        "the sentence names the gate: {}",
        waiting.message
    );
    // When it is back, then the canary goes on to its end.
    turn.lab.start(Part::Prometheus).await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    controller.terminate().await.unwrap();
}
