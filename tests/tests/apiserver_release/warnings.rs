//! What is said about an object that is not healthy in time.

use belay_engine::release::{Phase, status::FailureReason};
use belay_tests::tenant::{Tenant, config_map, deployment};
use serde_json::json;

use super::{SOON, lab};

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_ends_with_what_the_cluster_warns_of() {
    // Given a Deployment whose pods find no node, and an account that may list events.
    let tenant = Tenant::create(lab().await, "warned").await.unwrap();
    let events = json!([{"apiGroups": [""], "resources": ["events"], "verbs": ["list"]}]);
    tenant.allow_cluster(&events).await.unwrap();
    let web = deployment("web", "web:v1", 1, "config").replacen(
        "    spec:\n      containers:",
        "    spec:\n      nodeSelector: {nowhere: here}\n      containers:",
        1,
    );
    let files = [
        ("config.yaml", &*config_map("config", "one")),
        ("web.yaml", &web),
    ];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    let timeout = json!({"verification": {"timeout": "8s"}});
    tenant.release(&timeout).await.unwrap();
    // Then the failure names the object and what the scheduler said about its pods.
    let status = tenant.phase(Phase::Failed, &commit, SOON).await.unwrap();
    let rollback = status.rollback.unwrap();
    assert_eq!(rollback.reason, FailureReason::DeadlineExceeded);
    for said in [
        "Deployment",
        "/web",
        "warnings: Pod web-",
        "FailedScheduling",
    ] {
        assert!(rollback.message.contains(said), "{}", rollback.message);
    }
}
