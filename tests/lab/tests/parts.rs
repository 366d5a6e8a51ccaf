//! The parts on request: load and Prometheus, Git; and outages of all of them.

#![expect(
    clippy::expect_used,
    reason = "a helper that fails is a test that fails"
)]

mod common;

use std::process::Output;
use std::time::Duration;

use belay_lab::{Lab, Part, SharedLab, wait_for, wait_for_object};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ObjectMeta, PostParams};
use serde_json::{Value, json};
use tokio::process::Command;

use common::{SOON, deployment, ready};

static LAB: SharedLab = SharedLab::new();

async fn lab() -> &'static Lab {
    LAB.get(|| {
        Lab::builder()
            .nodes(1)
            .with(Part::Prometheus)
            .with(Part::Load)
            .with(Part::Git)
    })
    .await
    .expect("the lab starts")
}

async fn query(lab: &Lab, query: &str) -> Result<Option<f64>, String> {
    let url = lab.prometheus_url().map_err(|error| error.to_string())? + "/api/v1/query";
    let request = reqwest::Client::new()
        .post(url)
        .form(&[("query", query)])
        .timeout(Duration::from_secs(5));
    let answer: Value = request
        .send()
        .await
        .map_err(|error| error.to_string())?
        .json()
        .await
        .map_err(|error| error.to_string())?;
    let value = answer
        .pointer("/data/result/0/value/1")
        .and_then(Value::as_str);
    Ok(value.and_then(|value| value.parse().ok()))
}

/// Waits until a query's answer is as wanted.
async fn wait_for_query(lab: &Lab, text: &str, wanted: impl Fn(f64) -> bool) {
    let asked = wait_for(text, SOON, || async {
        match query(lab, text).await? {
            Some(value) if wanted(value) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    asked.await.expect("the wanted answer");
}

#[tokio::test]
async fn prometheus_sees_the_load_of_ready_pods_and_a_version_going_bad() {
    let lab = lab().await;
    let namespace = lab.namespace("load").await.unwrap();
    let deployments = Api::<Deployment>::namespaced(lab.client().unwrap(), &namespace);
    deployments
        .create(
            &PostParams::default(),
            &deployment("web", "shop/web:v1-lat300", 2),
        )
        .await
        .unwrap();
    wait_for_object(&deployments, "web", SOON, ready(2))
        .await
        .unwrap();

    let all = format!("sum(rate(http_requests_total{{namespace=\"{namespace}\"}}[5s]))");
    wait_for_query(lab, &all, |rate| (70.0..130.0).contains(&rate)).await;
    let pods = format!(
        "count(count by (pod) (http_requests_total{{namespace=\"{namespace}\",service=\"web\",version=\"v1-lat300\"}}))"
    );
    wait_for_query(lab, &pods, |count| (count - 2.0).abs() < 0.1).await;
    let median = format!(
        "histogram_quantile(0.5, sum by (le) (rate(http_request_duration_seconds_bucket{{namespace=\"{namespace}\"}}[5s])))"
    );
    wait_for_query(lab, &median, |seconds| (0.25..0.5).contains(&seconds)).await;
    // The same from native histograms, which tell it finely.
    lab.scrape_native_histograms().unwrap();
    let native = format!(
        "histogram_quantile(0.5, sum(rate(http_request_duration_seconds{{namespace=\"{namespace}\"}}[5s])))"
    );
    wait_for_query(lab, &native, |seconds| (0.27..0.33).contains(&seconds)).await;
    // What is recorded is there under its name.
    let rule = json!({"record": "load:rate5s", "expr": all, "labels": {"of": namespace}});
    lab.record("load", &[rule]).await.unwrap();
    let recorded = format!("load:rate5s{{of=\"{namespace}\"}}");
    wait_for_query(lab, &recorded, |rate| (70.0..130.0).contains(&rate)).await;

    let errors = format!(
        "sum(rate(http_requests_total{{namespace=\"{namespace}\",code=\"500\"}}[5s])) / {all}"
    );
    wait_for_query(lab, &errors, |share| share < 0.001).await;
    lab.load()
        .unwrap()
        .set_error_rate(&namespace, "shop/web:v1-lat300", 0.5);
    wait_for_query(lab, &errors, |share| (0.4..0.6).contains(&share)).await;
    lab.load()
        .unwrap()
        .set_requests_per_second(&namespace, "web", 400.0);
    wait_for_query(lab, &all, |rate| rate > 300.0).await;
}

#[tokio::test]
async fn prometheus_scrapes_a_server_of_a_test() {
    let lab = lab().await;
    let port = lab.spare_ports().next().unwrap();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
        .await
        .unwrap();
    let page = axum::Router::new().route(
        "/metrics",
        axum::routing::get(async || "answers_total 42\n"),
    );
    tokio::spawn(async move { axum::serve(listener, page).await });
    lab.scrape("mine", ([127, 0, 0, 1], port).into()).unwrap();
    wait_for_query(lab, "answers_total{target=\"mine\"}", |value| {
        (value - 42.0).abs() < 0.1
    })
    .await;
}

/// Runs `git` without any configuration of this machine.
async fn git(arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0");
    command.args(arguments).output().await.expect("git runs")
}

fn succeeded(output: &Output) {
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
async fn a_repository_is_cloned_and_pushed_to_over_http() {
    let lab = lab().await;
    let repo = lab.create_repo("open").await.unwrap();
    let first = repo
        .commit(&[("deploy/web.yaml", "kind: One\n")], "First")
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let clone = folder.path().join("clone").display().to_string();
    succeeded(&git(&["clone", "--quiet", repo.url(), &clone]).await);
    assert_eq!(
        std::fs::read_to_string(format!("{clone}/deploy/web.yaml")).unwrap(),
        "kind: One\n"
    );

    std::fs::write(format!("{clone}/more.yaml"), "kind: Two\n".repeat(100_000)).unwrap();
    succeeded(&git(&["-C", &clone, "add", "more.yaml"]).await);
    succeeded(
        &git(&[
            "-C",
            &clone,
            "-c",
            "user.name=A",
            "-c",
            "user.email=a@example.com",
            "commit",
            "--quiet",
            "-m",
            "Second",
        ])
        .await,
    );
    succeeded(&git(&["-C", &clone, "push", "--quiet", "origin", "HEAD:main"]).await);
    let second = repo.resolve("main").await.unwrap();
    assert_ne!(first, second);

    // The lab's own working copy follows what others pushed.
    let third = repo
        .commit_on("next", &[("x", "y")], "Third")
        .await
        .unwrap();
    assert_eq!(repo.resolve("next^").await.unwrap(), second);
    repo.tag("v1.0.0", &third).await.unwrap();
    assert_eq!(repo.resolve("v1.0.0").await.unwrap(), third);
    repo.remove(&["deploy"], "Fourth").await.unwrap();
    assert!(repo.resolve("main:deploy").await.is_err());
    repo.reset("main", &first).await.unwrap();
    assert_eq!(repo.resolve("main").await.unwrap(), first);
}

#[tokio::test]
async fn a_private_repository_asks_for_its_login() {
    let lab = lab().await;
    let repo = lab
        .create_private_repo("closed", "ann", "s3cret")
        .await
        .unwrap();
    let sha = repo.commit(&[("a", "b")], "First").await.unwrap();
    assert!(
        !git(&["ls-remote", repo.url()]).await.status.success(),
        "no login was needed"
    );
    let wrong = repo.url().replace("http://", "http://ann:wrong@");
    assert!(
        !git(&["ls-remote", &wrong]).await.status.success(),
        "a wrong login was taken"
    );
    let right = git(&[
        "ls-remote",
        &repo.url().replace("http://", "http://ann:s3cret@"),
        "refs/heads/main",
    ])
    .await;
    succeeded(&right);
    assert!(String::from_utf8_lossy(&right.stdout).starts_with(&sha));
}

/// One lab of its own: outages would disturb the other tests.
#[tokio::test]
async fn parts_come_back_with_their_ports_and_data_after_an_outage() {
    let lab = Lab::builder()
        .nodes(1)
        .with(Part::Prometheus)
        .with(Part::Git)
        .with(Part::Load)
        .start()
        .await
        .unwrap();
    let client = lab.client().unwrap();
    let configs = Api::<ConfigMap>::namespaced(client.clone(), "default");
    let metadata = ObjectMeta {
        name: Some("kept".into()),
        ..ObjectMeta::default()
    };
    configs
        .create(
            &PostParams::default(),
            &ConfigMap {
                metadata,
                ..ConfigMap::default()
            },
        )
        .await
        .unwrap();
    let repo = lab.create_repo("outage").await.unwrap();
    repo.commit(&[("a", "b")], "First").await.unwrap();
    wait_for_query(&lab, "up{job=\"load\"}", |up| up > 0.5).await;

    lab.kill(Part::ApiServer).await.unwrap();
    assert!(
        configs.get("kept").await.is_err(),
        "a dead API server answered"
    );
    lab.kill(Part::Etcd).await.unwrap();
    lab.start(Part::Etcd).await.unwrap();
    lab.start(Part::ApiServer).await.unwrap();
    configs.get("kept").await.unwrap();
    // The others find it again: a new Deployment gets pods, which get load.
    let deployments = Api::<Deployment>::namespaced(client, "default");
    deployments
        .create(&PostParams::default(), &deployment("web", "web:v1", 1))
        .await
        .unwrap();
    wait_for_object(&deployments, "web", SOON, ready(1))
        .await
        .unwrap();
    wait_for_query(&lab, "sum(http_requests_total)", |count| count > 0.0).await;

    lab.stop(Part::Prometheus).await.unwrap();
    assert!(
        query(&lab, "up").await.is_err(),
        "a dead Prometheus answered"
    );
    lab.start(Part::Prometheus).await.unwrap();
    wait_for_query(&lab, "count_over_time(up{job=\"load\"}[1h])", |count| {
        count > 1.0
    })
    .await;

    lab.freeze(Part::Prometheus).unwrap();
    assert!(
        query(&lab, "up").await.is_err(),
        "a frozen Prometheus answered"
    );
    lab.thaw(Part::Prometheus).unwrap();
    wait_for_query(&lab, "up{job=\"load\"}", |up| up > 0.5).await;

    lab.stop(Part::Git).await.unwrap();
    assert!(
        !git(&["ls-remote", repo.url()]).await.status.success(),
        "a dead Git server answered"
    );
    repo.commit(&[("a", "c")], "Pushed while it was away")
        .await
        .unwrap();
    lab.start(Part::Git).await.unwrap();
    succeeded(&git(&["ls-remote", repo.url()]).await);

    lab.stop(Part::Load).await.unwrap();
    wait_for_query(&lab, "up{job=\"load\"}", |up| up < 0.5).await;
    lab.start(Part::Load).await.unwrap();
    wait_for_query(&lab, "up{job=\"load\"}", |up| up > 0.5).await;
    lab.down().await.unwrap();
}
