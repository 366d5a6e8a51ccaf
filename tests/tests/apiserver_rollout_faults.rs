//! Rollouts while the controller, Prometheus or the API server dies. These tests follow each other, for they share one lab.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::{path::PathBuf, time::Duration};

use belay_engine::{gate::Verdict, rollout::status::Phase};
use belay_lab::{Lab, Part, SharedLab, wait_for};
use belay_tests::{
    installed::{Controller, Installed, controller_program},
    scene::{SOON, Scene},
    stage::policies_in_force,
    watching::{SetWatch, pods},
    workload::Workload,
};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

static LAB: SharedLab = SharedLab::new();
static INSTALLED: OnceCell<(Installed, PathBuf)> = OnceCell::const_new();
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

struct Stage {
    lab: &'static Lab,
    installed: &'static Installed,
    program: &'static PathBuf,
    _turn: MutexGuard<'static, ()>,
}

impl Stage {
    async fn take() -> Self {
        let turn = ONE_AT_A_TIME.lock().await;
        let lab = LAB
            .get(|| Lab::builder().with(Part::Prometheus))
            .await
            .expect("the lab starts");
        let (installed, program) = INSTALLED
            .get_or_init(|| async {
                let installed = Installed::chart(lab, &[]).await.unwrap();
                policies_in_force(lab).await.unwrap();
                (installed, controller_program(false).await.unwrap())
            })
            .await;
        Self {
            lab,
            installed,
            program,
            _turn: turn,
        }
    }

    async fn controller(&self, identity: &str) -> Controller {
        self.installed.start(self.program, identity).await.unwrap()
    }
}

/// Moments of a change at which the controller is killed.
#[derive(Clone, Copy, Debug)]
enum Moment {
    Canary,
    Promotion,
    Rollback,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_moment_leads_to_the_right_end() {
    // Given one workload whose new versions are good, and one whose new versions are bad.
    let stage = Stage::take().await;
    let scene = Scene::new(stage.lab, "kill").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    scene.gate("bad", "vector(1)").await.unwrap();
    let mut controller = stage.controller("killed").await;
    let steps = json!([{"weight": 20}, {"weight": 50}]);
    let good = scene.workload("good", 4, &steps, &["good"]).await.unwrap();
    let bad = scene.workload("bad", 4, &steps, &["bad"]).await.unwrap();
    let bad_pods = pods(&scene.client, &scene.namespace, "app=bad")
        .await
        .unwrap();
    let seed = std::env::var("BELAY_FAULT_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| jiff::Timestamp::now().as_microsecond().unsigned_abs());
    println!("BELAY_FAULT_SEED={seed}");
    let mut random = Random(seed);
    for round in 0..30 {
        let moment = [Moment::Canary, Moment::Promotion, Moment::Rollback][round % 3];
        let version = format!("v{}", round + 2);
        let good_sets = SetWatch::begin(&scene.client, &scene.namespace, "app=good").await;
        let stable = good.status().await.unwrap().stable.unwrap().hash;
        // When the controller dies a random time after that moment, and another process takes its place.
        good.set_image(&format!("good:{version}")).await.unwrap();
        bad.set_image(&format!("bad:{version}")).await.unwrap();
        reached(&good, &bad, &version, moment).await;
        tokio::time::sleep(Duration::from_millis(random.below(250))).await;
        controller.kill().await.unwrap();
        controller = stage.controller("killed").await;
        // Then the good version ends as the stable one, the bad one rejected, with the pods it had before.
        good.settled(Phase::Healthy, &version, SOON).await.unwrap();
        rejected(&bad, &version).await;
        wait_for("only the pods of before", SOON, || async {
            let now = pods(&scene.client, &scene.namespace, "app=bad")
                .await
                .unwrap();
            if now == bad_pods {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        })
        .await
        .unwrap();
        let mut grown = good_sets.seen();
        grown.retain(|_, desired| desired.iter().any(|pods| *pods > 0));
        assert_eq!(
            grown.len(),
            2,
            "round {round}, {moment:?}: one set for one version, {grown:?}"
        );
        for (hash, desired) in grown.iter().filter(|(hash, _)| **hash != stable) {
            assert!(
                desired.is_sorted() && desired.last() == Some(&4),
                "round {round}, {moment:?}: no canary pod of {hash} is ended, {desired:?}"
            );
        }
        assert_eq!(
            grown[&stable].first(),
            Some(&4),
            "round {round}, {moment:?}"
        );
    }
}

async fn reached(good: &Workload, bad: &Workload, version: &str, moment: Moment) {
    let (workload, phases): (_, &[Phase]) = match moment {
        Moment::Canary => (
            good,
            &[
                Phase::Progressing,
                Phase::Promoting,
                Phase::Baking,
                Phase::Healthy,
            ],
        ),
        Moment::Promotion => (good, &[Phase::Promoting, Phase::Baking, Phase::Healthy]),
        Moment::Rollback => (bad, &[Phase::RollingBack, Phase::Rejected]),
    };
    workload
        .status_when(|status| {
            let on_trial = status.candidate.iter().map(|c| &c.version);
            let rolled_back = status.rollback.iter().map(|r| &r.from);
            let all = on_trial.chain(rolled_back).chain(&status.stable);
            let about_it = all.into_iter().any(|v| v.version == version);
            if about_it && phases.contains(&status.phase) {
                Ok(())
            } else {
                Err(format!("{:?}", status.phase))
            }
        })
        .await
        .unwrap();
}

async fn rejected(bad: &Workload, version: &str) {
    bad.status_when(|status| {
        let quarantined = status
            .quarantine
            .iter()
            .any(|entry| entry.version == version);
        if status.phase == Phase::Rejected && quarantined {
            Ok(())
        } else {
            Err(format!(
                "{:?}, waiting for {:?}",
                status.phase, status.waiting_for
            ))
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_controllers_one_acts_and_the_other_takes_over() {
    let stage = Stage::take().await;
    let scene = Scene::new(stage.lab, "two").await.unwrap();
    let first = stage.controller("first").await;
    first.acting().await.unwrap();
    let second = stage.controller("second").await;
    let steps = json!([{"weight": 50, "hold": "3s"}]);
    let web = scene.workload("web", 2, &steps, &[]).await.unwrap();
    assert!(!leads(&second).await, "one acts");
    // When the acting one is told to stop in mid-canary, then the other goes on at once.
    web.set_image("web:v2").await.unwrap();
    web.is_in(Phase::Progressing).await.unwrap();
    first.terminate().await.unwrap();
    second.acting().await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    // When the acting one dies, then the other goes on after the lease.
    let third = stage.controller("third").await;
    web.set_image("web:v3").await.unwrap();
    web.is_in(Phase::Progressing).await.unwrap();
    second.kill().await.unwrap();
    third.acting().await.unwrap();
    web.settled(Phase::Healthy, "v3", SOON).await.unwrap();
}

async fn leads(controller: &Controller) -> bool {
    let metrics = controller.metrics().await.unwrap();
    metrics
        .lines()
        .any(|line| line.trim() == "belay_lease_held 1")
}

#[tokio::test(flavor = "multi_thread")]
async fn while_prometheus_is_away_the_rollout_holds_and_says_so_and_then_goes_on() {
    let stage = Stage::take().await;
    let scene = Scene::new(stage.lab, "prometheus").await.unwrap();
    let _controller = stage.controller("steady").await;
    scene.gate("good", "vector(0)").await.unwrap();
    let steps = json!([{"weight": 20}, {"weight": 50}]);
    let web = scene.workload("web", 4, &steps, &["good"]).await.unwrap();
    // When Prometheus goes away in mid-canary.
    stage.lab.stop(Part::Prometheus).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    let message = web
        .status_when(|status| match (&status.verdict, &status.waiting_for) {
            (Some(Verdict::Error), Some(waiting)) => Ok(waiting.message.clone()),
            other => Err(format!("{other:?}")),
        })
        .await
        .unwrap();
    assert!(message.contains("can't be reached"), "{message}");
    // Then it neither goes on nor back, however often it asks.
    let held = outage_seconds();
    tokio::time::sleep(held).await;
    let status = web.status().await.unwrap();
    assert_eq!(status.phase, Phase::Progressing);
    assert_eq!(status.step_text.as_deref(), Some("1/2"));
    // And goes on once Prometheus is back.
    stage.lab.start(Part::Prometheus).await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
}

/// How long Prometheus stays away: what must not happen can only be waited for. Two minutes on request.
fn outage_seconds() -> Duration {
    let seconds = std::env::var("BELAY_OUTAGE_SECONDS").ok();
    Duration::from_secs(seconds.and_then(|s| s.parse().ok()).unwrap_or(15))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_the_api_server_in_mid_canary_is_survived() {
    let stage = Stage::take().await;
    let scene = Scene::new(stage.lab, "apiserver").await.unwrap();
    let _controller = stage.controller("steady").await;
    scene.gate("good", "vector(0)").await.unwrap();
    let steps = json!([{"weight": 20, "hold": "2s"}, {"weight": 50, "hold": "1s"}]);
    let web = scene.workload("web", 4, &steps, &["good"]).await.unwrap();
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Hold").await.unwrap();
    stage.lab.kill(Part::ApiServer).await.unwrap();
    stage.lab.start(Part::ApiServer).await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
}

/// A small generator of random numbers (xorshift), so that a run can be repeated from its seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}
