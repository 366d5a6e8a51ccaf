//! Jobs as gates.

use belay_engine::{
    gate::Verdict,
    rollout::status::{Phase, RollbackReason},
};
use belay_tests::scene::SOON;
use k8s_openapi::api::{batch::v1::Job, core::v1::Node};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams},
};
use serde_json::json;

use super::{
    team::{JobWatch, Team},
    turn,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_runs_once_for_each_part_of_a_change_and_is_deleted_after_it() {
    // Given a gate with a Job that succeeds.
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let team = Team::new(turn.lab, "job-passes").await;
    team.smoke_test("test:ok", &json!({})).await;
    let steps = json!([{"replicas": 1, "hold": "3s"}, {"replicas": "50%"}]);
    let web = team.workload(steps, json!([{"template": "smoke"}])).await;
    let jobs = JobWatch::begin(&team.scene);
    // When a new version comes.
    web.set_image("web:v2").await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    // Then it went through, with one Job for each step, however often it was looked at.
    let seen = jobs.each_once();
    for step in ["smoke/run step-0 round 0", "smoke/run step-1 round 0"] {
        assert!(
            seen.iter().any(|what| what == step),
            "{step} is not among {seen:?}"
        );
    }
    assert!(
        seen.iter().all(|what| what.ends_with("round 0")),
        "{seen:?}"
    );
    // And nothing of them is left.
    team.jobs_are_gone().await;
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_job_takes_the_version_back_and_says_what_its_pod_said_last() {
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let team = Team::new(turn.lab, "job-fails").await;
    team.smoke_test("test:fail", &json!({})).await;
    turn.lab
        .pods_say(&["asking http://web", "FAIL: the cart is empty"])
        .unwrap();
    let web = team
        .workload(json!([{"replicas": 1}]), json!([{"template": "smoke"}]))
        .await;
    web.set_image("web:v2").await.unwrap();
    let status = web.is_in(Phase::Rejected).await.unwrap();
    let rollback = status.rollback.unwrap();
    assert_eq!(rollback.reason, RollbackReason::GateFailed);
    assert!(
        rollback.message.contains("exit code 1")
            && rollback.message.contains("FAIL: the cart is empty"),
        "{}",
        rollback.message
    );
    team.jobs_are_gone().await;
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_controller_that_is_killed_while_a_job_runs_goes_on_with_the_same_job() {
    // Given a change that waits for a Job.
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let team = Team::new(turn.lab, "job-kill").await;
    team.smoke_test("test:slow-8s", &json!({})).await;
    let web = team
        .workload(json!([{"replicas": 1}]), json!([{"template": "smoke"}]))
        .await;
    let jobs = JobWatch::begin(&team.scene);
    web.set_image("web:v2").await.unwrap();
    running_job(&team).await;
    // When the controller is killed and another one starts.
    controller.kill().await.unwrap();
    let controller = turn.acting("probes").await.unwrap();
    // Then the change goes through, and no part of it was tested twice.
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    let seen = jobs.each_once();
    assert!(
        seen.iter().any(|what| what == "smoke/run step-0 round 0"),
        "{seen:?}"
    );
    team.jobs_are_gone().await;
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_does_not_end_fails_at_its_deadline() {
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let team = Team::new(turn.lab, "job-deadline").await;
    team.smoke_test("test:neverready", &json!({"activeDeadlineSeconds": 3}))
        .await;
    let web = team
        .workload(json!([{"replicas": 1}]), json!([{"template": "smoke"}]))
        .await;
    web.set_image("web:v2").await.unwrap();
    let status = web.is_in(Phase::Rejected).await.unwrap();
    let message = status.rollback.unwrap().message;
    assert!(message.contains("DeadlineExceeded"), "{message}");
    team.jobs_are_gone().await;
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_cannot_start_holds_the_change_and_is_created_anew_until_it_can() {
    // Given a Job whose pod wants a node that there is none of.
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let team = Team::new(turn.lab, "job-start").await;
    let pod = json!({"nodeSelector": {"disk": "probes"}, "containers": [{"name": "test", "image": "test:ok"}]});
    let spec = json!({"activeDeadlineSeconds": 5, "template": {"spec": pod}});
    team.smoke_test("test:ok", &spec).await;
    let web = team
        .workload(json!([{"replicas": 1}]), json!([{"template": "smoke"}]))
        .await;
    // When a version comes, then its deadline is told with the cluster's reason, and the version is not taken back.
    web.set_image("web:v2").await.unwrap();
    let message = web.gate_says(Verdict::Error).await.unwrap();
    assert!(
        message.contains("could not start") && message.contains("Unschedulable: 0/3 nodes"),
        "{message}"
    );
    assert_eq!(web.status().await.unwrap().phase, Phase::Progressing);
    // When there is such a node, then the Job is run, and the version goes through.
    let nodes: Api<Node> = Api::all(team.scene.client.clone());
    let label = Patch::Merge(json!({"metadata": {"labels": {"disk": "probes"}}}));
    let parameters = PatchParams::default();
    nodes.patch("node-1", &parameters, &label).await.unwrap();
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    team.jobs_are_gone().await;
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_has_the_rights_of_its_account_and_none_of_belays() {
    // Given an account that may not run Jobs.
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let team = Team::without_rights(turn.lab, "job-rights").await;
    team.smoke_test("test:ok", &json!({})).await;
    let web = team
        .workload(json!([{"replicas": 1}]), json!([{"template": "smoke"}]))
        .await;
    // When a new version comes, then nothing runs, and the status says what is missing.
    web.set_image("web:v2").await.unwrap();
    let message = web.gate_says(Verdict::Error).await.unwrap();
    assert!(
        message.contains("must be allowed to get jobs.batch"),
        "{message}"
    );
    let api: Api<Job> = team.scene.api();
    assert!(
        api.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    // When it may, then the change goes through.
    team.give_rights().await;
    web.settled(Phase::Healthy, "v2", SOON).await.unwrap();
    controller.terminate().await.unwrap();
}

/// Waits until a Job of the team runs a pod.
async fn running_job(team: &Team) {
    let api: Api<Job> = team.scene.api();
    belay_lab::wait_for("a Job to run", SOON, || async {
        let list = api.list(&ListParams::default()).await;
        let jobs = list.map_err(|error| error.to_string())?.items;
        let active = |job: &Job| job.status.as_ref().and_then(|status| status.active) == Some(1);
        if jobs.iter().any(active) {
            Ok(())
        } else {
            Err(format!("{} Jobs", jobs.len()))
        }
    })
    .await
    .unwrap();
}
