//! Values of Secrets go where a template sends them, and nowhere else.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use belay_engine::{gate::Verdict, rollout::status::Phase};
use belay_tests::shown::everything_shown;
use serde_json::json;

use super::{
    http::StandIn,
    team::{ACCOUNT, Team},
    turn,
};

/// Part of every secret value of these tests.
const CANARY: &str = "canary-7f3a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_secret_is_found_in_any_status_event_log_or_metric() {
    // Given a Job whose pod prints its token before it fails,
    let turn = turn().await;
    let controller = turn.acting("probes").await.unwrap();
    let team = Team::new(turn.lab, "canary").await;
    let value = |name: &str| format!("{CANARY}-{name}");
    let names = ["env", "volume", "header", "bearer", "argument"];
    let data: serde_json::Map<_, _> = names
        .iter()
        .map(|name| ((*name).to_owned(), json!(value(name))))
        .collect();
    team.secret("tokens", data.into()).await;
    turn.lab
        .pods_say(&[
            &format!("token from the environment: {}", value("env")),
            &format!("token from a file: {}", value("volume")),
            "FAIL: it was not accepted",
        ])
        .unwrap();
    let key = |key: &str| json!({"name": "tokens", "key": key});
    let pod = json!({
        "containers": [{"name": "test", "image": "test:fail",
            "env": [{"name": "TOKEN", "valueFrom": {"secretKeyRef": key("env")}}]}],
        "volumes": [{"name": "tokens", "secret": {"secretName": "tokens"}}],
    });
    let job = json!({"serviceAccountName": ACCOUNT, "spec": {"template": {"spec": pod}}});
    team.template(
        "smoke",
        json!([]),
        json!({"interval": "1s", "mode": "DryRun", "job": job}),
    )
    .await;
    // and a server that repeats all that it is sent.
    let good = Arc::new(AtomicBool::new(true));
    let is_good = Arc::clone(&good);
    let server = StandIn::start(move |seen| {
        if is_good.load(Ordering::SeqCst) {
            return (200, json!({"sent": "something else"}));
        }
        let sent = format!(
            "{} {} {}",
            seen.headers["authorization"], seen.headers["x-token"], seen.body
        );
        (200, json!({"sent": sent}))
    })
    .await;
    let http = json!({
        "url": "{{api}}/query", "method": "POST", "body": "{\"token\": \"{{token}}\"}",
        "headers": [{"name": "X-Token", "secretKey": key("header")}],
        "auth": {"bearer": key("bearer")},
        "expect": {"json": [{"path": "$.sent", "equals": "something else"}]},
    });
    let args = json!([{"name": "api"}, {"name": "token"}]);
    team.template("echo", args, json!({"interval": "1s", "http": http}))
        .await;
    let gates = json!([
        {"template": "smoke"},
        {"template": "echo", "args": {"api": server.address}, "argsFrom": [{"name": "token", "secretKey": key("argument")}]},
    ]);
    let web = team
        .workload(json!([{"replicas": 1, "hold": "1m"}]), gates)
        .await;
    // When the Job has failed, which is only shown,
    web.set_image("web:v2").await.unwrap();
    let message = web.gate_says(Verdict::Fail).await.unwrap();
    assert!(
        message.contains("FAIL: it was not accepted") && message.contains("[redacted]"),
        "{message}"
    );
    // and then the request, for which the version is taken back.
    good.store(false, Ordering::SeqCst);
    let status = web.is_in(Phase::Rejected).await.unwrap();
    // Then every secret was sent,
    let seen = server.seen();
    let sent = format!("{seen:?}");
    for name in ["header", "bearer", "argument"] {
        assert!(sent.contains(&value(name)), "{name} was not sent");
    }
    // what happened is told,
    let message = status.rollback.unwrap().message;
    assert!(message.contains("[redacted]"), "{message}");
    // and no secret is to be found anywhere.
    let all = everything_shown(&team.scene, &controller).await.unwrap();
    assert!(all.contains("started a Job"), "the log is empty");
    for line in all.lines() {
        assert!(!line.contains(CANARY), "{line}");
    }
    controller.terminate().await.unwrap();
}
