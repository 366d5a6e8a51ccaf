//! `kubectl belay reconcile`: a look at the source without waiting for its interval.

use std::time::Duration;

use belay_api::names::RECONCILE_ANNOTATION;
use belay_engine::release::{Phase, ReleaseStatus};
use belay_tests::{tenant::config_map, told::condition};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::{SOON, belay, open};

/// A source that is looked at once, and then not again while a test runs.
fn once_a_day() -> Value {
    json!({"source": {"git": {"interval": "24h"}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_is_brought_in_at_once_when_somebody_asks_for_a_look() {
    // given a Release that looks at its source once a day, and a new commit
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, first) = open("reconcile", &files, &once_a_day()).await;
    let namespace = tenant.namespace.as_str();
    let second = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "two"))], "Two")
        .await
        .unwrap();

    // when somebody asks for a look and waits for what comes of it
    let words = [
        "reconcile",
        "release/shop",
        "-n",
        namespace,
        "--wait",
        "settled",
    ];
    let looked = belay(&words).await;

    // then the commit is told and verified, and the request is on record
    assert_eq!(looked.code, 0, "{looked:?}");
    assert!(
        looked.out.contains(&second[..7]) && looked.out.contains("(Two)"),
        "{looked:?}"
    );
    let status = tenant.phase(Phase::Verified, &second, SOON).await.unwrap();
    assert!(status.reconciled.is_some());
    assert_eq!(
        tenant.value("config", "value").await.unwrap().as_deref(),
        Some("two")
    );

    // when there is nothing new, that is told as soon as the look is over
    let again = belay(&["reconcile", "shop", "-n", namespace]).await;
    assert_eq!(again.code, 0, "{again:?}");
    assert!(
        again.out.contains("nothing new") && !again.out.contains(&first[..7]),
        "{again:?}"
    );

    // when a program asks in its own words, the status echoes them
    let annotate = json!({"metadata": {"annotations": {RECONCILE_ANNOTATION: "build-42"}}});
    let api = tenant.api::<belay_api::Release>();
    let patch = Patch::Merge(&annotate);
    api.patch("shop", &PatchParams::default(), &patch)
        .await
        .unwrap();
    tenant
        .wait("the echo", SOON, |status| {
            let handled = status.reconciled.as_ref();
            handled.is_some_and(|handled| handled.request == "build-42")
        })
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_correction_that_rests_is_tried_again_when_somebody_asks_for_a_look() {
    // given an object that was changed back so often that Belay rests
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, _) = open("drift", &files, &once_a_day()).await;
    let api = tenant.api::<ConfigMap>();
    let fought = |status: &ReleaseStatus| {
        condition(&status.conditions, "Drifted").is_some_and(|told| told.reason == "Fought")
    };
    let mut rounds = 0;
    loop {
        rounds += 1;
        assert!(rounds < 20, "Belay goes on correcting");
        let fight = Patch::Merge(json!({"data": {"value": format!("round {rounds}")}}));
        api.patch("config", &PatchParams::default(), &fight)
            .await
            .unwrap();
        let corrected = tenant.value_is("config", Some("one"), Duration::from_secs(5));
        if corrected.await.is_err() {
            break;
        }
    }
    tenant.wait("Belay to rest", SOON, fought).await.unwrap();

    // when somebody asks for a look, then it is corrected at once
    let looked = belay(&["reconcile", "release/shop", "-n", &tenant.namespace]).await;
    assert_eq!(looked.code, 0, "{looked:?}");
    tenant.value_is("config", Some("one"), SOON).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_shows_trouble_ends_with_it() {
    // given a Release of which the next commit can't be rendered
    let files = [("config.yaml", &*config_map("config", "one"))];
    let (tenant, _) = open("broken", &files, &once_a_day()).await;
    let broken = [("config.yaml", "kind: ConfigMap\nmetadata: [")];
    let commit = tenant.repo.commit(&broken, "Break").await.unwrap();

    // when somebody asks for a look, then the call fails with the file that is broken
    let looked = belay(&["reconcile", "shop", "-n", &tenant.namespace]).await;
    assert_eq!(looked.code, 1, "{looked:?}");
    let told = looked.err.contains(&commit[..7]) && looked.err.contains("config.yaml");
    assert!(told, "{looked:?}");

    // when it is suspended, nobody is kept waiting
    let suspend = json!({"spec": {"suspend": true}});
    let api = tenant.api::<belay_api::Release>();
    let patch = Patch::Merge(&suspend);
    api.patch("shop", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let refused = belay(&["reconcile", "shop", "-n", &tenant.namespace]).await;
    assert_eq!(refused.code, 3, "{refused:?}");
    assert!(refused.err.contains("spec.suspend"), "{refused:?}");
}
