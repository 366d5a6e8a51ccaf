//! Belay as a user has it: installed from its own chart, run as the program that is shipped.
//!
//! Invariant: the controller is a process of this host with the token of the chart's service account, never an administrator.
//! The chart's own Deployment is installed with no replicas, for the lab has no containers that could run it.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use belay_lab::{Lab, Leash, Program, wait_for};
use tokio::process::{Child, Command};

use crate::Error;

/// Namespace of the installation.
pub const NAMESPACE: &str = "belay-system";
/// Name of the Helm release, and so of the service account.
pub const NAME: &str = "belay";

/// Longer than the controller takes to hand over.
const ENDED_WITHIN: Duration = Duration::from_mins(1);
const READY_WITHIN: Duration = Duration::from_mins(2);

/// An installed chart.
#[derive(Clone, Debug)]
pub struct Installed {
    kubeconfig: PathBuf,
    prometheus_url: Option<String>,
    log_dir: PathBuf,
    arguments: Vec<String>,
}

impl Installed {
    /// Installs the chart with its defaults, and these `--set` values.
    pub async fn chart(lab: &Lab, values: &[&str]) -> Result<Self, Error> {
        let mut command = lab.command(Program::Helm).await?;
        command
            .args([
                "install",
                NAME,
                "--namespace",
                NAMESPACE,
                "--create-namespace",
                "--set",
                "replicas=0",
            ])
            .args(values.iter().flat_map(|value| ["--set", value]))
            .arg("--")
            .arg(workspace_root().join("charts/belay"));
        run_program("helm install", command).await?;
        let token = lab.service_account_token(NAMESPACE, NAME).await?;
        Ok(Self {
            kubeconfig: lab.kubeconfig_for_token(NAME, &token)?,
            prometheus_url: lab.prometheus_url().ok(),
            log_dir: lab.dir().to_owned(),
            arguments: Vec::new(),
        })
    }

    /// Kubeconfig file with the token of the chart's service account.
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// The Prometheus that gates ask by default.
    pub fn prometheus_url(&self) -> Option<&str> {
        self.prometheus_url.as_deref()
    }

    /// The same installation with another Prometheus for its gates, for example a relay in front of the lab's.
    #[must_use]
    pub fn with_prometheus(mut self, url: &str) -> Self {
        self.prometheus_url = Some(url.to_owned());
        self
    }

    /// The same installation, whose controllers get one more argument.
    #[must_use]
    pub fn with_argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Starts a controller and waits until it is ready. `identity` tells several apart.
    pub async fn start(&self, program: &Path, identity: &str) -> Result<Controller, Error> {
        let port = free_port()?;
        let listen = format!("127.0.0.1:{port}");
        let log = self.log_dir.join(format!("{identity}.log"));
        let log_file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::io(format!("open {}", log.display())))?;
        let mut command = Command::new(program);
        command
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args([
                "--listen",
                &listen,
                "--identity",
                identity,
                "--lease-namespace",
                NAMESPACE,
            ])
            .arg("--cache-directory")
            .arg(self.log_dir.join(format!("{identity}-cache")))
            .args(
                self.prometheus_url
                    .iter()
                    .flat_map(|url| ["--prometheus-url", url]),
            )
            .args(&self.arguments)
            .env(
                "BELAY_LOG",
                std::env::var("BELAY_LOG").unwrap_or_else(|_| "info".to_owned()),
            )
            .stdin(Stdio::null())
            .stdout(log_file.try_clone().map_err(Error::io("share the log"))?)
            .stderr(log_file)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(Error::io(format!("start {}", program.display())))?;
        let mut controller = Controller {
            _leash: child.id().map(Leash::on).transpose()?,
            child,
            url: format!("http://{listen}"),
            log,
        };
        controller.ready().await?;
        Ok(controller)
    }
}

/// A running controller process. Dropping it kills it.
#[derive(Debug)]
pub struct Controller {
    child: Child,
    _leash: Option<Leash>,
    url: String,
    log: PathBuf,
}

impl Controller {
    /// Base URL of its `/metrics`, `/livez` and `/readyz`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its log file.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process ID, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// What `/metrics` says.
    pub async fn metrics(&self) -> Result<String, reqwest::Error> {
        reqwest::get(format!("{}/metrics", self.url))
            .await?
            .error_for_status()?
            .text()
            .await
    }

    /// Waits until it holds the lease and has read the cluster.
    pub async fn acting(&self) -> Result<(), Error> {
        let ready = format!("{}/readyz", self.url);
        wait_for("the controller to act", READY_WITHIN, || async {
            let ready = reqwest::get(&ready)
                .await
                .map_err(|error| error.to_string())?
                .status();
            let metrics = self.metrics().await.map_err(|error| error.to_string())?;
            let leads = metrics
                .lines()
                .any(|line| line.trim() == "belay_lease_held 1");
            if ready.is_success() && leads {
                Ok(())
            } else {
                Err(format!("/readyz says {ready}, leads: {leads}"))
            }
        })
        .await?;
        Ok(())
    }

    /// Ends it as `kill -9` does: no goodbye, no release of the lease.
    pub async fn kill(mut self) -> Result<(), Error> {
        self.child
            .kill()
            .await
            .map_err(Error::io("kill the controller"))
    }

    /// Ends it as Kubernetes does: SIGTERM, and the time to hand over.
    pub async fn terminate(mut self) -> Result<(), Error> {
        let pid = self
            .child
            .id()
            .map(|pid| pid.to_string())
            .unwrap_or_default();
        let mut command = Command::new("kill");
        command.args(["-s", "TERM", "--", &pid]);
        run_program("kill", command).await?;
        // Asked again and again, for the runtime that started it may be gone.
        let child = RefCell::new(&mut self.child);
        let ended = wait_for("the controller's end", ENDED_WITHIN, || async {
            let status = child.borrow_mut().try_wait();
            let status = status.map_err(|error| error.to_string())?;
            status.map(drop).ok_or_else(|| "it runs".to_owned())
        });
        Ok(ended.await?)
    }

    async fn ready(&mut self) -> Result<(), Error> {
        let url = format!("{}/livez", self.url);
        let log = self.log.clone();
        let result = wait_for("the controller to answer /livez", READY_WITHIN, || async {
            match reqwest::get(&url).await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                Ok(answer) => Err(format!("it answers {}", answer.status())),
                Err(error) => Err(error.to_string()),
            }
        })
        .await;
        result.map_err(|error| Error::Program {
            program: "belay-controller".to_owned(),
            output: format!("{error}; the end of its log:\n{}", tail(&log)),
        })
    }
}

/// Builds the controller as Cargo would, unless it is fresh, and gives its path. With `release` as it is shipped.
pub async fn controller_program(release: bool) -> Result<PathBuf, Error> {
    built("belay", "belay-controller", release).await
}

/// Builds kubectl's plugin as Cargo would, unless it is fresh, and gives its path.
pub async fn plugin_program() -> Result<PathBuf, Error> {
    built("kubectl-belay", "kubectl-belay", false).await
}

async fn built(package: &str, program: &str, release: bool) -> Result<PathBuf, Error> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .current_dir(workspace_root())
        .args([
            "build",
            "--quiet",
            "--package",
            package,
            "--bin",
            program,
            "--message-format",
            "json",
        ])
        .args(release.then_some("--release"));
    let output = run_program("cargo build", command).await?;
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter_map(|message| message.get("executable")?.as_str().map(PathBuf::from))
        .next_back()
        .ok_or_else(|| Error::Program {
            program: "cargo build".to_owned(),
            output: "it named no program".to_owned(),
        })
}

/// The top folder of the checkout.
pub fn workspace_root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_owned)
        .unwrap_or_default()
}

/// Runs a program to its end and gives what it printed; what it says of a failure becomes the error.
pub async fn run_program(name: &str, mut command: Command) -> Result<String, Error> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| Error::Io {
            what: format!("run {name}"),
            source,
        })?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Error::Program {
            program: name.to_owned(),
            output: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
        })
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(20)..)
        .unwrap_or_default()
        .join("\n")
}

/// A port that is free at the moment.
pub fn free_port() -> Result<u16, Error> {
    std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map(|address| address.port())
        .map_err(Error::io("find a free port"))
}
