//! `dependsOn`: what waits, what ends it, and what is said meanwhile.

use belay_engine::{condition::Truth, release::Phase};
use belay_tests::{
    tenant::{Tenant, config_map},
    told::condition,
};
use serde_json::json;

use super::{
    SOON, lab,
    scene::{NO_ANSWER, Named, PASSES, ask, make_gate},
};

#[tokio::test(flavor = "multi_thread")]
async fn one_commit_that_changes_both_is_applied_by_the_dependant_after_its_dependency() {
    // Given a database and a web, both verified, of which the web depends on the database.
    let tenant = Tenant::create(lab().await, "depends").await.unwrap();
    make_gate(&tenant, PASSES).await;
    let files = |value: &str| {
        [
            ("db/config.yaml", config_map("db", value)),
            ("web/config.yaml", config_map("web", value)),
        ]
    };
    let commit = async |value: &str| {
        let files = files(value);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
        tenant.repo.commit(&files, value).await.unwrap()
    };
    let first = commit("one").await;
    let (db, web) = (Named(&tenant, "db"), Named(&tenant, "web"));
    let url = tenant.repo.url();
    // The dependant is there first: it waits for a Release that does not exist yet.
    web.create(url, "web", json!({"dependsOn": [{"name": "db"}]}))
        .await;
    let message = web.waits_for("DependencyMissing").await;
    assert!(message.contains("db, which does not exist"), "{message}");
    db.create(
        url,
        "db",
        json!({"verification": {"gates": [{"template": "slo"}]}}),
    )
    .await;
    web.is(Phase::Verified, &first).await;
    // When one commit changes both, and the database takes its time.
    ask(&tenant, NO_ANSWER).await;
    let second = commit("two").await;
    db.is(Phase::Verifying, &second).await;
    // Then the web says what it waits for, and nothing of it is applied.
    let status = web.is(Phase::Waiting, &second).await;
    let message = status.waiting_for.unwrap().message;
    assert!(message.contains("/db, which is"), "{message}");
    tenant.value_is("db", Some("two"), SOON).await.unwrap();
    assert_eq!(
        tenant.value("web", "value").await.unwrap().as_deref(),
        Some("one")
    );
    // When the database is verified, then the web hears of it and goes on.
    ask(&tenant, PASSES).await;
    web.is(Phase::Verified, &second).await;
    assert_eq!(
        tenant.value("web", "value").await.unwrap().as_deref(),
        Some("two")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_another_namespace_is_a_dependency_only_if_it_says_so() {
    // Given a Release of another team, and one that depends on it.
    let mesh_team = Tenant::create(lab().await, "mesh").await.unwrap();
    let shop_team = Tenant::create(lab().await, "shop-on-mesh").await.unwrap();
    let files = [("config.yaml", &*config_map("config", "one"))];
    let mesh_commit = mesh_team.repo.commit(&files, "Open").await.unwrap();
    let shop_commit = shop_team.repo.commit(&files, "Open").await.unwrap();
    let (mesh, shop) = (Named(&mesh_team, "mesh"), Named(&shop_team, "shop"));
    mesh.create(mesh_team.repo.url(), "", json!({})).await;
    mesh.is(Phase::Verified, &mesh_commit).await;
    let on = json!({"dependsOn": [{"name": "mesh", "namespace": mesh_team.namespace}]});
    shop.create(shop_team.repo.url(), "", on).await;
    // Then it learns nothing, and says what would have to be written.
    let message = shop.waits_for("DependencyMissing").await;
    assert!(message.contains("may not be read from here"), "{message}");
    assert!(message.contains(&shop_team.namespace), "{message}");
    // When the other team lets it, then it goes on by itself.
    mesh.change(json!({"readableFrom": [shop_team.namespace]}))
        .await;
    shop.is(Phase::Verified, &shop_commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_that_wait_for_each_other_are_named_and_taking_one_reference_out_ends_it() {
    let tenant = Tenant::create(lab().await, "ring").await.unwrap();
    let files = [
        ("a/config.yaml", &*config_map("a", "one")),
        ("b/config.yaml", &config_map("b", "one")),
    ];
    let commit = tenant.repo.commit(&files, "Open").await.unwrap();
    let (a, b) = (Named(&tenant, "a"), Named(&tenant, "b"));
    let url = tenant.repo.url();
    a.create(url, "a", json!({"dependsOn": [{"name": "b"}]}))
        .await;
    b.create(url, "b", json!({"dependsOn": [{"name": "a"}]}))
        .await;
    let message = a.waits_for("DependencyRing").await;
    let namespace = &tenant.namespace;
    let ring = format!("{namespace}/a → {namespace}/b → {namespace}/a");
    assert!(message.contains(&ring), "{message}");
    let status = b
        .wait("stalled", |status| {
            condition(&status.conditions, "Stalled").is_some_and(|c| c.status == Truth::True)
        })
        .await;
    assert_eq!(status.phase, Phase::Waiting);
    b.change(json!({"dependsOn": null})).await;
    b.is(Phase::Verified, &commit).await;
    a.is(Phase::Verified, &commit).await;
}
