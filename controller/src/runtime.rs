//! Starts and ends everything: the HTTP server, the lease, and the controllers for as long as the lease is held.
//!
//! Invariant: controllers live within one term of leadership. When it ends they are gone, with all that they knew; the next
//! term reads the cluster anew.

use std::{net::SocketAddr, path::PathBuf, sync::Arc};

use kube::Client;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    Context, Error, Result, builtin, client,
    hooks::{self, Hooks},
    http::{self, Readiness},
    lease::{Candidate, Held, LeaseSettings, Term},
    limits,
    links::Links,
    release, rollout,
    telemetry::{Metrics, events::Events, metrics::ControllerLabel},
    watch::ServerVersion,
};

pub use crate::gates::probe::address::Reach;

/// What the process is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The cluster, and Belay's identity in it.
    pub kube: kube::Config,
    /// Namespace to work in; all when absent.
    pub namespace: Option<String>,
    /// Base URL of the Prometheus that gates ask by default.
    pub prometheus_url: Option<String>,
    /// Folder with credentials for that Prometheus; none when absent.
    pub prometheus_access: Option<PathBuf>,
    /// The lease.
    pub lease: LeaseSettings,
    /// Address of the HTTP server; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Address that takes webhooks of Git servers; none when absent. Port 0 takes a free one.
    pub hooks_listen: Option<SocketAddr>,
    /// Reconciliations at the same time, per controller.
    pub concurrency: u16,
    /// Git and rendering.
    pub git: GitSettings,
    /// Where requests of gates may go.
    pub reach: Reach,
    /// Whether the templates that come with Belay are brought into the cluster.
    pub built_in_templates: bool,
}

/// Programs and places for Git and rendering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitSettings {
    /// Folder of the local copies of repositories; a cache.
    pub cache_directory: PathBuf,
    /// The git program: a path, or a name to look up in `PATH`.
    pub git_program: PathBuf,
    /// The git-lfs program: a path, or a name to look up in `PATH`.
    pub git_lfs_program: PathBuf,
    /// The kustomize program: a path, or a name to look up in `PATH`.
    pub kustomize_program: PathBuf,
    /// The helm program: a path, or a name to look up in `PATH`.
    pub helm_program: PathBuf,
    /// The sops program: a path, or a name to look up in `PATH`.
    pub sops_program: PathBuf,
    /// Whether Releases may name repositories on this machine: for machines with one user, and tests.
    pub allow_local: bool,
}

impl Default for GitSettings {
    fn default() -> Self {
        Self {
            cache_directory: PathBuf::from("/var/cache/belay"),
            git_program: PathBuf::from("git"),
            git_lfs_program: PathBuf::from("git-lfs"),
            kustomize_program: PathBuf::from("kustomize"),
            helm_program: PathBuf::from("helm"),
            sops_program: PathBuf::from("sops"),
            allow_local: false,
        }
    }
}

impl Settings {
    /// Settings for the cluster of `kube`, everything else at its default.
    pub fn new(kube: kube::Config) -> Self {
        Self {
            kube,
            namespace: None,
            prometheus_url: None,
            prometheus_access: None,
            lease: LeaseSettings {
                namespace: "belay-system".to_owned(),
                name: "belay-controller".to_owned(),
                identity: "belay".to_owned(),
            },
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            hooks_listen: None,
            concurrency: 16,
            git: GitSettings::default(),
            reach: Reach::default(),
            built_in_templates: false,
        }
    }
}

/// A controller that runs in the background.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    hooks_address: Option<SocketAddr>,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
    main: JoinHandle<Result<()>>,
}

impl Running {
    /// Where `/metrics` and the probes are.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where webhooks are taken, if they are.
    pub const fn hooks_address(&self) -> Option<SocketAddr> {
        self.hooks_address
    }

    /// The metrics of this process.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Waits until it ends by itself, which it does only on a fault.
    pub async fn ended(&mut self) -> Result<()> {
        flatten((&mut self.main).await)
    }

    /// Ends work in progress, releases the lease, and returns when that is done.
    pub async fn stop(mut self) -> Result<()> {
        self.stop.cancel();
        self.ended().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn flatten(joined: Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    joined.unwrap_or(Err(Error::TaskEnded("main")))
}

/// Starts the controller.
pub async fn start(settings: Settings) -> Result<Running> {
    // One TLS provider for the whole process; a second start in the same process finds it there.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let metrics = Arc::new(Metrics::new());
    let client = client::build(settings.kube.clone(), Reach::Anywhere, &metrics)?;
    let stop = CancellationToken::new();
    let ready = Readiness::not_yet();
    let address = http::serve(
        settings.listen,
        Arc::clone(&metrics),
        ready.clone(),
        stop.clone(),
    )
    .await?;
    let hooks_address = match settings.hooks_listen {
        None => None,
        Some(address) => {
            let hooks = Hooks::new(client.clone(), settings.namespace.clone(), &metrics);
            Some(hooks::serve(address, hooks, stop.clone()).await?)
        }
    };
    tracing::info!(%address, identity = settings.lease.identity, version = env!("CARGO_PKG_VERSION"), "started");
    let process = Process {
        client,
        settings: Arc::new(settings),
        metrics: Arc::clone(&metrics),
        ready,
        stop: stop.clone(),
    };
    let main = tokio::spawn(process.run());
    Ok(Running {
        address,
        hooks_address,
        metrics,
        stop,
        main,
    })
}

#[derive(Clone)]
struct Process {
    client: Client,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    ready: Readiness,
    stop: CancellationToken,
}

impl Process {
    async fn run(self) -> Result<()> {
        let mut candidate = Candidate::new(self.client.clone(), self.settings.lease.clone());
        while let Some(held) = self.acquire(&mut candidate).await {
            self.metrics.lease_held.set(1);
            tracing::info!(epoch = held.term().epoch(), "holding the lease");
            let outcome = self.lead(&candidate, held).await;
            self.metrics.lease_held.set(0);
            outcome?;
        }
        Ok(())
    }

    /// The lease, or nothing when told to stop.
    async fn acquire(&self, candidate: &mut Candidate) -> Option<Held> {
        loop {
            if self.stop.is_cancelled() {
                return None;
            }
            match candidate.try_acquire().await {
                Ok(Some(held)) => return Some(held),
                Ok(None) => self.ready.expect(0),
                Err(error) => tracing::warn!(%error, "asking for the lease failed; trying again"),
            }
            let _ = tokio::time::timeout(limits::LEASE_RETRY, self.stop.cancelled()).await;
        }
    }

    /// One term: runs the controllers until the lease is lost, the process is told to stop, or a controller fails.
    async fn lead(&self, candidate: &Candidate, mut held: Held) -> Result<()> {
        let term = held.term();
        let stop_term = self.stop.child_token();
        let mut controllers = JoinSet::new();
        controllers.spawn(self.clone().controllers(term, stop_term.clone()));
        let ended = tokio::select! {
            () = candidate.keep(&mut held) => Ended::Lost,
            () = self.stop.cancelled() => Ended::Stopped,
            joined = controllers.join_next() => Ended::Failed(match joined {
                Some(Ok(outcome)) => outcome,
                Some(Err(_)) | None => Err(Error::TaskEnded("controllers")),
            }),
        };
        stop_term.cancel();
        match ended {
            // Nothing may be written any more: no grace.
            Ended::Lost => {
                controllers.shutdown().await;
                Ok(())
            }
            Ended::Stopped => {
                let drained = async { while controllers.join_next().await.is_some() {} };
                tokio::select! {
                    () = candidate.keep(&mut held) => {}
                    _ = tokio::time::timeout(limits::STOP_GRACE, drained) => {}
                }
                controllers.shutdown().await;
                release(candidate, held).await;
                Ok(())
            }
            Ended::Failed(outcome) => {
                controllers.shutdown().await;
                release(candidate, held).await;
                outcome
            }
        }
    }

    /// Runs all controllers under `term`. Returns once they have ended.
    async fn controllers(self, term: Term, stop: CancellationToken) -> Result<()> {
        let server = self.server_version(&stop).await?;
        let depth = |controller| {
            let label = ControllerLabel { controller };
            self.metrics.queue_depth.get_or_create_owned(&label)
        };
        let links = Arc::new(Links::new(depth("rollout"), depth("release")));
        let context = Arc::new(Context {
            links,
            ready: self.ready.clone(),
            events: Events::start(
                self.client.clone(),
                &self.settings.lease.identity,
                Arc::clone(&self.metrics),
            ),
            client: self.client,
            settings: self.settings,
            metrics: self.metrics,
            term,
            server,
        });
        if context.settings.built_in_templates {
            tokio::spawn(builtin::bring(Context::clone(&context), stop.clone()));
        }
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        // One line for each controller.
        self.ready.expect(2);
        tasks.spawn(rollout::run(Arc::clone(&context), stop.clone()));
        tasks.spawn(release::run(context, stop.clone()));
        while let Some(ended) = tasks.join_next().await {
            ended.unwrap_or(Err(Error::TaskEnded("controller")))?;
            if !stop.is_cancelled() {
                return Err(Error::TaskEnded("controller"));
            }
        }
        Ok(())
    }

    /// Asks until there is an answer: the API server may be on its way back.
    async fn server_version(&self, stop: &CancellationToken) -> Result<ServerVersion> {
        loop {
            match ServerVersion::of(&self.client).await {
                Ok(version) => return Ok(version),
                Err(error) => tracing::warn!(%error, "asking the API server failed; trying again"),
            }
            if tokio::time::timeout(limits::RETRY_MIN, stop.cancelled())
                .await
                .is_ok()
            {
                return Err(Error::NotLeading);
            }
        }
    }
}

enum Ended {
    Lost,
    Stopped,
    Failed(Result<()>),
}

async fn release(candidate: &Candidate, held: Held) {
    if let Err(error) = candidate.release(held).await {
        tracing::warn!(%error, "the lease was not released; it runs out by itself");
    }
}
