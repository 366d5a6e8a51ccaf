//! What a lab's Prometheus scrapes, and the rules by which it records.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::Lab;
use super::start::client;
use crate::load::NATIVE_PATH;
use crate::{LabError, Part, wait_for};

/// How long new rules may take to be taken up.
const LOADED_WITHIN: Duration = Duration::from_mins(1);

impl Lab {
    /// The address of the real Prometheus.
    pub fn prometheus_url(&self) -> Result<String, LabError> {
        self.url_of(Part::Prometheus)
    }

    /// Lets Prometheus scrape one more server every second, under the job `more` and with a label `target`.
    pub fn scrape(&self, name: &str, address: SocketAddr) -> Result<(), LabError> {
        self.scrape_at(name, address, "/metrics")
    }

    /// Lets Prometheus scrape the load's latencies as native histograms, too: `http_request_duration_seconds`.
    pub fn scrape_native_histograms(&self) -> Result<(), LabError> {
        self.require(Part::Load)?;
        self.scrape_at("native", self.ports.address(Part::Load), NATIVE_PATH)
    }

    fn scrape_at(&self, name: &str, address: SocketAddr, path: &str) -> Result<(), LabError> {
        self.require(Part::Prometheus)?;
        let labels = json!({"target": name, "__metrics_path__": path});
        let targets = json!([{"targets": [address.to_string()], "labels": labels}]).to_string();
        let path = self.layout.scrape_targets().join(format!("{name}.json"));
        std::fs::write(&path, targets).map_err(LabError::io(format!("write {}", path.display())))
    }

    /// Has Prometheus record by these rules, each as it would stand in a rule file. Rules that were given under this name before
    /// are replaced. Returns once each of them was carried out.
    pub async fn record(&self, name: &str, rules: &[Value]) -> Result<(), LabError> {
        let url = format!("{}/api/v1/rules", self.url_of(Part::Prometheus)?);
        let path = self.layout.rules().join(format!("{name}.json"));
        // Another name each time tells new rules from old ones.
        let group = format!("{name}-{}", rand::random::<u64>());
        let groups = json!({"groups": [{"name": group, "rules": rules}]}).to_string();
        std::fs::write(&path, groups).map_err(LabError::io(format!("write {}", path.display())))?;
        // Has it read its files again.
        self.signal(Part::Prometheus, Signal::HUP);
        let client = client()?;
        wait_for("rules to be carried out", LOADED_WITHIN, || async {
            let answer = client.get(&url).send().await;
            let answer = answer.map_err(|error| error.to_string())?;
            let answer: Value = answer.json().await.map_err(|error| error.to_string())?;
            are_carried_out(&answer, &group)
        })
        .await
    }
}

/// Whether all rules of `group` were evaluated, in an answer about all rules.
fn are_carried_out(answer: &Value, group: &str) -> Result<(), String> {
    let groups = answer.pointer("/data/groups").and_then(Value::as_array);
    let mut groups = groups.into_iter().flatten();
    let group = groups.find(|one| one.get("name").and_then(Value::as_str) == Some(group));
    let rules = group.and_then(|group| group.get("rules")?.as_array());
    let rules = rules.ok_or("they are not loaded")?;
    let health = |rule: &Value| rule.get("health").and_then(Value::as_str) == Some("ok");
    match rules.iter().find(|rule| !health(rule)) {
        None => Ok(()),
        Some(rule) => Err(rule.to_string()),
    }
}
