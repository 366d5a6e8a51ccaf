//! Waves, and Jobs before and after everything else.

use belay_engine::release::{Phase, status::FailureReason};
use belay_lab::wait_for;
use belay_tests::tenant::{Tenant, config_map, deployment};
use k8s_openapi::api::{apps::v1::Deployment, batch::v1::Job, core::v1::ConfigMap};
use kube::{Resource as _, ResourceExt as _, api::ListParams};
use serde_json::json;

use super::{SOON, lab, open};

fn job(name: &str, turn: &str, image: &str) -> String {
    format!(
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\n  annotations:\n    belay.dev/job: {turn}\nspec:\n  backoffLimit: 0\n  \
         template:\n    spec:\n      restartPolicy: Never\n      containers:\n      - name: main\n        image: {image}\n"
    )
}

async fn jobs(tenant: &Tenant, name: &str) -> Vec<Job> {
    let listed = tenant.api::<Job>().list(&ListParams::default()).await;
    let ours = |job: &Job| job.name_any().starts_with(name);
    listed.expect("the Jobs").into_iter().filter(ours).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_run_before_and_after_everything_else_and_once_for_each_content() {
    let tenant = Tenant::create(lab().await, "jobs").await.unwrap();
    let files = [
        ("pre.yaml", &*job("migrate", "Pre", "migrate:v1")),
        ("config.yaml", &config_map("config", "one")),
        ("web.yaml", &deployment("web", "web:v1", 1, "config")),
        ("post.yaml", &job("smoke", "Post", "smoke:v1")),
    ];
    let first = tenant.repo.commit(&files, "Open").await.unwrap();
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // Then each was run once, in its turn.
    let (pre, post) = (jobs(&tenant, "migrate").await, jobs(&tenant, "smoke").await);
    let ([pre], [post]) = (&*pre, &*post) else {
        panic!("{} and {} Jobs", pre.len(), post.len())
    };
    let map = tenant.api::<ConfigMap>().get("config").await.unwrap();
    let web = tenant.api::<Deployment>().get("web").await.unwrap();
    let ended = |job: &Job| {
        job.status
            .as_ref()
            .unwrap()
            .completion_time
            .clone()
            .unwrap()
            .0
    };
    let made = |meta: &kube::core::ObjectMeta| meta.creation_timestamp.clone().unwrap().0;
    assert!(ended(pre) <= made(map.meta()));
    assert!(made(web.meta()) <= made(post.meta()));
    // When the same content comes by another commit, then none is run again.
    let again = tenant
        .repo
        .commit(&[("README.md", "Words.\n")], "Words")
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &again, SOON).await.unwrap();
    assert_eq!(jobs(&tenant, "migrate").await[0].uid(), pre.uid());
    // When other content comes, then both are run for it.
    let other = tenant
        .repo
        .commit(&[("config.yaml", &*config_map("config", "two"))], "Two")
        .await
        .unwrap();
    tenant.phase(Phase::Verified, &other, SOON).await.unwrap();
    wait_for("the earlier Jobs to be pruned", SOON, || async {
        match &*jobs(&tenant, "migrate").await {
            [only] if only.uid() != pre.uid() => Ok(()),
            others => Err(format!("{} Jobs", others.len())),
        }
    })
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_first_job_stops_before_anything_else_is_applied() {
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, _) = open("job-fails", &files, &json!({})).await;
    let two = [
        ("pre.yaml", &*job("migrate", "Pre", "migrate:fail")),
        ("config.yaml", &config_map("config", "two")),
        ("more.yaml", &config_map("more", "two")),
    ];
    let commit = tenant.repo.commit(&two, "Two").await.unwrap();
    let status = tenant.phase(Phase::Rejected, &commit, SOON).await.unwrap();
    let rollback = status.rollback.unwrap();
    assert_eq!(rollback.reason, FailureReason::ApplyFailed);
    assert!(rollback.message.contains("migrate"), "{}", rollback.message);
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("one")
    );
    assert_eq!(tenant.value("more", "value").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wave_waits_until_the_one_before_is_healthy() {
    // Given a Deployment that can't become ready, and one of a later wave.
    let waved = |name: &str, wave: &str, config: &str| {
        deployment(name, "web:v1", 1, config).replacen(
            &format!("  name: {name}\n"),
            &format!("  name: {name}\n  annotations:\n    belay.dev/wave: {wave:?}\n"),
            1,
        )
    };
    let stuck = waved("first", "1", "config").replacen(
        "    spec:\n      containers:",
        "    spec:\n      nodeSelector: {nowhere: here}\n      containers:",
        1,
    );
    let tenant = Tenant::create(lab().await, "waves").await.unwrap();
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("first.yaml", &stuck),
        ("second.yaml", &waved("second", "2", "config")),
    ];
    tenant.repo.commit(&files, "Open").await.unwrap();
    tenant.release(&json!({})).await.unwrap();
    let status = tenant
        .wait("the wave to be awaited", SOON, |status| {
            status
                .waiting_for
                .as_ref()
                .is_some_and(|waiting| waiting.reason == "Wave")
        })
        .await
        .unwrap();
    let message = status.waiting_for.unwrap().message;
    assert!(message.contains("/first"), "{message}");
    let deployments = tenant.api::<Deployment>();
    assert!(deployments.get_opt("second").await.unwrap().is_none());
    // When it can, then the other one follows.
    let mended = [("first.yaml", &*waved("first", "1", "config"))];
    let commit = tenant.repo.commit(&mended, "Mend").await.unwrap();
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    assert!(deployments.get_opt("second").await.unwrap().is_some());
}
