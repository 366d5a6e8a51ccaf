//! Plays all pods and proxies: one page of metrics, made from the pods that live and for how long they have.

use std::{
    collections::{BTreeMap, HashMap},
    fmt::Write as _,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use axum::{Router, extract::State, routing::get};
use belay_lab::Lab;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    runtime::{WatchStreamExt as _, watcher, watcher::Event},
};

use crate::{
    recipe::Recipe,
    vendors::{Counted, Play},
};

/// Requests that a pod answers in a second.
const PER_SECOND: f64 = 25.0;

/// Share of requests that fail or are slow. A good pod has its first one after 50 seconds: over a few samples of a pod that was found late, a
/// single one would be more than the one percent that quantiles allow.
const GOOD: f64 = 0.0008;
const BAD: f64 = 0.3;

struct Living {
    namespace: String,
    tag: String,
    since: Instant,
}

type Shared = Arc<Mutex<Stage>>;

#[derive(Default)]
struct Stage {
    /// By namespace and name.
    pods: BTreeMap<String, Living>,
    plays: HashMap<String, Play>,
    /// What pods of a proxy counted that are gone: by namespace and side.
    gone: HashMap<(String, bool), Counted>,
}

/// The page, being served.
pub(crate) struct Exporter {
    stage: Shared,
    _recipes: Arc<Vec<Recipe>>,
}

impl Exporter {
    /// Serves the page and has Prometheus scrape it.
    pub(crate) async fn start(lab: &Lab, recipes: Arc<Vec<Recipe>>) -> Result<Self, String> {
        let stage = Shared::default();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let page = Router::new()
            .route("/metrics", get(page))
            .with_state(Arc::clone(&stage));
        tokio::spawn(async move { axum::serve(listener, page).await });
        let client = lab.client().map_err(|error| error.to_string())?;
        tokio::spawn(follow(Api::all(client), Arc::clone(&stage)));
        lab.scrape("recipes", address)
            .map_err(|error| error.to_string())?;
        Ok(Self {
            stage,
            _recipes: recipes,
        })
    }

    /// Has the pods of a namespace play this recipe.
    pub(crate) fn plays(&self, namespace: &str, recipe: &Recipe) {
        lock(&self.stage)
            .plays
            .insert(namespace.to_owned(), recipe.play);
    }
}

fn lock(stage: &Shared) -> std::sync::MutexGuard<'_, Stage> {
    stage.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn follow(pods: Api<Pod>, stage: Shared) {
    let events = watcher(pods, watcher::Config::default()).default_backoff();
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod) | Event::InitApply(pod)) => lock(&stage).lives(&pod),
            Ok(Event::Delete(pod)) => lock(&stage).is_gone(&pod),
            _ => {}
        }
    }
}

fn key(pod: &Pod) -> String {
    format!("{}/{}", pod.namespace().unwrap_or_default(), pod.name_any())
}

impl Stage {
    fn lives(&mut self, pod: &Pod) {
        let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice());
        let image = containers.and_then(|all| all.first()?.image.clone());
        let tag = image.and_then(|image| Some(image.rsplit_once(':')?.1.to_owned()));
        let (Some(tag), Some(namespace)) = (tag, pod.namespace()) else {
            return;
        };
        self.pods.entry(key(pod)).or_insert_with(|| Living {
            namespace,
            tag,
            since: Instant::now(),
        });
    }

    fn is_gone(&mut self, pod: &Pod) {
        if let Some(living) = self.pods.remove(&key(pod)) {
            let side = (living.namespace.clone(), living.tag != "v1");
            let total = self.gone.entry(side).or_default();
            *total = sum(*total, counted(&living));
        }
    }

    fn page(&self) -> String {
        let mut out = String::new();
        let mut sides: HashMap<(String, bool), Counted> = self.gone.clone();
        for (key, living) in &self.pods {
            let namespace = &living.namespace;
            let Some(play) = self.plays.get(namespace) else {
                continue;
            };
            let pod = key.rsplit('/').next().unwrap_or_default();
            // Writing to a text does not fail.
            let _ = writeln!(out, "played{{namespace=\"{namespace}\",pod=\"{pod}\"}} 1");
            match play {
                Play::Pods(tell) => tell(&mut out, namespace, pod, counted(living)),
                Play::Proxy(_) => {
                    let side = (namespace.clone(), living.tag != "v1");
                    let total = sides.entry(side).or_default();
                    *total = sum(*total, counted(living));
                }
            }
        }
        for ((namespace, is_canary), total) in sides {
            if let Some(Play::Proxy(tell)) = self.plays.get(&namespace) {
                tell(&mut out, &namespace, is_canary, total);
            }
        }
        out
    }
}

async fn page(State(stage): State<Shared>) -> String {
    lock(&stage).page()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a few minutes of requests, never negative"
)]
fn counted(living: &Living) -> Counted {
    let is_bad = living.tag == "bad";
    let age = living.since.elapsed().as_secs_f64();
    let all = (age * PER_SECOND) as u64;
    let hit = (age * PER_SECOND * if is_bad { BAD } else { GOOD }) as u64;
    Counted {
        good: all - hit,
        failed: hit,
        slow: hit,
        restarts: u64::from(is_bad && age > 4.0),
        is_bad,
    }
}

fn sum(one: Counted, other: Counted) -> Counted {
    Counted {
        good: one.good + other.good,
        failed: one.failed + other.failed,
        slow: one.slow + other.slow,
        restarts: one.restarts + other.restarts,
        is_bad: one.is_bad || other.is_bad,
    }
}
