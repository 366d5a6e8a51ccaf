//! A Prometheus that takes what it is given.

use std::{net::TcpListener, process::Stdio, time::Duration};

use belay_lab::{Leash, Program, program, wait_for};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::{
    Past,
    model::{Sample, minutes},
};
use crate::Error;

/// Building it may come first.
const READY_WITHIN: Duration = Duration::from_mins(2);

/// Length of the past that one request brings, so that all series go on together: the newest samples are kept open, older ones are refused.
const BATCH_SECONDS: u32 = minutes(20);

/// A process of its own with an empty store; ends with this value.
#[derive(Debug)]
pub struct Prometheus {
    /// Base URL.
    pub url: String,
    http: reqwest::Client,
    _process: Child,
    _leash: Option<Leash>,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one.
    pub async fn start() -> Result<Self, Error> {
        // A second installation is the only failure, and leaves a provider in place all the same.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let path = program(Program::Prometheus).await?;
        let folder = TempDir::new().map_err(Error::io("make a folder"))?;
        let config = folder.path().join("prometheus.yaml");
        std::fs::write(
            &config,
            "otlp: {translation_strategy: UnderscoreEscapingWithSuffixes}\n",
        )
        .map_err(Error::io("write the configuration of Prometheus"))?;
        // Somebody else may take the port in between: then Prometheus does not become ready, and says why.
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .map_err(Error::io("find a free port"))?;
        let process = Command::new(path)
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={port}"))
            .args([
                "--web.enable-otlp-receiver",
                "--storage.tsdb.retention.time=10y",
                "--log.level=warn",
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(Error::io("start Prometheus"))?;
        let leash = process.id().map(Leash::on).transpose()?;
        let server = Self {
            url: format!("http://{port}"),
            http: reqwest::Client::new(),
            _process: process,
            _leash: leash,
            _folder: folder,
        };
        wait_for("Prometheus", READY_WITHIN, || async {
            let url = format!("{}/-/ready", server.url);
            let answer = server.http.get(url).send().await;
            let answer = answer.map_err(|error| error.to_string())?;
            let status = answer.status();
            status.is_success().then_some(()).ok_or(status.to_string())
        })
        .await?;
        Ok(server)
    }

    /// Puts pasts in that begin at `epoch`, in seconds since 1970. Several go in together, for time only goes forward.
    pub async fn bring(&self, pasts: &[Past], epoch: u64) -> Result<(), Error> {
        let series: Vec<(&Past, &str, Vec<Sample>)> = pasts
            .iter()
            .flat_map(|past| {
                let pods = past.pods.iter().enumerate();
                pods.map(move |(place, pod)| (past, pod.name.as_str(), past.samples(place)))
            })
            .collect();
        let end = pasts.iter().map(Past::seconds).max().unwrap_or(0) + minutes(1);
        let mut start = 0;
        while start < end {
            let now = start..start + BATCH_SECONDS;
            let (mut counters, mut histograms) = (Vec::new(), Vec::new());
            for (past, pod, samples) in &series {
                for sample in samples.iter().filter(|sample| now.contains(&sample.second)) {
                    counters.extend(both(past, pod, *sample, epoch));
                    histograms.push(native(past, pod, *sample, epoch));
                }
            }
            if !counters.is_empty() {
                self.send(counters, histograms).await?;
            }
            start += BATCH_SECONDS;
        }
        Ok(())
    }

    async fn send(&self, counters: Vec<Value>, histograms: Vec<Value>) -> Result<(), Error> {
        let body = json!({"resourceMetrics": [{"scopeMetrics": [{"metrics": [
            {
                "name": "http_requests",
                "sum": {"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": counters},
            },
            {
                "name": "http_request_seconds",
                "exponentialHistogram": {"aggregationTemporality": 2, "dataPoints": histograms},
            },
        ]}]}]});
        let answer = self
            .http
            .post(format!("{}/api/v1/otlp/v1/metrics", self.url))
            .json(&body)
            .send()
            .await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let said = answer.text().await?;
        Err(Error::Broken(format!(
            "Prometheus did not take the past ({status}): {said}"
        )))
    }
}

/// The points of both codes; the flag says that the series ends.
fn both(past: &Past, pod: &str, sample: Sample, epoch: u64) -> [Value; 2] {
    let at = (epoch + u64::from(sample.second)) * 1_000_000_000;
    let (good, bad) = sample.counters.unwrap_or_default();
    [("200", good), ("500", bad)].map(|(code, value)| {
        json!({
            "timeUnixNano": at.to_string(),
            "asDouble": value,
            "flags": u8::from(sample.counters.is_none()),
            "attributes": [
                text("pod", pod), text("code", code), text("service", &past.service), text("namespace", "shop"),
            ],
        })
    })
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

/// A native histogram of the same requests: those that succeeded took up to a second, those that failed up to eight.
fn native(past: &Past, pod: &str, sample: Sample, epoch: u64) -> Value {
    let at = (epoch + u64::from(sample.second)) * 1_000_000_000;
    let (good, bad) = sample.counters.unwrap_or_default();
    let whole = |number: f64| format!("{number:.0}");
    json!({
        "timeUnixNano": at.to_string(),
        "flags": u8::from(sample.counters.is_none()),
        "count": whole(good + bad),
        "sum": good + 8.0 * bad,
        "scale": 0,
        "zeroCount": "0",
        // Bucket 0 is above one and up to two.
        "positive": {"offset": -1, "bucketCounts": [whole(good), "0", "0", whole(bad)]},
        "attributes": [text("pod", pod), text("service", &past.service), text("namespace", "shop")],
    })
}
