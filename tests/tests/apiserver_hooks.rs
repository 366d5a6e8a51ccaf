//! Webhooks of Git servers: who may send them, and what they do, on two replicas of the real controller.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::{fmt::Write as _, time::Duration};

use belay_engine::release::Phase;
use belay_lab::{Lab, Part};
use belay_tests::{
    installed::{Controller, Installed, controller_program, free_port},
    tenant::{Tenant, config_map},
};
use k8s_openapi::api::core::v1::Secret;
use ring::hmac;
use serde_json::json;

/// Longest wait for anything that should happen soon; only a test that fails waits so long.
const SOON: Duration = Duration::from_mins(2);

const TOKEN: &str = "sealed-with-wax";
const BODY: &str = r#"{"ref": "refs/heads/main"}"#;

/// A replica that takes webhooks.
struct Replica {
    controller: Controller,
    hooks: String,
}

async fn replica(installed: &Installed, identity: &str) -> Replica {
    let port = free_port().unwrap();
    let installed = installed
        .clone()
        .with_argument("--hooks-listen")
        .with_argument(&format!("127.0.0.1:{port}"));
    let program = controller_program(false).await.unwrap();
    Replica {
        controller: installed.start(&program, identity).await.unwrap(),
        hooks: format!("http://127.0.0.1:{port}/hooks"),
    }
}

impl Replica {
    /// The status and the text that a webhook is answered with.
    async fn hook(&self, path: &str, header: (&str, &str)) -> (u16, String) {
        let answer = reqwest::Client::new()
            .post(format!("{}/{path}", self.hooks))
            .header(header.0, header.1)
            .body(BODY)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }
}

fn signature(token: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
    let digits = hmac::sign(&key, BODY.as_bytes());
    let mut text = String::new();
    for byte in digits.as_ref() {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A Release that would look at its repository in a day, and has seen its first commit.
async fn tenant(lab: &Lab) -> (Tenant, String) {
    let tenant = Tenant::create(lab, "hooks").await.unwrap();
    let first = tenant
        .repo
        .commit(&[("config.yaml", &config_map("config", "one"))], "One")
        .await
        .unwrap();
    let token = json!({"metadata": {"name": "hook"}, "stringData": {"token": TOKEN}});
    tenant.make::<Secret>(token).await.unwrap();
    let webhook = json!({"sender": "GitHub", "secretRef": {"name": "hook"}});
    let spec = json!({"source": {"git": {"interval": "24h", "webhook": webhook}}});
    tenant.release(&spec).await.unwrap();
    (tenant, first)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_webhook_has_a_push_looked_at_whichever_replica_gets_it() {
    // Given two replicas, and a Release that looks at its repository once a day.
    let lab = Lab::builder().with(Part::Git).start().await.unwrap();
    let installed = Installed::chart(&lab, &[]).await.unwrap();
    let acting = replica(&installed, "acting").await;
    acting.controller.acting().await.unwrap();
    let standby = replica(&installed, "standby").await;
    let (tenant, first) = tenant(&lab).await;
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    let path = format!("{}/shop", tenant.namespace);
    for (replica, value) in [(&acting, "two"), (&standby, "three")] {
        // When something is pushed, and the server tells one of them.
        let commit = tenant
            .repo
            .commit(&[("config.yaml", &config_map("config", value))], value)
            .await
            .unwrap();
        let signed = format!("sha256={}", signature(TOKEN));
        let (status, _) = replica.hook(&path, ("x-hub-signature-256", &signed)).await;
        assert_eq!(status, 202);
        // Then it is brought in at once.
        tenant.phase(Phase::Verified, &commit, SOON).await.unwrap();
        tenant.value_is("config", Some(value), SOON).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_learns_nothing_and_changes_nothing() {
    let lab = Lab::builder().with(Part::Git).start().await.unwrap();
    let installed = Installed::chart(&lab, &[]).await.unwrap();
    let replica = replica(&installed, "guarded").await;
    replica.controller.acting().await.unwrap();
    let (tenant, first) = tenant(&lab).await;
    tenant.phase(Phase::Verified, &first, SOON).await.unwrap();
    // Given a push that nobody entitled tells of.
    let path = format!("{}/shop", tenant.namespace);
    let nowhere = format!("{}/nothing", tenant.namespace);
    let forged = format!("sha256={}", signature("guessed"));
    let signed = format!("sha256={}", signature(TOKEN));
    let mut answers = Vec::new();
    for (path, header) in [
        (&*path, ("x-hub-signature-256", &*forged)),
        (&path, ("x-hub-signature", &signed)),
        (&path, ("x-gitlab-token", TOKEN)),
        (&path, ("x-other", "")),
        (&nowhere, ("x-hub-signature-256", &signed)),
        ("UPPER/shop", ("x-hub-signature-256", &signed)),
    ] {
        answers.push(replica.hook(path, header).await);
    }
    // Then all are answered alike, and the Release was asked for nothing.
    let first_answer = answers[0].clone();
    assert_eq!(first_answer.0, 401);
    assert!(
        answers.iter().all(|answer| *answer == first_answer),
        "{answers:?}"
    );
    let release = tenant
        .api::<belay_api::Release>()
        .get("shop")
        .await
        .unwrap();
    let asked = release.metadata.annotations.unwrap_or_default();
    assert!(
        !asked.contains_key(belay_api::names::RECONCILE_ANNOTATION),
        "{asked:?}"
    );
    // The log says which was which, and neither the secret nor a signature.
    let log = std::fs::read_to_string(replica.controller.log()).unwrap();
    for said in [
        "it is not signed with the secret",
        "it has no signature of the kind that its sender makes",
        "there is no such Release",
    ] {
        assert!(log.contains(said), "{said}\n{log}");
    }
    for hidden in [TOKEN, &signature(TOKEN)] {
        assert!(!log.contains(hidden), "{hidden} is in the log");
    }
    let metrics = replica.controller.metrics().await.unwrap();
    assert!(
        metrics.contains(r#"belay_webhooks_total{outcome="refused"} 6"#),
        "{metrics}"
    );
}
