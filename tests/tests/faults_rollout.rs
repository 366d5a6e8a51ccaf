//! Faults in the middle of things: the controller killed, two controllers, no Prometheus, no API server.
//!
//! The controller runs as the program that is shipped, and ends by `kill -9`. Tests take turns on one lab, for a fault of one is
//! a fault for all.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a test ends where its assumption ends"
)]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use belay_api::names::ROLLOUT_LABEL;
use belay_engine::rollout::status::Phase;
use belay_lab::{Lab, Part, wait_for};
use belay_tests::{
    installed::Controller,
    scene::Scene,
    stateful::{Db, canary},
    turns::{Turn, Turns},
    watching::{SetWatch, pods},
    workload::Workload,
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};

static TURNS: Turns = Turns::new();

/// Kills in each kind of moment.
const KILLS: u32 = 10;
/// Kills on the way of a StatefulSet's good version and of a bad one; few, for its pods change places one by one.
const KILLS_OF_PLACES: u32 = 2;
/// Long enough for a lease to be taken over and several pods to change places.
const LONG: Duration = Duration::from_mins(2);
/// Long enough for a lease to be taken over from one who said no goodbye.
const SOON: Duration = Duration::from_mins(1);

/// The next turn on the lab.
async fn turn() -> Turn {
    TURNS
        .take(
            || Lab::builder().with(Part::Prometheus),
            |installed| installed,
        )
        .await
        .unwrap()
}

/// Random moments, from a seed that is printed and can be given again as `BELAY_FAULTS_SEED`.
fn moments(what: &str) -> StdRng {
    let seed = std::env::var("BELAY_FAULTS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("{what}: BELAY_FAULTS_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

/// Lets a random time pass: the moment of the fault is the point, so there is no condition to wait for.
async fn until_a_moment(random: &mut StdRng, within: Duration) {
    let milliseconds = random.random_range(0..=u64::try_from(within.as_millis()).unwrap());
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

fn two_steps() -> Value {
    json!([{"replicas": 1, "hold": "1s"}, {"replicas": "50%", "hold": "1s"}])
}

/// Nothing but the workload of this tag runs, and its pods are as many as wanted.
async fn only_this_version_runs(scene: &Scene, web: &Workload, tag: &str, replicas: usize) {
    wait_for("one version at full strength", SOON, || async {
        let sets = web.sets().await.map_err(|error| error.to_string())?;
        let active: Vec<_> = sets.iter().filter(|set| set.desired > 0).collect();
        let live = pods(
            &scene.client,
            &scene.namespace,
            &format!("app={}", web.name),
        )
        .await
        .map_err(|error| error.to_string())?;
        match active.as_slice() {
            [only]
                if only.image.ends_with(tag)
                    && only.owner == "Deployment"
                    && live.len() == replicas =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}, {} pods", live.len())),
        }
    })
    .await
    .unwrap();
}

/// The stable set had never another size than this while it was the stable one.
fn never_below(history: &BTreeMap<String, Vec<i32>>, hash: &str, replicas: i32) {
    let least = history
        .get(hash)
        .and_then(|sizes| sizes.iter().min().copied());
    assert_eq!(
        least,
        Some(replicas),
        "sizes of the stable set: {history:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_a_canary_it_ends_with_the_new_version() {
    // Given a healthy workload.
    let turn = turn().await;
    let mut controller = turn.acting("canary").await.unwrap();
    let scene = Scene::new(turn.lab, "kill-canary").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let web = scene
        .workload("web", 4, &two_steps(), &["good"])
        .await
        .unwrap();
    let mut random = moments("canary");
    for kill in 0..KILLS {
        // When the controller is killed at some moment of a canary, and comes back.
        let tag = format!("v{}", kill + 2);
        web.set_image(&format!("web:{tag}")).await.unwrap();
        until_a_moment(&mut random, Duration::from_secs(4)).await;
        controller.kill().await.unwrap();
        controller = turn.controller("canary").await.unwrap();
        // Then the new version is promoted, and nothing else is left.
        web.settled(Phase::Healthy, &tag, SOON).await.unwrap();
        only_this_version_runs(&scene, &web, &tag, 4).await;
    }
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_a_change_of_configuration_pods_read_their_versions_own() {
    // Given a workload that reads a ConfigMap, and a controller that is killed at some moment of its first look at it.
    let turn = turn().await;
    let controller = turn.acting("config").await.unwrap();
    let scene = Scene::new(turn.lab, "kill-config").await.unwrap();
    let settings = scene.api::<ConfigMap>();
    let configure = async |value: &str| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"key": value}});
        let apply = PatchParams::apply("git").force();
        let applied = settings.patch("settings", &apply, &Patch::Apply(map)).await;
        applied.unwrap();
    };
    configure("0").await;
    let spec = json!({"strategy": {"canary": {"steps": two_steps()}}});
    let web = Workload::create(&scene.client, &scene.namespace, "web", 4, "web:v1", spec);
    let web = web.await.unwrap();
    let reads = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "main", "image": "web:v1", "envFrom": [{"configMapRef": {"name": "settings"}}]}]}}}});
    web.patch(reads).await.unwrap();
    let mut random = moments("config");
    until_a_moment(&mut random, Duration::from_secs(1)).await;
    controller.kill().await.unwrap();
    let mut controller = turn.controller("config").await.unwrap();
    for kill in 1..=KILLS / 2 {
        wait_for("its configuration to be noted", SOON, || stamped(&web))
            .await
            .unwrap();
        // When it is killed at some moment after the ConfigMap changed, and a node is lost while nobody acts.
        configure(&kill.to_string()).await;
        until_a_moment(&mut random, Duration::from_secs(6)).await;
        controller.kill().await.unwrap();
        scene
            .api::<Pod>()
            .delete_collection(&DeleteParams::default(), &ListParams::default().limit(2))
            .await
            .unwrap();
        controller = turn.controller("config").await.unwrap();
        // Then all pods read the new content in the end, from a copy.
        wait_for("all pods to read the new content", SOON, || async {
            let list = ListParams::default().labels("app=web");
            let pods = scene
                .api::<Pod>()
                .list(&list)
                .await
                .map_err(|error| error.to_string())?;
            let mut values = Vec::new();
            for pod in pods {
                let name = json!(pod.spec)
                    .pointer("/containers/0/envFrom/0/configMapRef/name")
                    .cloned();
                let name = name
                    .and_then(|name| name.as_str().map(str::to_owned))
                    .unwrap_or_default();
                let map = settings
                    .get_opt(&name)
                    .await
                    .map_err(|error| error.to_string())?;
                let value = map.and_then(|map| map.data?.get("key").cloned());
                values.push((name != "settings", value));
            }
            let right = (true, Some(kill.to_string()));
            if values.len() == 4 && values.iter().all(|value| *value == right) {
                Ok(())
            } else {
                Err(format!("{values:?}"))
            }
        })
        .await
        .unwrap();
        web.is_in(Phase::Healthy).await.unwrap();
    }
    controller.terminate().await.unwrap();
}

/// Whether the Deployment's template has a stamp, and rolls by itself.
async fn stamped(web: &Workload) -> Result<(), String> {
    let deployment = web
        .deployments()
        .get("web")
        .await
        .map_err(|error| error.to_string())?;
    let spec = json!(deployment.spec);
    let stamp = spec.pointer("/template/metadata/annotations/belay.dev~1config-version");
    match (stamp, spec.get("paused")) {
        (Some(_), None | Some(Value::Bool(false))) => Ok(()),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_a_promotion_it_ends_with_the_new_version_and_keeps_the_canarys_pods()
 {
    // Given a healthy workload whose canary is promoted after one short step.
    let turn = turn().await;
    let mut controller = turn.acting("promotion").await.unwrap();
    let scene = Scene::new(turn.lab, "kill-promotion").await.unwrap();
    let web = scene
        .workload("web", 6, &json!([{"replicas": 3, "approval": true}]), &[])
        .await
        .unwrap();
    let mut random = moments("promotion");
    for kill in 0..KILLS {
        let tag = format!("v{}", kill + 2);
        web.set_image(&format!("web:{tag}")).await.unwrap();
        let waiting = web.waits_for("Approval").await.unwrap();
        let hash = waiting.candidate.unwrap().version.hash;
        let canaries = pods(
            &scene.client,
            &scene.namespace,
            &format!("pod-template-hash={hash}"),
        )
        .await
        .unwrap();
        assert_eq!(canaries.len(), 3);
        // When the controller is killed at some moment from the approval on, and comes back.
        scene
            .make_action(&scene.client, "web", "Approve")
            .await
            .unwrap();
        until_a_moment(&mut random, Duration::from_millis(400)).await;
        controller.kill().await.unwrap();
        controller = turn.controller("promotion").await.unwrap();
        // Then the promotion is finished with the very pods of the canary.
        web.settled(Phase::Healthy, &tag, SOON).await.unwrap();
        only_this_version_runs(&scene, &web, &tag, 6).await;
        let after = pods(&scene.client, &scene.namespace, "app=web")
            .await
            .unwrap();
        assert!(
            canaries.keys().all(|uid| after.contains_key(uid)),
            "{canaries:?} are not all among {after:?}"
        );
    }
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_a_stateful_set_ends_with_the_version_that_works() {
    // Given a StatefulSet with a gate.
    let turn = turn().await;
    let mut controller = turn.acting("places").await.unwrap();
    let scene = Scene::new(turn.lab, "kill-places").await.unwrap();
    scene.gate("errors", "vector(0)").await.unwrap();
    let db = Db::healthy(&scene, "Parallel", canary(&two_steps(), &["errors"]))
        .await
        .unwrap();
    let mut random = moments("places");
    let mut stable = "v1".to_owned();
    for kill in 0..KILLS_OF_PLACES {
        // When the controller is killed at some moment of a good version's way, and of a bad one's.
        let is_good = kill % 2 == 0;
        let query = if is_good { "vector(0)" } else { "vector(1)" };
        scene.set_query("errors", query).await.unwrap();
        let tag = format!("v{}", kill + 2);
        db.set_image(&format!("db:{tag}")).await.unwrap();
        until_a_moment(&mut random, Duration::from_secs(6)).await;
        controller.kill().await.unwrap();
        controller = turn.controller("places").await.unwrap();
        // Then the good one runs at all places, and of the bad one nothing is left.
        if is_good {
            stable = tag;
            db.rollout
                .settled(Phase::Healthy, &stable, LONG)
                .await
                .unwrap();
        } else {
            db.rollout.is_in(Phase::Rejected).await.unwrap();
        }
        db.runs(&[stable.as_str(); 3]).await.unwrap();
    }
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_of_a_rollback_it_ends_with_the_untouched_stable_version() {
    // Given a healthy workload with a gate that fails whatever comes.
    let turn = turn().await;
    let mut controller = turn.acting("rollback").await.unwrap();
    let scene = Scene::new(turn.lab, "kill-rollback").await.unwrap();
    scene.gate("bad", "vector(1)").await.unwrap();
    let web = scene
        .workload("web", 4, &two_steps(), &["bad"])
        .await
        .unwrap();
    let stable = pods(&scene.client, &scene.namespace, "app=web")
        .await
        .unwrap();
    let sets = SetWatch::begin(&scene.client, &scene.namespace, "app=web").await;
    let hash = sets.seen().into_keys().next().unwrap();
    let mut random = moments("rollback");
    for kill in 0..KILLS {
        // When the controller is killed at some moment between the beginning and the end of a rejection.
        let tag = format!("v{}", kill + 2);
        web.set_image(&format!("web:{tag}")).await.unwrap();
        until_a_moment(&mut random, Duration::from_millis(2500)).await;
        controller.kill().await.unwrap();
        controller = turn.controller("rollback").await.unwrap();
        // Then this version is rejected, and the stable pods are the same as ever.
        let quarantined = |status: &belay_engine::rollout::RolloutStatus| {
            let there = status.phase == Phase::Rejected
                && status
                    .quarantine
                    .iter()
                    .any(|entry| entry.version.ends_with(&tag));
            if there {
                Ok(())
            } else {
                Err(format!("{:?}, {:?}", status.phase, status.waiting_for))
            }
        };
        web.status_when(quarantined).await.unwrap();
        only_this_version_runs(&scene, &web, "v1", 4).await;
        assert_eq!(
            pods(&scene.client, &scene.namespace, "app=web")
                .await
                .unwrap(),
            stable
        );
    }
    never_below(&sets.seen(), &hash, 4);
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_controllers_one_acts_and_the_other_takes_over() {
    // Given two controllers.
    let turn = turn().await;
    let first = turn.acting("first").await.unwrap();
    let second = turn.controller("second").await.unwrap();
    let scene = Scene::new(turn.lab, "two").await.unwrap();
    let web = scene
        .workload("web", 3, &json!([{"replicas": 1, "approval": true}]), &[])
        .await
        .unwrap();
    // When a canary runs.
    web.set_image("web:v2").await.unwrap();
    web.waits_for("Approval").await.unwrap();
    // Then only the first has the lease and has written anything.
    assert_eq!((leads(&first).await, leads(&second).await), (true, false));
    assert_eq!(workload_writes(&second).await, 0, "the standby wrote");
    assert!(workload_writes(&first).await > 0);
    // When the first is killed without a goodbye.
    first.kill().await.unwrap();
    scene
        .make_action(&scene.client, "web", "Approve")
        .await
        .unwrap();
    // Then the second finishes what the first began.
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    assert!(leads(&second).await);
    // When the second says goodbye to a third.
    let third = turn.controller("third").await.unwrap();
    let asked = Instant::now();
    second.terminate().await.unwrap();
    third.acting().await.unwrap();
    // Then the third need not wait for the lease to run out.
    assert!(
        asked.elapsed() < Duration::from_secs(8),
        "the hand-over took {:?}",
        asked.elapsed()
    );
    web.set_image("web:v3").await.unwrap();
    web.waits_for("Approval").await.unwrap();
    third.terminate().await.unwrap();
}

async fn leads(controller: &Controller) -> bool {
    controller
        .metrics()
        .await
        .unwrap()
        .lines()
        .any(|line| line.trim() == "belay_lease_held 1")
}

/// Writes to ReplicaSets, Deployments and Rollouts by the controller's own count.
async fn workload_writes(controller: &Controller) -> u64 {
    let metrics = controller.metrics().await.unwrap();
    let of_workloads = |line: &&str| {
        line.starts_with("belay_api_requests_total{")
            && ["create", "patch", "update", "delete"]
                .iter()
                .any(|verb| line.contains(&format!("verb=\"{verb}\"")))
            && ["replicasets", "deployments", "rollouts"]
                .iter()
                .any(|kind| line.contains(&format!("resource=\"{kind}")))
    };
    metrics
        .lines()
        .filter(of_workloads)
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .map(|count| count as u64)
        .sum()
}

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_the_api_server_restarted_in_mid_canary_it_goes_on() {
    // Given a canary in its first step.
    let turn = turn().await;
    let controller = turn.acting("apiserver").await.unwrap();
    let scene = Scene::new(turn.lab, "apiserver").await.unwrap();
    scene.gate("good", "vector(0)").await.unwrap();
    let web = scene
        .workload("web", 4, &two_steps(), &["good"])
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    web.is_in(Phase::Progressing).await.unwrap();
    // When the API server is killed and comes back.
    turn.lab.kill(Part::ApiServer).await.unwrap();
    turn.lab.start(Part::ApiServer).await.unwrap();
    // Then the canary ends as if nothing had been.
    web.settled(Phase::Healthy, "v2", Duration::from_mins(2))
        .await
        .unwrap();
    only_this_version_runs(&scene, &web, "v2", 4).await;
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_version_that_slipped_in_before_the_hold_was_in_force_is_found_and_watched() {
    // Given a governed workload, and nobody who acts.
    let turn = turn().await;
    let controller = turn.acting("slipped").await.unwrap();
    let scene = Scene::new(turn.lab, "slipped").await.unwrap();
    let web = scene.workload("web", 3, &two_steps(), &[]).await.unwrap();
    controller.kill().await.unwrap();
    // When another version rolls natively while the workload is not held, and the hold comes after it.
    web.patch(json!({"metadata": {"labels": {ROLLOUT_LABEL: null}}}))
        .await
        .unwrap();
    web.set_image("web:v2").await.unwrap();
    only_this_version_runs(&scene, &web, "v2", 3).await;
    web.patch(json!({"metadata": {"labels": {ROLLOUT_LABEL: "web"}}, "spec": {"paused": true}}))
        .await
        .unwrap();
    // Then whoever acts next finds what serves, though it never was labelled, and accepts it after having watched it.
    let controller = turn.acting("slipped").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    only_this_version_runs(&scene, &web, "v2", 3).await;
    controller.terminate().await.unwrap();
}
