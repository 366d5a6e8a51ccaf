//! The controller is killed at random moments, by `kill -9`, and comes back.

use std::time::Duration;

use belay_engine::rollout::status::Phase;
use belay_lab::wait_for;
use belay_tests::{
    daemon::{self, Agent},
    moments::{moments, until_a_moment},
    scene::Scene,
    stateful::{Db, canary},
    watching::{SetWatch, pods},
    workload::Workload,
};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::{LONG, SOON, never_below, only_this_version_runs, turn, two_steps};

/// Kills in each kind of moment.
const KILLS: u32 = 10;
/// Kills on the way of a StatefulSet's or DaemonSet's good version and of a bad one; few, for its pods change places one by one.
const KILLS_OF_PLACES: u32 = 2;

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
async fn killed_at_any_moment_a_daemon_set_ends_with_the_version_that_works() {
    // Given a DaemonSet on three nodes with a gate.
    let turn = turn().await;
    let mut controller = turn.acting("nodes").await.unwrap();
    let scene = Scene::new(turn.lab, "kill-nodes").await.unwrap();
    scene.gate("errors", "vector(0)").await.unwrap();
    let nodes = [("n1", "core"), ("n2", "core"), ("n3", "edge")];
    let spec = daemon::canary(
        &json!([{"replicas": 1, "hold": "1s"}, {"replicas": 2, "hold": "1s"}]),
        &["errors"],
    );
    let agent = Agent::healthy(&scene, &nodes, spec).await.unwrap();
    let mut random = moments("nodes");
    let mut stable = "v1".to_owned();
    for kill in 0..KILLS_OF_PLACES * 2 {
        // When the controller is killed at some moment of a good version's way, and of a bad one's.
        let is_good = kill % 2 == 0;
        let query = if is_good { "vector(0)" } else { "vector(1)" };
        scene.set_query("errors", query).await.unwrap();
        let tag = format!("v{}", kill + 2);
        agent.apply(&tag).await.unwrap();
        until_a_moment(&mut random, Duration::from_secs(6)).await;
        controller.kill().await.unwrap();
        controller = turn.controller("nodes").await.unwrap();
        // Then the good one runs on all nodes, and of the bad one nothing is left, and its strategy is its author's again.
        if is_good {
            stable.clone_from(&tag);
        }
        let is_settled = |status: &belay_engine::rollout::RolloutStatus| {
            let version = status.stable.as_ref().map(|stable| stable.version.as_str());
            let rejected = status
                .quarantine
                .iter()
                .any(|entry| entry.version.ends_with(&tag));
            let settled =
                status.phase == Phase::Healthy && version == Some(&stable) && rejected != is_good;
            settled
                .then_some(())
                .ok_or_else(|| format!("{:?}, {:?}", status.phase, status.waiting_for))
        };
        agent.rollout.status_when(is_settled).await.unwrap();
        agent.runs(&[stable.as_str(); 3]).await.unwrap();
        assert_eq!(agent.tag().await.unwrap(), stable);
        agent.strategy_is("RollingUpdate").await.unwrap();
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
