//! A gateway as far as the API server sees it: it reads every version of its routes, and says so in their status. What it read is on
//! record, with the ready endpoints that there were at that moment.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use belay::traffic::resource;
use belay_engine::traffic::RouterKind;
use futures::StreamExt as _;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{
    Api, Client, ResourceExt as _,
    api::{DynamicObject, ListParams, Patch, PatchParams},
    runtime::{WatchStreamExt as _, watcher},
};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// One version of a route, as the gateway read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// Weight of each destination of the last rule.
    pub(crate) weights: BTreeMap<String, u64>,
    /// Destinations with a weight that had no ready endpoint.
    pub(crate) empty: Vec<String>,
}

/// The gateway of one namespace.
pub(crate) struct Gateway {
    moments: Arc<Mutex<Vec<Moment>>>,
    task: JoinHandle<()>,
}

impl Gateway {
    /// Begins to read `HTTPRoute`s.
    pub(crate) fn begin(client: &Client, namespace: &str) -> Self {
        Self::of(RouterKind::HttpRoute, client, namespace)
    }

    /// Begins to read routes of a kind of the Gateway API.
    pub(crate) fn of(kind: RouterKind, client: &Client, namespace: &str) -> Self {
        let moments: Arc<Mutex<Vec<Moment>>> = Arc::default();
        let noted = Arc::clone(&moments);
        let task = tokio::spawn(run(kind, client.clone(), namespace.to_owned(), noted));
        Self { moments, task }
    }

    /// What it read so far, without repetitions.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        self.moments.lock().unwrap().clone()
    }

    /// The shares of the canary in percent, in the order in which they came.
    pub(crate) fn shares(&self) -> Vec<u64> {
        let share = |moment: &Moment| {
            let weight = |name: &str| moment.weights.get(name).copied().unwrap_or(0);
            let (stable, canary) = (weight("web-stable"), weight("web-canary"));
            (canary * 100).checked_div(stable + canary).unwrap_or(0)
        };
        let mut shares: Vec<u64> = self.moments().iter().map(share).collect();
        shares.dedup();
        shares
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn run(
    kind: RouterKind,
    client: Client,
    namespace: String,
    moments: Arc<Mutex<Vec<Moment>>>,
) {
    let routes: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &namespace, &resource(kind));
    let slices: Api<EndpointSlice> = Api::namespaced(client, &namespace);
    let mut events =
        Box::pin(watcher(routes.clone(), watcher::Config::default()).default_backoff());
    while let Some(event) = events.next().await {
        let Ok(watcher::Event::Apply(route) | watcher::Event::InitApply(route)) = event else {
            continue;
        };
        if route
            .data
            .pointer("/status/parents/0/conditions/0/observedGeneration")
            == Some(&json!(route.metadata.generation))
        {
            continue;
        }
        let moment = moment(&slices, &route).await;
        note(&moments, moment);
        let parents = route.data["spec"]["parentRefs"].as_array().unwrap();
        let status = json!({"status": {"parents": parents.iter().map(|parent| answer(&route, parent)).collect::<Vec<_>>()}});
        // A newer version of the route comes as an event of its own.
        let _ = routes
            .patch_status(
                &route.name_any(),
                &PatchParams::default(),
                &Patch::Merge(status),
            )
            .await;
    }
}

fn note(moments: &Mutex<Vec<Moment>>, moment: Moment) {
    let mut moments = moments.lock().unwrap();
    if moments.last() != Some(&moment) {
        moments.push(moment);
    }
}

fn answer(route: &DynamicObject, parent: &Value) -> Value {
    let condition = |name: &str, reason: &str| {
        json!({"type": name, "status": "True", "reason": reason, "message": "",
            "observedGeneration": route.metadata.generation, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    json!({"parentRef": parent, "controllerName": "tests.belay.dev/gateway",
        "conditions": [condition("Accepted", "Accepted"), condition("ResolvedRefs", "ResolvedRefs")]})
}

async fn moment(slices: &Api<EndpointSlice>, route: &DynamicObject) -> Moment {
    let rules = route.data["spec"]["rules"].as_array().unwrap();
    let refs = rules.last().unwrap()["backendRefs"].as_array().unwrap();
    let mut weights = BTreeMap::new();
    let mut empty = Vec::new();
    for entry in refs {
        let name = entry["name"].as_str().unwrap().to_owned();
        let weight = entry["weight"].as_u64().unwrap();
        if weight > 0 && !is_served(slices, &name).await {
            empty.push(name.clone());
        }
        weights.insert(name, weight);
    }
    Moment { weights, empty }
}

/// Whether a Service has a ready endpoint.
pub(crate) async fn is_served(slices: &Api<EndpointSlice>, service: &str) -> bool {
    let labels = format!("kubernetes.io/service-name={service}");
    let list = slices.list(&ListParams::default().labels(&labels)).await;
    list.unwrap()
        .into_iter()
        .flat_map(|slice| slice.endpoints)
        .any(|endpoint| {
            endpoint
                .conditions
                .is_some_and(|conditions| conditions.ready == Some(true))
        })
}
