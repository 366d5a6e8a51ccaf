//! What a quiet Release costs, and a commit that changes little.

use std::time::Duration;

use belay_engine::release::Phase;
use belay_lab::wait_for;
use belay_tests::{
    measure::audit::{Mark, Requests},
    tenant::{Tenant, config_map},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
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

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_costs_requests_for_the_objects_that_it_changes_and_for_no_others() {
    // Given a Release of a hundred maps that rests.
    let turn = turn().await;
    let controller = turn.controller("frugal").await.unwrap();
    let tenant = Tenant::create(turn.lab, "frugal").await.unwrap();
    let all = named(0..100, "x");
    let open = replace(&tenant, &[], &all, "Open").await;
    tenant.release(&json!({})).await.unwrap();
    tenant.phase(Phase::Verified, &open, SOON).await.unwrap();
    // When a commit changes two of them,
    let log = turn.lab.audit_log_path().unwrap();
    let mark = Mark::now(&log, CONTROLLER_USER)
        .unwrap()
        .within(&tenant.namespace);
    let mut two = all.clone();
    two[3].1 = config_map("map-3", "y");
    two[70].1 = config_map("map-70", "y");
    let next = replace(&tenant, &all, &two, "Two").await;
    tenant.phase(Phase::Verified, &next, SOON).await.unwrap();
    tenant.value_is("map-3", Some("y"), SOON).await.unwrap();
    // then those two are tried out and applied, and the rest is bookkeeping.
    let maps = |requests: &Requests| {
        let named = |kind: &&String| kind.contains("configmaps");
        let of = requests.by_kind.iter().filter(|(kind, _)| named(kind));
        of.map(|(_, count)| count).sum::<u64>()
    };
    let requests = mark.since().unwrap();
    println!("{:?}", requests.by_kind);
    assert!(maps(&requests) < 20, "{:?}", requests.by_kind);
    // When one that no commit touches is changed by hand while another commit comes, then both are right.
    let change = json!({"data": {"value": "by hand"}});
    let api = tenant.api::<ConfigMap>();
    let patch = Patch::Merge(&change);
    api.patch("map-50", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let mut three = two.clone();
    three[4].1 = config_map("map-4", "z");
    let last = replace(&tenant, &two, &three, "Three").await;
    tenant.phase(Phase::Verified, &last, SOON).await.unwrap();
    tenant.value_is("map-50", Some("x"), SOON).await.unwrap();
    tenant.value_is("map-4", Some("z"), SOON).await.unwrap();
    // When it goes back to the first content, then only what is different is sent, and nothing is forgotten.
    let mark = Mark::now(&log, CONTROLLER_USER)
        .unwrap()
        .within(&tenant.namespace);
    let back = replace(&tenant, &three, &all, "Back").await;
    tenant.phase(Phase::Verified, &back, SOON).await.unwrap();
    for name in ["map-3", "map-70", "map-4", "map-50"] {
        tenant.value_is(name, Some("x"), SOON).await.unwrap();
    }
    let requests = mark.since().unwrap();
    assert!(maps(&requests) < 24, "{:?}", requests.by_kind);
    controller.terminate().await.unwrap();
}
