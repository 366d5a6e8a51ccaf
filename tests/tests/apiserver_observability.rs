//! Alerts, dashboard and the page on metrics, against a real controller and a real Prometheus that scrapes it.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a helper that fails is a test that fails"
)]

use std::{collections::BTreeSet, fs, net::SocketAddr, time::Duration};

use belay_engine::rollout::status::Phase;
use belay_lab::{Lab, Part, SharedLab, wait_for};
use belay_tests::{
    installed::{Controller, Installed, controller_program, workspace_root},
    workload::Workload,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

const SOON: Duration = Duration::from_mins(1);

static LAB: SharedLab = SharedLab::new();
static BELAY: OnceCell<Controller> = OnceCell::const_new();

/// A lab whose Prometheus scrapes a controller that has finished one rollout.
async fn stage() -> (&'static Lab, &'static Controller) {
    let lab = LAB
        .get(|| Lab::builder().nodes(2).with(Part::Prometheus))
        .await
        .expect("the lab starts");
    let controller = BELAY
        .get_or_try_init(|| async {
            let installed = Installed::chart(lab, &[]).await?;
            let program = controller_program(false).await?;
            let controller = installed.start(&program, "observed").await?;
            controller.acting().await?;
            let address: SocketAddr = controller
                .url()
                .trim_start_matches("http://")
                .parse()
                .expect("an address");
            lab.scrape("belay", address)?;
            let namespace = lab.namespace("shop").await?;
            let steps = json!({"strategy": {"canary": {"steps": [{"replicas": 1}]}}});
            let web = Workload::create(&lab.client()?, &namespace, "web", 2, "shop/web:v1", steps)
                .await?;
            web.settled(Phase::Healthy, "v1", SOON).await?;
            web.set_image("shop/web:v2").await?;
            web.settled(Phase::Healthy, "v2", SOON).await?;
            Ok::<_, belay_tests::Error>(controller)
        })
        .await
        .expect("Belay runs");
    (lab, controller)
}

/// The alerts' expressions, by name.
fn alerts() -> Vec<(String, String)> {
    let text =
        fs::read_to_string(workspace_root().join("deploy/alerts/belay.yaml")).expect("alerts");
    let rules: Value = serde_saphyr::from_str(&text).expect("YAML");
    let rules = rules["groups"][0]["rules"]
        .as_array()
        .expect("rules")
        .clone();
    rules
        .iter()
        .map(|rule| (text_of(&rule["alert"]), text_of(&rule["expr"])))
        .collect()
}

/// The dashboard's expressions, by panel, with Grafana's variables filled in.
fn panels() -> Vec<(String, String)> {
    let text = fs::read_to_string(workspace_root().join("deploy/dashboards/belay.json"))
        .expect("a dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").clone();
    panels
        .iter()
        .flat_map(|panel| {
            let title = text_of(&panel["title"]);
            let targets = panel["targets"].as_array().expect("targets").clone();
            targets.into_iter().map(move |target| {
                let expression = text_of(&target["expr"])
                    .replace("$namespace", ".*")
                    .replace("$__rate_interval", "1m");
                (title.clone(), expression)
            })
        })
        .collect()
}

fn text_of(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

/// Names of Belay's metrics in a text, without the endings that belong to their type.
fn metrics_in(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("belay_"))
        .map(|word| {
            ["_total", "_bucket", "_sum", "_count", "_info", "_created"]
                .iter()
                .find_map(|ending| word.strip_suffix(ending))
                .unwrap_or(word)
                .to_owned()
        })
        .collect()
}

fn documented() -> BTreeSet<String> {
    let page =
        fs::read_to_string(workspace_root().join("docs/reference/metrics.md")).expect("a page");
    metrics_in(&page)
}

async fn query(lab: &Lab, expression: &str) -> Value {
    let url = format!("{}/api/v1/query", lab.prometheus_url().expect("Prometheus"));
    let answer = reqwest::Client::new()
        .post(url)
        .form(&[("query", expression)])
        .send()
        .await
        .expect("Prometheus answers");
    answer.json().await.expect("JSON")
}

#[tokio::test]
async fn every_metric_that_a_controller_serves_is_documented() {
    let (_, controller) = stage().await;
    let served = controller.metrics().await.unwrap();
    let names: BTreeSet<String> = served
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .map(|name| metrics_in(name).into_iter().next().unwrap_or_default())
        .collect();
    assert!(names.len() > 8, "{names:?}");
    let missing: Vec<_> = names.difference(&documented()).cloned().collect();
    assert!(
        missing.is_empty(),
        "docs/reference/metrics.md does not know {missing:?}"
    );
}

#[tokio::test]
async fn prometheus_understands_every_alert_and_they_are_silent_when_all_is_well() {
    let (lab, _) = stage().await;
    wait_for("the controller's metrics in Prometheus", SOON, || async {
        let answer = query(lab, "belay_lease_held == 1").await;
        let found = answer["data"]["result"]
            .as_array()
            .is_some_and(|r| !r.is_empty());
        found.then_some(()).ok_or_else(|| answer.to_string())
    })
    .await
    .unwrap();
    for (name, expression) in alerts() {
        let answer = query(lab, &expression).await;
        assert_eq!(answer["status"], "success", "{name}: {answer}");
        let unknown: Vec<_> = metrics_in(&expression)
            .difference(&documented())
            .cloned()
            .collect();
        assert!(unknown.is_empty(), "{name} uses {unknown:?}");
        // The last scrape may still tell of the canary.
        wait_for(&format!("{name} to be silent"), SOON, || async {
            let answer = query(lab, &expression).await;
            (answer["data"]["result"] == json!([]))
                .then_some(())
                .ok_or_else(|| answer.to_string())
        })
        .await
        .unwrap();
    }
}

#[tokio::test]
async fn prometheus_understands_every_panel_of_the_dashboard_and_the_states_are_shown() {
    let (lab, _) = stage().await;
    for (title, expression) in panels() {
        let answer = query(lab, &expression).await;
        assert_eq!(answer["status"], "success", "{title}: {answer}");
        let unknown: Vec<_> = metrics_in(&expression)
            .difference(&documented())
            .cloned()
            .collect();
        assert!(unknown.is_empty(), "{title} uses {unknown:?}");
    }
    for title in ["Controllers that act", "Rollouts by phase", "Versions"] {
        let (_, expression) = panels()
            .into_iter()
            .find(|(t, _)| t == title)
            .expect("the panel");
        wait_for(title, SOON, || async {
            let answer = query(lab, &expression).await;
            let shown = answer["data"]["result"]
                .as_array()
                .is_some_and(|r| !r.is_empty());
            shown.then_some(()).ok_or_else(|| answer.to_string())
        })
        .await
        .unwrap();
    }
}

#[test]
fn every_alert_names_a_runbook_that_exists() {
    let text = fs::read_to_string(workspace_root().join("deploy/alerts/belay.yaml")).unwrap();
    let runbooks: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("runbook: "))
        .collect();
    assert_eq!(runbooks.len(), alerts().len(), "an alert without a runbook");
    for runbook in runbooks {
        assert!(
            workspace_root().join(runbook).is_file(),
            "{runbook} is missing"
        );
    }
}
