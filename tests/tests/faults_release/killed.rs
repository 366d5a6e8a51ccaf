//! The controller killed between any two writes of an apply.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use belay_engine::release::Phase;
use belay_tests::{
    moments::{moments, until_a_moment},
    tenant::{Tenant, deployment},
};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use kube::{
    ResourceExt,
    api::ListParams,
    runtime::{WatchStreamExt as _, watcher},
};
use rand::{RngExt as _, rngs::StdRng};

use super::{SOON, named, only_these_are_left, release_unasked, replace, turn};

/// Kills in the middle of bringing something in.
const KILLS: usize = 10;

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_at_any_moment_leaves_no_orphan_and_loses_nothing() {
    let mut random = moments("killed");
    let turn = turn().await;
    let tenant = Tenant::create(turn.lab, "killed").await.unwrap();
    let mut controller = turn.controller("killed").await.unwrap();
    let mut files = named(0..30, "0");
    let mut commit = replace(&tenant, &[], &files, "Open").await;
    // What is to go at the end is most of what came.
    release_unasked(&tenant).await;
    for kill in 1..=KILLS {
        until_a_moment(&mut random, Duration::from_millis(2_500)).await;
        controller.kill().await.unwrap();
        // Each time something else is asked for: some objects leave, some come, all change.
        let from: usize = random.random_range(0..40);
        let next = named(from..from + 30, &kill.to_string());
        commit = replace(&tenant, &files, &next, &format!("kill {kill}")).await;
        files = next;
        controller = turn.controller("killed").await.unwrap();
    }
    tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
    only_these_are_left(&tenant, &files).await;
    controller.terminate().await.unwrap();
}

/// Kills in the middle of waves and Jobs, which take longer.
const KILLS_BETWEEN_TURNS: usize = 6;

fn with_annotation(manifest: &str, annotation: &str, value: &str) -> String {
    let metadata = format!("metadata:\n  annotations:\n    {annotation}: {value:?}\n");
    manifest.replacen("metadata:\n", &metadata, 1)
}

/// A Job before everything, two waves of maps with a workload between them, and a Job after everything.
fn in_turns(random: &mut StdRng, round: usize) -> Vec<(String, String)> {
    let job = |name: &str, turn: &str| {
        let text = format!(
            "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {name}\nspec:\n  backoffLimit: 0\n  template:\n    spec:\n      \
             restartPolicy: Never\n      containers:\n      - name: main\n        image: {name}:v{round}\n"
        );
        (
            format!("{name}.yaml"),
            with_annotation(&text, "belay.dev/job", turn),
        )
    };
    let from: usize = random.random_range(0..10);
    let mut files = vec![job("migrate", "Pre"), job("smoke", "Post")];
    let web = deployment("web", &format!("web:v{round}"), 1, &format!("map-{from}"));
    files.push((
        "web.yaml".to_owned(),
        with_annotation(&web, "belay.dev/wave", "2"),
    ));
    let maps = named(from..from + 12, &round.to_string());
    files.extend(maps.into_iter().enumerate().map(|(place, (path, text))| {
        let wave = if place < 6 { "1" } else { "3" };
        (path, with_annotation(&text, "belay.dev/wave", wave))
    }));
    files
}

/// Notes by their names which Jobs were ever made.
async fn note_jobs(tenant: &Tenant, made: &std::sync::Mutex<BTreeMap<String, BTreeSet<String>>>) {
    let seen = watcher(tenant.api::<Job>(), watcher::Config::default())
        .default_backoff()
        .applied_objects();
    let seen = seen.filter(|job| std::future::ready(job.is_ok()));
    let noted = seen.try_for_each(|job| async move {
        let mut made = made.lock().unwrap();
        made.entry(job.name_any())
            .or_default()
            .insert(job.uid().unwrap_or_default());
        Ok(())
    });
    noted.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_between_waves_and_jobs_goes_on_where_it_was_and_runs_no_job_twice() {
    let mut random = moments("killed between turns");
    let turn = turn().await;
    let tenant = Tenant::create(turn.lab, "turns").await.unwrap();
    let made = std::sync::Mutex::default();
    let story = async {
        let mut controller = turn.controller("turns").await.unwrap();
        let mut files = in_turns(&mut random, 0);
        let mut commit = replace(&tenant, &[], &files, "Open").await;
        release_unasked(&tenant).await;
        for kill in 1..=KILLS_BETWEEN_TURNS {
            until_a_moment(&mut random, Duration::from_secs(6)).await;
            controller.kill().await.unwrap();
            let next = in_turns(&mut random, kill);
            commit = replace(&tenant, &files, &next, &format!("kill {kill}")).await;
            files = next;
            controller = turn.controller("turns").await.unwrap();
        }
        // When the last content is brought in, killed once more on its way,
        tokio::time::sleep(Duration::from_millis(random.random_range(500..4_000))).await;
        controller.kill().await.unwrap();
        let controller = turn.controller("turns").await.unwrap();
        tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
        // then its objects are there and no others,
        only_these_are_left(&tenant, &files).await;
        controller.terminate().await.unwrap();
    };
    tokio::select! {
        () = story => {}
        () = note_jobs(&tenant, &made) => panic!("the watch ended"),
    }
    // one Job of each kind,
    let jobs = tenant
        .api::<Job>()
        .list(&ListParams::default())
        .await
        .unwrap();
    let names: Vec<String> = jobs.iter().map(ResourceExt::name_any).collect();
    let of = |prefix: &str| names.iter().filter(|name| name.starts_with(prefix)).count();
    assert_eq!(
        (of("migrate"), of("smoke"), names.len()),
        (1, 1, 2),
        "{names:?}"
    );
    // and none was ever run twice for one content.
    let made = made.into_inner().unwrap();
    assert!(names.iter().all(|name| made.contains_key(name)), "{made:?}");
    let twice: Vec<_> = made.iter().filter(|(_, uids)| uids.len() > 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
}
