//! A bad version is found at a small share, and a healthy one is not held up.

use belay_engine::rollout::status::{Phase, RollbackReason};
use futures::future::join_all;
use serde_json::json;

use crate::{Traffic, compared, ends_in, gate, scene, shared_turn};

/// Rollouts of each kind; `BELAY_VERIFICATION_RUNS` asks for more.
fn runs(usual: usize) -> usize {
    let wanted = std::env::var("BELAY_VERIFICATION_RUNS");
    wanted
        .ok()
        .and_then(|runs| runs.parse().ok())
        .unwrap_or(usual)
}

/// Five percent of the requests go to one pod of the new version.
fn traffic(errors: (f64, f64)) -> Traffic {
    Traffic {
        replicas: 19,
        requests_per_second: 1000.0,
        errors,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_the_errors_are_rolled_back_at_five_percent() {
    // Given workloads whose new version fails one request in a hundred, where the stable one fails one in a thousand.
    let turn = shared_turn().await;
    let scene = scene(&turn, "detection", json!({})).await;
    let steps = json!([{"weight": 5, "hold": "1h"}]);
    let runs = (0..runs(4)).map(|run| {
        let (turn, scene, steps) = (&turn, &scene, &steps);
        async move {
            let name = format!("bad-{run}");
            let workload = compared(turn, scene, &name, &traffic((0.001, 0.01)), steps).await;
            // When the new version comes.
            workload.set_image(&format!("{name}:v2")).await.unwrap();
            let ready_at = workload
                .status_when(|status| {
                    let candidate = status.candidate.as_ref().ok_or("no candidate")?;
                    candidate
                        .first_ready_at
                        .ok_or_else(|| "no pod is ready".to_owned())
                })
                .await
                .unwrap();
            // Then it is taken back for what the gate found.
            let status = ends_in(&workload, &[Phase::Rejected]).await;
            let rollback = status.rollback.unwrap();
            assert_eq!(
                rollback.reason,
                RollbackReason::GateFailed,
                "{}",
                rollback.message
            );
            (
                rollback.at.duration_since(ready_at).as_secs_f64(),
                rollback.message,
            )
        }
    });
    let mut delays: Vec<(f64, String)> = join_all(runs).await;
    delays.sort_by(|a, b| a.0.total_cmp(&b.0));
    for (delay, message) in &delays {
        println!("{delay:6.1} s  {message}");
    }
    let at = |share: f64| {
        let last = delays.len() - 1;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss
        )]
        delays[(share * last as f64).round() as usize].0
    };
    println!(
        "{} rollouts: median {:.1} s, p95 {:.1} s; theory 12.9 s on average",
        delays.len(),
        at(0.5),
        at(0.95)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn healthy_versions_pass() {
    // Given workloads whose new version is as good as the stable one.
    let turn = shared_turn().await;
    let scene = scene(&turn, "healthy", json!({"minRequests": 500})).await;
    let steps = json!([{"weight": 5, "hold": "20s"}]);
    let runs = (0..runs(5)).map(|run| {
        let (turn, scene, steps) = (&turn, &scene, &steps);
        async move {
            let name = format!("good-{run}");
            let workload = compared(turn, scene, &name, &traffic((0.001, 0.001)), steps).await;
            workload.set_image(&format!("{name}:v2")).await.unwrap();
            // Then each of them is promoted, by evidence that is on record.
            let status = ends_in(
                &workload,
                &[Phase::Promoting, Phase::Baking, Phase::Rejected],
            )
            .await;
            assert!(status.rollback.is_none(), "{:?}", status.rollback);
            let evidence = gate(&status)
                .and_then(|gate| gate.evidence.clone())
                .unwrap();
            assert!(evidence.step_requests.get() >= 0.0);
            workload
                .settled(Phase::Healthy, "v2", crate::SOON)
                .await
                .unwrap();
            evidence.canary.total()
        }
    });
    let counted = join_all(runs).await;
    println!(
        "{} of {} promoted; canary requests {counted:?}",
        counted.len(),
        counted.len()
    );
    assert!(
        counted.iter().all(|requests| *requests >= 500.0),
        "{counted:?}"
    );
}
