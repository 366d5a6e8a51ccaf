//! A Release of thousands of objects: all of it comes, little is written for a little change, and all of it goes.
//!
//! Two thousand objects by default; `BELAY_LARGE_OBJECTS` says another number. How long each part took is printed.
#![allow(clippy::print_stdout, reason = "the times are for people")]

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use belay_api::Release;
use belay_engine::release::Phase;
use belay_lab::wait_for;
use belay_tests::{
    plugin::Plugin,
    tenant::{Tenant, config_map},
};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    ResourceExt as _,
    api::{DeleteParams, ListParams, PartialObjectMeta},
};
use serde_json::json;

use super::lab;

/// Longest wait for one part of the story.
const WITHIN: Duration = Duration::from_mins(10);
/// Objects in one file of the repository.
const A_FILE: usize = 50;

fn objects() -> usize {
    let wanted = std::env::var("BELAY_LARGE_OBJECTS").ok();
    wanted
        .and_then(|text| text.parse().ok())
        .unwrap_or(2_000)
        .max(20 * A_FILE)
}

fn name(number: usize) -> String {
    format!("map-{number:05}")
}

/// The file with the objects from `first` on; object `changed` has a value of its own.
fn file(first: usize, changed: Option<usize>) -> (String, String) {
    let maps: Vec<String> = (first..first + A_FILE)
        .map(|number| {
            let value = if changed == Some(number) {
                "two"
            } else {
                "one"
            };
            config_map(&name(number), value)
        })
        .collect();
    (format!("maps-{first:05}.yaml"), maps.join("---\n"))
}

/// What belongs to the Release, with the version of each.
async fn versions(tenant: &Tenant, labels: &str) -> BTreeMap<String, String> {
    let api = tenant.api::<PartialObjectMeta<ConfigMap>>();
    let listed = api.list(&ListParams::default().labels(labels)).await;
    let versions = listed.expect("a list").into_iter().map(|map| {
        let version = map.resource_version().unwrap_or_default();
        (map.name_any(), version)
    });
    versions.collect()
}

async fn applied(tenant: &Tenant) -> BTreeMap<String, String> {
    versions(tenant, "belay.dev/release=shop").await
}

/// Names of those that are there in both, in another version.
fn changed(before: &BTreeMap<String, String>, after: &BTreeMap<String, String>) -> Vec<String> {
    let differs = |(name, version): &(&String, &String)| {
        before.get(*name).is_some_and(|known| known != *version)
    };
    after
        .iter()
        .filter(differs)
        .map(|(name, _)| name.clone())
        .collect()
}

fn took(what: &str, since: Instant) {
    println!("{what}: {:.1} s", since.elapsed().as_secs_f64());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_thousands_of_objects_comes_changes_and_goes() {
    // Given a repository of thousands of objects.
    let count = objects().next_multiple_of(A_FILE);
    let tenant = Tenant::create(lab().await, "large").await.unwrap();
    let texts: Vec<_> = (0..count)
        .step_by(A_FILE)
        .map(|first| file(first, None))
        .collect();
    let files: Vec<(&str, &str)> = texts
        .iter()
        .map(|(path, text)| (&**path, &**text))
        .collect();
    let first = tenant.repo.commit(&files, "Open").await.unwrap();
    // When a Release asks for it, then all of them are there.
    let since = Instant::now();
    let more = json!({
        "apply": {"pruneBudget": {"objects": A_FILE, "percent": 1}},
        "verification": {"timeout": "15m"},
        "deletionPolicy": "Delete",
    });
    tenant.release(&more).await.unwrap();
    tenant.phase(Phase::Verified, &first, WITHIN).await.unwrap();
    took(&format!("{count} objects applied and verified"), since);
    let opened = applied(&tenant).await;
    assert_eq!(opened.len(), count);
    let inventory = versions(&tenant, "belay.dev/kept-for=shop").await;
    // The plugin reads all parts of the inventory.
    let plugin = Plugin::build(lab().await).await.unwrap();
    let tree = ["tree", "release/shop", "-n", &tenant.namespace];
    let shown = plugin.call(&tree).await.unwrap();
    assert_eq!(shown.out.matches("map-").count(), count, "{}", shown.err);

    // When one of them changes, then that one is written and no other, and of the inventory only what changed with it.
    let since = Instant::now();
    let (path, text) = file(A_FILE, Some(A_FILE + 7));
    let second = tenant.repo.commit(&[(&path, &text)], "One").await.unwrap();
    tenant
        .phase(Phase::Verified, &second, WITHIN)
        .await
        .unwrap();
    took("one of them changed", since);
    let after = applied(&tenant).await;
    assert_eq!(after.len(), count);
    assert_eq!(changed(&opened, &after), [name(A_FILE + 7)]);
    let now = versions(&tenant, "belay.dev/kept-for=shop").await;
    let rewritten = now
        .iter()
        .filter(|(name, version)| inventory.get(*name) != Some(*version))
        .count();
    println!(
        "{rewritten} of {} parts of the inventory written",
        now.len()
    );
    // The index, and the part that knows what was sent for that one.
    assert!(now.len() > 2 && rewritten == 2, "{inventory:?} {now:?}");

    // When a hundred leave, which is more than the budget, then they go after a person's word.
    let since = Instant::now();
    let gone: Vec<&str> = files.iter().rev().take(2).map(|(path, _)| *path).collect();
    let third = tenant.repo.remove(&gone, "Fewer").await.unwrap();
    tenant.phase(Phase::Verified, &third, WITHIN).await.unwrap();
    let asks = tenant.wait("an approval to be asked for", WITHIN, |status| {
        status.large_prune.is_some()
    });
    asks.await.unwrap();
    assert_eq!(applied(&tenant).await.len(), count);
    tenant.act("Approve").await.unwrap();
    wait_for("a hundred to be gone", WITHIN, || async {
        match applied(&tenant).await.len() {
            left if left == count - 2 * A_FILE => Ok(()),
            left => Err(format!("{left} are there")),
        }
    })
    .await
    .unwrap();
    took("a hundred pruned", since);
    assert!(changed(&after, &applied(&tenant).await).is_empty());

    // When the Release is deleted, then all go with it.
    let since = Instant::now();
    let releases = tenant.api::<Release>();
    let parameters = DeleteParams::default();
    releases.delete("shop", &parameters).await.unwrap();
    wait_for("the Release to be gone", WITHIN, || async {
        match releases.get_opt("shop").await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(format!("{} objects are left", applied(&tenant).await.len())),
            Err(error) => Err(error.to_string()),
        }
    })
    .await
    .unwrap();
    took("deleted", since);
    assert!(applied(&tenant).await.is_empty());
}
