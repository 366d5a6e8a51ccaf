//! A Job as a gate of a Release's own.

use belay_api::AnalysisTemplate;
use belay_engine::release::{Phase, status::FailureReason};
use belay_tests::{
    scene::{SOON, Scene},
    tenant::{ACCOUNT, Tenant, config_map},
};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{
    team::{JobWatch, Team},
    turn,
};

/// Lets the tenant's account see what pods of Jobs said.
async fn may_read_logs(tenant: &Tenant) {
    let rules = json!([
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    ]);
    let role = json!({"metadata": {"name": "logs"}, "rules": rules});
    tenant.make::<Role>(role).await.unwrap();
    let binding = json!({
        "metadata": {"name": "logs"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "logs"},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": tenant.namespace}],
    });
    tenant.make::<RoleBinding>(binding).await.unwrap();
}

/// The gate of a template whose Job runs this image.
fn gates(image: &str) -> Value {
    let pod = json!({"containers": [{"name": "test", "image": image}]});
    let job = json!({"serviceAccountName": ACCOUNT, "spec": {"template": {"spec": pod}}});
    json!([{"name": "run", "interval": "1s", "job": job}])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_runs_the_job_of_its_own_gate_once_for_each_version_and_goes_back_when_it_fails()
{
    // Given a Release with a gate of its own that runs a Job.
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let tenant = Tenant::create(turn.lab, "release-job").await.unwrap();
    may_read_logs(&tenant).await;
    let template = json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "smoke"},
        "spec": {"gates": gates("test:ok")},
    });
    tenant.make::<AnalysisTemplate>(template).await.unwrap();
    let scene = Scene {
        client: tenant.client.clone(),
        namespace: tenant.namespace.clone(),
    };
    let team = Team { scene };
    // When a version comes, then it is verified after one Job, which is deleted.
    let jobs = JobWatch::begin(&team.scene);
    let config = config_map("config", "v1");
    let files = [("config.yaml", config.as_str())];
    let first = tenant.repo.commit(&files, "v1").await.unwrap();
    let more = json!({"verification": {"gates": [{"template": "smoke"}]}});
    tenant.release(&more).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    assert_eq!(jobs.each_once(), ["smoke/run release round 0"]);
    team.jobs_are_gone().await;
    // When one comes whose Job fails, then everything goes back, and what the Job's pod said is told.
    turn.lab.pods_say(&["FAIL: the shop is closed"]).unwrap();
    let failing = Patch::Merge(json!({"spec": {"gates": gates("test:fail")}}));
    let templates = tenant.api::<AnalysisTemplate>();
    let parameters = PatchParams::default();
    templates
        .patch("smoke", &parameters, &failing)
        .await
        .unwrap();
    let jobs = JobWatch::begin(&team.scene);
    let config = config_map("config", "v2");
    let files = [("config.yaml", config.as_str())];
    let second = tenant.repo.commit(&files, "v2").await.unwrap();
    let status = tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    let rollback = status.rollback.unwrap();
    assert_eq!(rollback.reason, FailureReason::GateFailed);
    assert!(
        rollback.message.contains("exit code 1")
            && rollback.message.contains("FAIL: the shop is closed"),
        "{}",
        rollback.message
    );
    assert_eq!(jobs.each_once(), ["smoke/run release round 0"]);
    tenant.value_is("config", Some("v1"), SOON).await.unwrap();
    team.jobs_are_gone().await;
    controller.terminate().await.unwrap();
}
