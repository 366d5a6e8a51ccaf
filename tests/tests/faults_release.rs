//! Faults in the middle of Releases: the controller killed between any two writes, no Git, no cache; and what a quiet Release
//! costs.
//!
//! The controller runs as the program that is shipped, and ends by `kill -9`. Tests take turns on one lab, for a fault of one is
//! a fault for all.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where its assumption ends"
)]

use std::{collections::BTreeSet, time::Duration};

use belay_engine::{condition::Truth, release::Phase};
use belay_lab::{Lab, Part, wait_for};
use belay_tests::{
    measure::audit::Mark,
    tenant::{Tenant, config_map, deployment},
    told::condition,
    turns::{Turn, Turns},
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::ConfigMap};
use kube::{ResourceExt, api::ListParams};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use serde_json::json;

static TURNS: Turns = Turns::new();

/// Kills in the middle of bringing something in.
const KILLS: usize = 10;
const SOON: Duration = Duration::from_mins(2);
/// User by which the API server knows the controller.
const CONTROLLER_USER: &str = "system:serviceaccount:belay-system:belay";

/// The next turn on the lab.
async fn turn() -> Turn {
    TURNS
        .take(
            || Lab::builder().with(Part::Git).audit(),
            |installed| installed,
        )
        .await
        .unwrap()
}

fn named(numbers: impl IntoIterator<Item = usize>, value: &str) -> Vec<(String, String)> {
    numbers
        .into_iter()
        .map(|number| {
            let name = format!("map-{number}");
            (format!("{name}.yaml"), config_map(&name, value))
        })
        .collect()
}

/// Makes the repository consist of these files and nothing else.
async fn replace(
    tenant: &Tenant,
    before: &[(String, String)],
    after: &[(String, String)],
    message: &str,
) -> String {
    let gone: Vec<&str> = before
        .iter()
        .map(|(path, _)| path.as_str())
        .filter(|path| !after.iter().any(|(kept, _)| kept == path))
        .collect();
    let files: Vec<(&str, &str)> = after
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    tenant.repo.change(&gone, &files, message).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_moment_leaves_no_orphan_and_loses_nothing() {
    let seed = std::env::var("BELAY_FAULTS_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or_else(rand::random);
    println!("BELAY_FAULTS_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let turn = turn().await;
    let tenant = Tenant::create(turn.lab, "killed").await.unwrap();
    let mut controller = turn.controller("killed").await.unwrap();
    let mut files = named(0..30, "0");
    let mut commit = replace(&tenant, &[], &files, "Open").await;
    // What is to go at the end is most of what came: nobody is asked.
    let unasked = json!({"apply": {"pruneBudget": {"percent": 100}}});
    tenant.release(&unasked).await.unwrap();
    for kill in 1..=KILLS {
        // The moment is the point: there is no condition to wait for.
        let moment = Duration::from_millis(random.random_range(0..2_500));
        tokio::time::sleep(moment).await;
        controller.kill().await.unwrap();
        // Each time something else is asked for: some objects leave, some come, all change.
        let from: usize = random.random_range(0..40);
        let next = named(from..from + 30, &kill.to_string());
        commit = replace(&tenant, &files, &next, &format!("kill {kill}")).await;
        files = next;
        controller = turn.controller("killed").await.unwrap();
    }
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    let wanted: BTreeSet<String> = files
        .iter()
        .map(|(path, _)| path.trim_end_matches(".yaml").to_owned())
        .collect();
    let maps = tenant.api::<ConfigMap>();
    let applied = ListParams::default().labels("belay.dev/release=shop");
    wait_for(
        "exactly the last commit's objects to be there",
        SOON,
        || async {
            let listed = maps
                .list(&applied)
                .await
                .map_err(|error| error.to_string())?;
            let there: BTreeSet<String> = listed.iter().map(ResourceExt::name_any).collect();
            if there == wanted {
                Ok(())
            } else {
                Err(format!("there are {there:?}"))
            }
        },
    )
    .await
    .unwrap();
    // Nothing without the label was left either: all maps of the namespace are Kubernetes' own, Belay's, or these.
    let all = maps.list(&ListParams::default()).await.unwrap();
    let strays: Vec<String> = all
        .iter()
        .map(ResourceExt::name_any)
        .filter(|name| name.starts_with("map-") && !wanted.contains(name))
        .collect();
    assert!(strays.is_empty(), "{strays:?}");
    controller.terminate().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn without_git_the_last_state_runs_on_and_a_rollback_needs_only_the_cluster() {
    let turn = turn().await;
    let tenant = Tenant::create(turn.lab, "no-git").await.unwrap();
    let controller = turn.controller("no-git").await.unwrap();
    let config = config_map("config", "v1");
    let files = [
        ("config.yaml", &*config),
        ("web.yaml", &deployment("web", "web:v1", 2, "config")),
    ];
    let first = tenant.repo.commit(&files, "v1").await.unwrap();
    let more = json!({"verification": {"timeout": "15s"}});
    tenant.release(&more).await.unwrap();
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // When a version that never becomes ready is being verified, Git goes away, and the controller is killed and loses its cache.
    let bad = deployment("web", "web:v2-neverready", 2, "config");
    let second = tenant
        .repo
        .commit(&[("web.yaml", &bad)], "v2")
        .await
        .unwrap();
    tenant.phase(Phase::Verifying, &second, SOON).await.unwrap();
    turn.lab.stop(Part::Git).await.unwrap();
    controller.kill().await.unwrap();
    std::fs::remove_dir_all(turn.lab.dir().join("no-git-cache")).unwrap();
    let controller = turn.controller("no-git").await.unwrap();
    // Then it is rolled back all the same, and the status says since when Git is away.
    let status = tenant.phase(Phase::Rejected, &second, SOON).await.unwrap();
    assert!(status.verified.unwrap().content.revision.ends_with(&first));
    let live = tenant.api::<Deployment>().get("web").await.unwrap();
    let image = live.spec.unwrap().template.spec.unwrap().containers[0]
        .image
        .clone();
    assert_eq!(image.as_deref(), Some("web:v1"));
    let status = tenant
        .wait("the source to be away", SOON, |status| {
            status.source.is_some()
        })
        .await
        .unwrap();
    let away = condition(&status.conditions, "SourceAvailable").unwrap();
    assert_eq!(away.status, Truth::False);
    // Drift is put right without Git, too.
    let deleted = tenant.api::<ConfigMap>();
    deleted
        .delete("config", &kube::api::DeleteParams::default())
        .await
        .unwrap();
    tenant.value_is("config", Some("v1"), SOON).await.unwrap();
    // When Git is back, then a fixing commit goes through.
    turn.lab.start(Part::Git).await.unwrap();
    let good = deployment("web", "web:v3", 2, "config");
    let third = tenant
        .repo
        .commit(&[("web.yaml", &good)], "v3")
        .await
        .unwrap();
    let status = tenant.phase(Phase::Verified, &third, SOON).await.unwrap();
    assert_eq!(status.source, None);
    controller.terminate().await.unwrap();
}

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
