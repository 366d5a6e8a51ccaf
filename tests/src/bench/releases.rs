//! The benchmark of Releases: many of them, of four objects each, from one repository. First all are synced by a fresh controller, then
//! nothing happens for a while.
//!
//! Invariant: every number of Releases begins in a namespace of its own with a controller that knows nothing, so that numbers can be
//! compared. Deployments have no replicas: pods would measure the scheduler. Left out: changes, which `rollouts` measures.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use belay_api::Release;
use belay_engine::release::Phase;
use belay_lab::{GitRepo, Lab, Part, Program, wait_for};
use futures::{StreamExt as _, TryStreamExt as _};
use kube::{
    Api,
    api::{DeleteParams, ListParams, PostParams},
};
use serde_json::{Value, json};

use super::{CONTROLLER_USER, table, write};
use crate::{
    Error,
    installed::{Controller, Installed, controller_program},
    measure::{audit::Mark, process},
    tenant::{ACCOUNT, Tenant},
};

/// Objects of a Release.
const OBJECTS: usize = 4;
const CREATE_AT_ONCE: usize = 32;
const WITHIN: Duration = Duration::from_mins(20);
/// How long a quiet controller is observed, and how often it looks at the repository meanwhile.
const OBSERVED: Duration = Duration::from_mins(2);
const INTERVAL: &str = "1m";
const MEBIBYTE: f64 = 1024.0 * 1024.0;

struct Bench {
    lab: Lab,
    installed: Installed,
    program: PathBuf,
}

/// Runs it for the numbers in `BELAY_BENCH_RELEASES`, prints a table and writes `target/bench/releases.json`.
pub async fn run() -> Result<(), Error> {
    let wanted =
        std::env::var("BELAY_BENCH_RELEASES").unwrap_or_else(|_| "100,500,1000".to_owned());
    let optimised = std::env::var_os("BELAY_BENCH_UNOPTIMISED").is_none();
    let program = controller_program(optimised).await?;
    let lab = Lab::builder().with(Part::Git).audit().start().await?;
    let kustomize = lab.program(Program::Kustomize).await?;
    let installed = Installed::chart(&lab, &[])
        .await?
        .with_argument("--kustomize-program")
        .with_argument(&kustomize.to_string_lossy());
    let bench = Bench {
        lab,
        installed,
        program,
    };
    let mut rows = Vec::new();
    for number in wanted
        .split(',')
        .filter_map(|text| text.trim().parse().ok())
    {
        rows.push(bench.measure(number).await?);
    }
    let rows = Value::Array(rows);
    table::print("releases", &rows);
    write("releases", &json!({ "releases": rows }))?;
    bench.lab.down().await?;
    Ok(())
}

impl Bench {
    async fn measure(&self, number: usize) -> Result<Value, Error> {
        let tenant = Tenant::create(&self.lab, "bench").await?;
        tenant
            .allow_cluster(
                &json!([{"apiGroups": [""], "resources": ["serviceaccounts"],
                "verbs": ["get", "list", "watch", "create", "update", "patch", "delete"]}]),
            )
            .await?;
        fill(&tenant.repo, number).await?;
        let log = self.lab.audit_log_path()?;
        let mark = || Mark::now(&log, CONTROLLER_USER).map_err(Error::io("read the audit log"));
        let identity = format!("releases-{number}");
        let controller = self.installed.start(&self.program, &identity).await?;
        controller.acting().await?;
        let pid = controller.pid().unwrap_or_default();
        let (before, began, git) = (mark()?, Instant::now(), self.lab.git_requests());
        create_all(&tenant, number).await?;
        all_verified(&tenant, number).await?;
        let synced_after = began.elapsed();
        let first = before.since().map_err(Error::io("read the audit log"))?;
        let first_git = self.lab.git_requests() - git;
        let peak = process::peak_bytes(pid).map_err(Error::io("read the memory"))?;
        let busy = process::cpu(pid).map_err(Error::io("read the processor time"))?;
        let rest = self.rest(&controller).await?;
        let objects = number * OBJECTS;
        #[expect(
            clippy::cast_precision_loss,
            reason = "counts and bytes of one process fit"
        )]
        let row = json!({
            "releases": number,
            "first sync s": synced_after.as_secs_f64(),
            "peak MiB": peak as f64 / MEBIBYTE,
            "requests per object": first.total() as f64 / objects as f64,
            "git requests": first_git,
            "cpu s": busy.as_secs_f64(),
            "at rest, per hour: requests per object": rest.requests as f64 * rest.per_hour / objects as f64,
            "git requests ": rest.git as f64 * rest.per_hour,
            "cpu s ": rest.cpu.as_secs_f64() * rest.per_hour,
            "MiB": rest.resident as f64 / MEBIBYTE,
        });
        delete_all(&tenant).await?;
        controller.terminate().await?;
        Ok(row)
    }

    async fn rest(&self, controller: &Controller) -> Result<Rest, Error> {
        let pid = controller.pid().unwrap_or_default();
        let log = self.lab.audit_log_path()?;
        let mark = Mark::now(&log, CONTROLLER_USER).map_err(Error::io("read the audit log"))?;
        let cpu = process::cpu(pid).map_err(Error::io("read the processor time"))?;
        let git = self.lab.git_requests();
        // A measurement over time: there is no condition to wait for.
        tokio::time::sleep(OBSERVED).await;
        let requests = mark.since().map_err(Error::io("read the audit log"))?;
        Ok(Rest {
            requests: requests.total(),
            git: self.lab.git_requests() - git,
            cpu: process::cpu(pid)
                .map_err(Error::io("read the processor time"))?
                .saturating_sub(cpu),
            resident: process::resident_bytes(pid).map_err(Error::io("read the memory"))?,
            per_hour: 3600.0 / OBSERVED.as_secs_f64(),
        })
    }
}

/// What a quiet controller took while it was observed.
struct Rest {
    requests: u64,
    git: u64,
    cpu: Duration,
    resident: u64,
    per_hour: f64,
}

/// A folder for each Release, in one commit.
async fn fill(repo: &GitRepo, number: usize) -> Result<(), Error> {
    let files: Vec<(String, String)> = (0..number)
        .map(|app| (format!("apps/{app}/app.yaml"), app_of(app)))
        .collect();
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_str()))
        .collect();
    repo.commit(&files, "All of them").await?;
    Ok(())
}

fn app_of(app: usize) -> String {
    let name = format!("app-{app}");
    let labels = json!({ "app": name });
    let objects = [
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"greeting": "hello"}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": {
            "replicas": 0, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"serviceAccountName": name,
                "containers": [{"name": "main", "image": "app:1", "envFrom": [{"configMapRef": {"name": name}}]}]}}}}),
    ];
    objects.map(|object| object.to_string()).join("\n---\n")
}

async fn create_all(tenant: &Tenant, number: usize) -> Result<(), Error> {
    let releases = tenant.api::<Release>();
    futures::stream::iter(0..number)
        .map(|app| create(tenant, &releases, app))
        .buffer_unordered(CREATE_AT_ONCE)
        .try_collect::<Vec<()>>()
        .await?;
    Ok(())
}

async fn create(tenant: &Tenant, releases: &Api<Release>, app: usize) -> Result<(), Error> {
    let release: Release = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "Release", "metadata": {"name": format!("app-{app}")},
        "spec": {
            "source": {"git": {"url": tenant.repo.url(), "ref": {"branch": "main"}, "path": format!("apps/{app}"), "interval": INTERVAL}},
            "render": {"plain": {}},
            "serviceAccountName": ACCOUNT,
        },
    }))?;
    releases.create(&PostParams::default(), &release).await?;
    Ok(())
}

async fn all_verified(tenant: &Tenant, number: usize) -> Result<(), Error> {
    let releases = tenant.api::<Release>();
    wait_for("all Releases to be verified", WITHIN, || async {
        // From the API server's cache: asking must not be what is measured.
        let cached = ListParams::default().match_any();
        let list = releases
            .list(&cached)
            .await
            .map_err(|error| error.to_string())?;
        let is_verified = |release: &&Release| {
            release
                .status
                .as_ref()
                .is_some_and(|status| status.phase == Phase::Verified)
        };
        let verified = list.iter().filter(is_verified).count();
        if verified == number {
            Ok(())
        } else {
            Err(format!("{verified} of {number}"))
        }
    })
    .await?;
    Ok(())
}

/// Leaves nothing for the next number to watch.
async fn delete_all(tenant: &Tenant) -> Result<(), Error> {
    let releases = tenant.api::<Release>();
    releases
        .delete_collection(&DeleteParams::default(), &ListParams::default())
        .await?;
    wait_for("all Releases to be gone", WITHIN, || async {
        let list = releases
            .list(&ListParams::default())
            .await
            .map_err(|error| error.to_string())?;
        match list.items.len() {
            0 => Ok(()),
            left => Err(format!("{left} are there")),
        }
    })
    .await?;
    Ok(())
}
