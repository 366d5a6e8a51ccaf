//! What pods do to requests, and the load generator.
//!
//! The load generator plays the traffic of ready pods and shows it as their metrics.
//!
//! KWOK's pods run nothing, so the lab counts the requests they would have served: arrivals at random (Poisson) at a rate for each
//! workload, each to one of its ready pods, each failing or not, each with a latency. The counters and histograms are real ones that
//! a real Prometheus scrapes. A workload is the pods of one namespace with the same `app` label.
//!
//! Invariant: a pod that is not ready or is being deleted serves nothing, and the series of a pod that is gone are gone.
//! Left out: requests over the network, and routing by weight. Where pods have servers (`backend`), those ask the same model what is
//! to become of a request, and nothing is dealt out.

mod life;
mod metrics;
mod model;
mod native;
mod pods;
mod tag;
mod visit;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use kube::Client;
use kube::runtime::watcher;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

pub(crate) use life::Life;
pub use model::Served;
use model::{Model, PodFacts};
pub(crate) use visit::{Outcome, Visit};

/// Where latencies are as native histograms.
pub(crate) const NATIVE_PATH: &str = "/native";
/// How often requests are dealt out.
const TICK: Duration = Duration::from_millis(100);
/// A longer pause (a machine asleep, a stopped load) is not made up for.
const LONGEST_TICK: Duration = Duration::from_secs(1);
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Changes the load while it runs.
///
/// Images are named in full, as in the pod (`shop/checkout:v2`), and changes hold in one namespace, so that tests that share a lab
/// don't disturb each other.
#[derive(Clone, Debug, Default)]
pub struct LoadHandle {
    model: Arc<Mutex<Model>>,
    /// Tells those who wait for a pod that one has changed.
    changed: Arc<watch::Sender<()>>,
}

impl LoadHandle {
    /// A handle on pods that have servers and show their metrics themselves.
    pub(crate) fn of_servers() -> Self {
        Self {
            model: Arc::new(Mutex::new(Model::of_servers())),
            ..Self::default()
        }
    }

    /// From now on this share (0 to 1) of the requests to pods of this image fails with code 500.
    pub fn set_error_rate(&self, namespace: &str, image: &str, share: f64) {
        self.model().change(namespace, image, |behaviour| {
            behaviour.error_share = share.clamp(0.0, 1.0);
        });
    }

    /// From now on requests to pods of this image take about this long.
    pub fn set_latency(&self, namespace: &str, image: &str, latency: Duration) {
        self.model()
            .change(namespace, image, |behaviour| behaviour.latency = latency);
    }

    /// From now on pods of this image do again what their tag says.
    pub fn reset(&self, namespace: &str, image: &str) {
        self.model().reset(namespace, image);
    }

    /// From now on the workload (label `app`) gets this many requests a second; 100 when never said. Pods that have servers get what
    /// is sent to them.
    pub fn set_requests_per_second(&self, namespace: &str, workload: &str, rate: f64) {
        self.model().set_rate(namespace, workload, rate.max(0.0));
    }

    /// The counters of this pod begin at zero again, as when its container is restarted. Its status is not touched.
    pub fn restart_counters(&self, namespace: &str, pod: &str) {
        let key = (namespace.to_owned(), pod.to_owned());
        self.model().restart(&key);
    }

    /// From now on this pod shows no metrics, and goes on serving.
    pub fn silence(&self, namespace: &str, pod: &str) {
        let key = (namespace.to_owned(), pod.to_owned());
        self.model().silence(&key);
    }

    /// What pods of this image have served so far, whatever their metrics say.
    pub fn served(&self, namespace: &str, image: &str) -> Served {
        self.model().served(namespace, image)
    }

    pub(crate) fn router(&self) -> Router {
        Router::new()
            .route("/metrics", get(metrics_page))
            .route(NATIVE_PATH, get(native_page))
            .with_state(self.clone())
    }

    /// Follows the pods and deals out requests, without end.
    pub(crate) async fn run(self, client: Client) {
        let pods = pods::follow(client, &self, pods::of_workloads());
        futures::future::join(pods, self.deal()).await;
    }

    /// Follows all pods, without end.
    pub(crate) async fn follow(self, client: Client) {
        pods::follow(client, &self, watcher::Config::default()).await;
    }

    fn apply(&self, pod: PodFacts) {
        self.model().apply(pod);
        self.changed.send_replace(());
    }

    async fn deal(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            let now = ticks.tick().await;
            let elapsed = now.saturating_duration_since(last).min(LONGEST_TICK);
            last = now;
            self.model().deal(elapsed);
        }
    }

    fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn metrics_page(State(load): State<LoadHandle>) -> impl IntoResponse {
    let page = load.model().metrics_text();
    ([(CONTENT_TYPE, OPEN_METRICS)], page)
}

async fn native_page(State(load): State<LoadHandle>) -> impl IntoResponse {
    let page = load.model().native_metrics();
    ([(CONTENT_TYPE, native::CONTENT_TYPE)], page)
}
