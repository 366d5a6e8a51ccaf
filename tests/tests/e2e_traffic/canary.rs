//! Canaries by weight: to the end, taken back at a random step, and overtaken by a newer version.

use std::collections::BTreeMap;

use belay_engine::{action::Verb, rollout::status::RollbackReason};
use belay_lab::wait_for;
use belay_tests::{Error, check, watching::pods};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt as _};
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};

use crate::lane::{LIMIT, Lane, Pods, REPLICAS};

/// Weights of first and second steps. Those near the middle take thousands of answers to be told from others, and are taken where
/// there is time for it.
const FIRST: [u8; 3] = [5, 10, 25];
const SECOND: [u8; 3] = [50, 75, 90];

/// The Rollout of a lane of canaries.
pub(crate) fn spec() -> Value {
    json!({
        "strategy": {"canary": {"steps": [{"weight": 10, "approval": true}]}},
        "traffic": {"service": "web", "routes": [{"kind": "HTTPRoute", "name": "web"}], "drain": "1s"},
        "verification": {"gates": [{"template": "errors"}]},
    })
}

/// Chooses the steps of the next candidate.
async fn choose_steps(lane: &mut Lane) -> Result<Vec<u8>, Error> {
    let first = *FIRST.choose(&mut lane.random).unwrap_or(&10);
    let second = *SECOND.choose(&mut lane.random).unwrap_or(&90);
    let mut weights = vec![first, second];
    // With everything at the end the candidate keeps it while stable goes; without, both take turns as pods do.
    if lane.random.random() {
        weights.push(100);
    }
    let steps: Vec<Value> = weights
        .iter()
        .map(|weight| json!({"weight": weight, "approval": true}))
        .collect();
    let patch = json!({"spec": {"strategy": {"canary": {"steps": steps}}}});
    let rollouts = lane.web.rollouts();
    rollouts
        .patch("web", &PatchParams::default(), &Patch::Merge(patch))
        .await?;
    lane.note(&format!("steps {weights:?}"));
    Ok(weights)
}

/// A canary to its end, with pods that come and go between its steps.
pub(crate) async fn to_the_end(lane: &mut Lane) -> Result<(), Error> {
    let weights = choose_steps(lane).await?;
    lane.begin("a canary", 1 + 2 * weights.len());
    lane.release(Pods::Drain).await?;
    climb(lane, &weights).await?;
    lane.promoted().await
}

/// Every step, with its share checked.
async fn climb(lane: &mut Lane, weights: &[u8]) -> Result<(), Error> {
    for (index, weight) in weights.iter().enumerate() {
        lane.holds("Approval", *weight).await?;
        if index == 0 && lane.load.is_some() {
            scale(lane).await?;
        } else {
            disturb(lane).await?;
        }
        lane.is_at("Approval", *weight).await?;
        lane.act(Verb::Approve).await?;
    }
    Ok(())
}

/// A canary that is taken back at a random step: by a person, or by a gate, with real errors in a real Prometheus.
pub(crate) async fn taken_back(lane: &mut Lane, by_gate: bool) -> Result<(), Error> {
    lane.forgives().await?;
    let weights = choose_steps(lane).await?;
    let last = lane.random.random_range(0..weights.len());
    lane.begin("a rollback", 2 + last);
    let before = stable_pods(lane).await?;
    lane.release(Pods::StopAtOnce).await?;
    for (index, weight) in weights.iter().enumerate().take(last + 1) {
        lane.is_at("Approval", *weight).await?;
        if index < last {
            lane.act(Verb::Approve).await?;
        }
    }
    if by_gate {
        let image = format!("shop/web:{}", lane.tag);
        lane.note("its answers become errors");
        let load = lane.shop.lab.load()?;
        load.set_error_rate(&lane.shop.namespace, &image, 0.5);
        lane.point();
    } else {
        lane.act(Verb::Abort).await?;
    }
    lane.rejected().await?;
    let wanted = if by_gate {
        RollbackReason::GateFailed
    } else {
        RollbackReason::Aborted
    };
    let status = lane.web.status().await?;
    let why = status.rollback.map(|rollback| rollback.reason);
    check(why == Some(wanted), || format!("rolled back for {why:?}"))?;
    let after = stable_pods(lane).await?;
    check(after == before, || {
        format!("stable pods were {before:?} and are {after:?}")
    })
}

/// A canary that a newer version overtakes at a random step; the newer one goes to its end.
pub(crate) async fn overtaken(lane: &mut Lane) -> Result<(), Error> {
    let weights = choose_steps(lane).await?;
    let last = lane.random.random_range(0..weights.len());
    lane.begin(
        "a newer version in mid-canary",
        2 + last + 2 * weights.len(),
    );
    lane.release(Pods::StopAtOnce).await?;
    for (index, weight) in weights.iter().enumerate().take(last + 1) {
        lane.is_at("Approval", *weight).await?;
        if index < last {
            lane.act(Verb::Approve).await?;
        }
    }
    lane.release(Pods::Drain).await?;
    climb(lane, &weights).await?;
    lane.promoted().await
}

async fn stable_pods(lane: &Lane) -> Result<BTreeMap<String, String>, Error> {
    let status = lane.web.status().await?;
    let hash = status.stable.map(|stable| stable.hash).unwrap_or_default();
    let labels = format!("pod-template-hash={hash}");
    pods(&lane.shop.client, &lane.shop.namespace, &labels).await
}

/// Has the workload scaled, or loses a pod, and waits until all pods are ready again.
async fn disturb(lane: &mut Lane) -> Result<(), Error> {
    match lane.random.random_range(0..3) {
        0 => Ok(()),
        1 => scale(lane).await,
        _ => lose(lane).await,
    }
}

/// Scales the workload: by its autoscaler, or as one does.
async fn scale(lane: &mut Lane) -> Result<(), Error> {
    let replicas = lane.random.random_range(REPLICAS - 1..=REPLICAS + 3);
    lane.note(&format!("scaled to {replicas}"));
    lane.disturbances += 1;
    if let Some(load) = &lane.load {
        load.takes_pods(replicas.unsigned_abs()).await?;
    } else {
        scale_to(lane, replicas).await?;
    }
    let stable = lane.stable.clone();
    all_ready(lane, |pods| pods.get(&stable).copied() == Some(replicas)).await
}

async fn scale_to(lane: &Lane, replicas: i32) -> Result<(), Error> {
    let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    let deployments: Api<Deployment> = lane.web.deployments();
    deployments
        .patch_scale("web", &PatchParams::apply("autoscaler"), &patch)
        .await?;
    Ok(())
}

/// Deletes a pod, of either version: as long as it is not the only one of its version, for nobody could make up for that one.
async fn lose(lane: &mut Lane) -> Result<(), Error> {
    let all = lane.shop.pods("web").await?;
    let counts = counts(&all);
    let few = |pod: &&Pod| counts.get(&tag(pod)).is_some_and(|count| *count > 1);
    let candidates: Vec<&Pod> = all.iter().filter(few).collect();
    let Some(lost) = candidates.choose(&mut lane.random) else {
        return Ok(());
    };
    let name = lost.name_any();
    lane.note(&format!("{name} of {} is deleted", tag(lost)));
    lane.disturbances += 1;
    let api: Api<Pod> = Api::namespaced(lane.shop.client.clone(), &lane.shop.namespace);
    api.delete(&name, &DeleteParams::default()).await?;
    all_ready(lane, |now| *now == counts).await
}

async fn all_ready(
    lane: &Lane,
    wanted: impl Fn(&BTreeMap<String, i32>) -> bool,
) -> Result<(), Error> {
    let ready = wait_for("the pods to be ready", LIMIT, || async {
        let pods = lane.shop.pods("web").await;
        let pods = pods.map_err(|error| error.to_string())?;
        let counts = counts(&pods);
        let ready = pods.iter().all(is_ready) && wanted(&counts);
        ready.then_some(()).ok_or_else(|| format!("{counts:?}"))
    });
    Ok(ready.await?)
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| &status.conditions);
    conditions
        .flatten()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

/// Pods by the tag of their image.
fn counts(pods: &[Pod]) -> BTreeMap<String, i32> {
    let mut counts = BTreeMap::new();
    for pod in pods {
        *counts.entry(tag(pod)).or_default() += 1;
    }
    counts
}

fn tag(pod: &Pod) -> String {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let images = containers.filter_map(|container| container.image.as_deref());
    let tags = images.filter_map(|image| image.rsplit_once(':'));
    tags.map(|(_, tag)| tag.to_owned())
        .next()
        .unwrap_or_default()
}
