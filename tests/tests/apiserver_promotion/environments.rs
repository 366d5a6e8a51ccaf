//! `promotion.after`: what goes on from one environment to the next, when, and by whose word.

use belay_api::Action;
use belay_engine::{action::Outcome, release::Phase};
use belay_tests::tenant::{Tenant, config_map};
use jiff::SignedDuration;
use serde_json::json;

use super::{
    SOON, lab,
    scene::{NO_ANSWER, Named, PASSES, ask, make_gate},
};

/// Two environments of one repository, each in a namespace of its own.
struct Shop {
    staging: Tenant,
    prod: Tenant,
}

impl Shop {
    /// Staging is judged by a gate; production comes after it.
    async fn open(name: &str, verified_for: &str) -> Self {
        let staging = Tenant::create(lab().await, &format!("{name}-staging"))
            .await
            .unwrap();
        let prod = Tenant::create(lab().await, &format!("{name}-prod"))
            .await
            .unwrap();
        make_gate(&staging, PASSES).await;
        let shop = Self { staging, prod };
        let url = shop.staging.repo.url();
        let judged = json!({
            "verification": {"gates": [{"template": "slo"}]},
            "readableFrom": [shop.prod.namespace],
        });
        shop.staging().create(url, "staging", judged).await;
        let after = json!({
            "release": "staging", "namespace": shop.staging.namespace, "verifiedFor": verified_for,
        });
        let promotion = json!({"promotion": {"after": [after]}});
        shop.prod().create(url, "prod", promotion).await;
        shop
    }

    fn staging(&self) -> Named<'_> {
        Named(&self.staging, "staging")
    }

    fn prod(&self) -> Named<'_> {
        Named(&self.prod, "prod")
    }

    /// One commit for both environments, whose objects differ.
    async fn commit(&self, value: &str) -> String {
        let staging = config_map("config", &format!("{value} in staging"));
        let prod = config_map("config", value);
        let files = [
            ("staging/config.yaml", &*staging),
            ("prod/config.yaml", &*prod),
        ];
        self.staging.repo.commit(&files, value).await.unwrap()
    }

    async fn value_in_prod(&self) -> Option<String> {
        self.prod.value("config", "value").await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn production_gets_what_staging_has_verified_for_long_enough_also_when_git_has_moved_on() {
    // Given two environments of one repository.
    let shop = Shop::open("soak", "2s").await;
    let first = shop.commit("one").await;
    let prod = shop.prod().is(Phase::Verified, &first).await;
    let staging = shop.staging().is(Phase::Verified, &first).await;
    // Then production began when the time was over, and not before.
    let began = prod.target.unwrap().started_at;
    let verified_at = staging.verified.unwrap().at;
    assert!(began >= verified_at + SignedDuration::from_secs(2));
    // When staging takes its time with the next commit, then nothing happens in production, and it says why.
    ask(&shop.staging, NO_ANSWER).await;
    let second = shop.commit("two").await;
    shop.staging().is(Phase::Verifying, &second).await;
    let status = shop
        .prod()
        .wait("waiting for staging", |status| {
            let waiting = status.waiting_for.as_ref();
            waiting.is_some_and(|waiting| {
                waiting.reason == "Promotion" && waiting.message.contains(&second[..7])
            })
        })
        .await;
    let message = status.waiting_for.unwrap().message;
    assert!(message.contains("/staging has verified it"), "{message}");
    assert_eq!(status.phase, Phase::Verified);
    assert_eq!(shop.value_in_prod().await.as_deref(), Some("one"));
    // When staging has verified it and is busy with a third one before production looks again, then production gets the second.
    shop.prod().change(json!({"suspend": true})).await;
    shop.prod().waits_for("Suspended").await;
    ask(&shop.staging, PASSES).await;
    let verified = shop.staging().is(Phase::Verified, &second).await;
    let until = verified.verified.unwrap().at + SignedDuration::from_secs(2);
    belay_lab::wait_for("the second version to be old enough", SOON, || async {
        if jiff::Timestamp::now() > until {
            return Ok(());
        }
        Err("it is not".to_owned())
    })
    .await
    .unwrap();
    ask(&shop.staging, NO_ANSWER).await;
    let third = shop.commit("three").await;
    shop.staging().is(Phase::Verifying, &third).await;
    shop.prod().change(json!({"suspend": false})).await;
    let status = shop.prod().is(Phase::Verified, &second).await;
    let revision = status.verified.unwrap().content.revision;
    assert_eq!(revision, format!("main@sha1:{second}"));
    assert_eq!(shop.value_in_prod().await.as_deref(), Some("two"));
    // When a person says so, then production gets the third without waiting, and that is on record.
    shop.prod().waits_for("Promotion").await;
    shop.prod
        .make::<Action>(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"generateName": "act-"},
            "spec": {"target": {"kind": "Release", "name": "prod"}, "verb": "Promote", "forVersion": third},
        }))
        .await
        .unwrap();
    let status = shop.prod().is(Phase::Verified, &third).await;
    assert_eq!(shop.value_in_prod().await.as_deref(), Some("three"));
    assert_eq!(status.actions[0].outcome, Outcome::Accepted);
    let chosen = status.promotion.unwrap().chosen.unwrap();
    assert!(!chosen.overridden.unwrap().by.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_staging_takes_back_before_production_began_does_not_go_on() {
    let shop = Shop::open("revoke", "0s").await;
    let first = shop.commit("one").await;
    shop.prod().is(Phase::Verified, &first).await;
    // Given a second version that is verified in staging, and has to stay so for an hour.
    let after = json!({
        "release": "staging", "namespace": shop.staging.namespace, "verifiedFor": "1h",
    });
    shop.prod()
        .change(json!({"promotion": {"after": [after]}}))
        .await;
    let second = shop.commit("two").await;
    shop.staging().is(Phase::Verified, &second).await;
    let waits = |sentence: &'static str| {
        let prod = shop.prod();
        async move {
            prod.wait(sentence, |status| {
                let waiting = status.waiting_for.as_ref();
                waiting.is_some_and(|waiting| waiting.message.contains(sentence))
            })
            .await
        }
    };
    waits("goes on at").await;
    // When somebody undoes it there.
    shop.staging
        .make::<Action>(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Action", "metadata": {"generateName": "act-"},
            "spec": {"target": {"kind": "Release", "name": "staging"}, "verb": "Undo"},
        }))
        .await
        .unwrap();
    // Then production hears of it.
    let status = waits("took it back").await;
    assert_eq!(status.phase, Phase::Verified);
    assert_eq!(shop.value_in_prod().await.as_deref(), Some("one"));
}
