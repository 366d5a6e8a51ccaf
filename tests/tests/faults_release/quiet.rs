//! What a quiet Release costs.

use std::time::Duration;

use belay_engine::release::Phase;
use belay_lab::wait_for;
use belay_tests::{measure::audit::Mark, tenant::Tenant};
use serde_json::json;

use super::{CONTROLLER_USER, SOON, named, replace, turn};

#[tokio::test(flavor = "multi_thread")]
async fn quiet_releases_cost_no_request_whatever_the_number_of_their_objects() {
    let turn = turn().await;
    let controller = turn.controller("quiet").await.unwrap();
    let mut tenants = Vec::new();
    for _ in 0..5 {
        let tenant = Tenant::create(turn.lab, "quiet").await.unwrap();
        let commit = replace(&tenant, &[], &named(0..20, "x"), "Open").await;
        tenant.release(&json!({})).await.unwrap();
        tenants.push((tenant, commit));
    }
    for (tenant, commit) in &tenants {
        tenant.phase(Phase::Verified, commit, SOON).await.unwrap();
    }
    let log = turn.lab.audit_log_path().unwrap();
    // The echoes of the last writes are over when a second passes without a request.
    let quiet_for = |time: Duration| {
        let log = log.clone();
        async move {
            let mark = Mark::now(&log, CONTROLLER_USER).unwrap();
            tokio::time::sleep(time).await;
            mark.since().unwrap()
        }
    };
    wait_for("the last writes to be over", SOON, || async {
        let requests = quiet_for(Duration::from_secs(1)).await;
        if requests.total() == 0 {
            Ok(())
        } else {
            Err(format!("{:?}", requests.by_kind))
        }
    })
    .await
    .unwrap();
    // Git is looked at ten times in this time, the API server not at all.
    let requests = quiet_for(Duration::from_secs(10)).await;
    assert_eq!(requests.total(), 0, "{:?}", requests.by_kind);
    controller.terminate().await.unwrap();
}
