//! The templates that come with Belay, on a real control plane and a real Prometheus, with series named and labelled as each
//! vendor's: every one of them lets a good version through and takes a bad one back.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption ends")]

mod exporter;
mod recipe;
mod vendors;

use std::{sync::Arc, time::Duration};

use belay::{builtin, runtime, runtime::Settings};
use belay_api::{ClusterAnalysisTemplate, Rollout};
use belay_engine::rollout::{RolloutStatus, status::Phase};
use belay_lab::{Lab, Part, wait_for, wait_for_object};
use belay_tests::{
    installed::Installed,
    scene::Scene,
    stage::{policies_in_force, settings},
    workload::Workload,
};
use futures::future::join_all;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use self::{
    exporter::Exporter,
    recipe::{Recipe, recipes},
};

/// Long enough on a slow machine; only a test that fails waits so long.
const SOON: Duration = Duration::from_mins(6);

#[tokio::test(flavor = "multi_thread")]
async fn built_in_templates_let_good_versions_through_and_take_bad_ones_back() {
    let lab = Lab::builder()
        .nodes(3)
        .with(Part::Prometheus)
        .start()
        .await
        .unwrap();
    let installed = Installed::chart(&lab, &[]).await.unwrap();
    policies_in_force(&lab).await.unwrap();
    let foreign = somebody_elses(&lab).await;
    let running = runtime::start(Settings {
        built_in_templates: true,
        prometheus_url: Some(lab.prometheus_url().unwrap()),
        ..settings(&installed, "recipes").await.unwrap()
    })
    .await
    .unwrap();
    there(&lab, &foreign).await;

    let recipes = Arc::new(recipes());
    every_template_is_tried(&recipes);
    let exporter = Exporter::start(&lab, Arc::clone(&recipes)).await.unwrap();
    let trials = recipes.iter().flat_map(|recipe| {
        [("good", Phase::Healthy), ("bad", Phase::Rejected)]
            .map(|(tag, wanted)| trial(&lab, &exporter, recipe, tag, wanted))
    });
    let wrong: Vec<String> = join_all(trials).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    running.stop().await.unwrap();
    lab.down().await.unwrap();
}

/// A template of somebody else under the name of a built-in one.
async fn somebody_elses(lab: &Lab) -> ClusterAnalysisTemplate {
    let api: Api<ClusterAnalysisTemplate> = Api::all(lab.client().unwrap());
    let template = serde_json::from_value(json!({
        "apiVersion": "belay.dev/v1alpha1", "kind": "ClusterAnalysisTemplate",
        "metadata": {"name": "pod-restarts"},
        "spec": {"gates": [{"name": "own", "prometheus": {"query": "vector(0)", "threshold": {"max": 1}}}]},
    }));
    api.create(&PostParams::default(), &template.unwrap())
        .await
        .unwrap()
}

/// The controller brings all templates in, leaves somebody else's alone, and brings its own when the place is free: with the
/// next term, here by hand.
async fn there(lab: &Lab, foreign: &ClusterAnalysisTemplate) {
    let api: Api<ClusterAnalysisTemplate> = Api::all(lab.client().unwrap());
    for template in builtin::templates().unwrap() {
        let name = template.name_any();
        wait_for_object(
            &api,
            &name,
            SOON,
            |found: Option<&ClusterAnalysisTemplate>| {
                found.map(drop).ok_or_else(|| "it is not there".to_owned())
            },
        )
        .await
        .unwrap();
        if name == foreign.name_any() {
            let found = api.get(&name).await.unwrap();
            assert_eq!(found.spec, foreign.spec, "somebody else's template stays");
            api.delete(&name, &DeleteParams::default()).await.unwrap();
            let patch = Patch::Apply(&template);
            let api: Api<kube::api::DynamicObject> = Api::all_with(
                lab.client().unwrap(),
                &kube::api::ApiResource::erase::<ClusterAnalysisTemplate>(&()),
            );
            api.patch(&name, &PatchParams::apply("test"), &patch)
                .await
                .unwrap();
        }
    }
}

fn every_template_is_tried(recipes: &[Recipe]) {
    for template in builtin::templates().unwrap() {
        let name = template.name_any();
        assert!(
            recipes.iter().any(|recipe| recipe.template == name),
            "{name} is not tried"
        );
    }
}

/// Rolls a version out under one recipe; says what went otherwise than it should.
async fn trial(
    lab: &Lab,
    exporter: &Exporter,
    recipe: &Recipe,
    tag: &str,
    wanted: Phase,
) -> Option<String> {
    let scene = Scene::new(lab, "recipe").await.unwrap();
    exporter.plays(&scene.namespace, recipe);
    let workload = scene
        .workload_with("web", 3, spec(recipe, &scene.namespace))
        .await
        .unwrap();
    counted(lab, &scene.namespace).await;
    workload.set_image(&format!("web:{tag}")).await.unwrap();
    let ended = ended(&workload, tag).await;
    match ended {
        Ok(status) if status.phase == wanted => None,
        Ok(status) => Some(format!(
            "{} let {tag} end as {:?}: {:?}; {:?}",
            recipe.title, status.phase, status.rollback, status.gates
        )),
        Err(error) => Some(format!("{}, {tag}: {error}", recipe.title)),
    }
}

fn spec(recipe: &Recipe, namespace: &str) -> Value {
    let args: serde_json::Map<String, Value> = recipe
        .args
        .iter()
        .map(|(name, value)| {
            (
                (*name).to_owned(),
                value.replace("NAMESPACE", namespace).into(),
            )
        })
        .collect();
    let from: Vec<Value> = recipe
        .fields
        .iter()
        .map(|(name, field)| json!({"name": name, "field": field}))
        .collect();
    json!({
        "strategy": {"canary": {"steps": [{"weight": 50, "hold": "10s"}]}},
        "verification": {"gates": [{
            "kind": "ClusterAnalysisTemplate", "template": recipe.template, "args": args, "argsFrom": from,
        }]},
        "progressDeadline": "5m",
    })
}

/// Waits until Prometheus has counted the stable pods twice.
async fn counted(lab: &Lab, namespace: &str) {
    let url = format!("{}/api/v1/query", lab.prometheus_url().unwrap());
    let query = format!("min(count_over_time(played{{namespace=\"{namespace}\"}}[1m])) >= 2");
    wait_for("the stable pods to be scraped", SOON, || async {
        let request = reqwest::Client::new().post(&url).form(&[("query", &query)]);
        let answer: Value = match request.send().await {
            Ok(answer) => answer.json().await.map_err(|error| error.to_string())?,
            Err(error) => return Err(error.to_string()),
        };
        answer
            .pointer("/data/result/0")
            .map(drop)
            .ok_or_else(|| answer.to_string())
    })
    .await
    .unwrap();
}

/// The status once the version is through or taken back.
async fn ended(workload: &Workload, tag: &str) -> Result<RolloutStatus, String> {
    let api = workload.rollouts();
    wait_for_object(&api, &workload.name, SOON, |rollout: Option<&Rollout>| {
        let status = rollout.and_then(|rollout| rollout.status.clone());
        let status = status.ok_or("it has no status")?;
        let stable = status.stable.as_ref().map(|stable| stable.version.clone());
        let is_through = status.phase == Phase::Healthy && stable.as_deref() == Some(tag);
        if is_through || status.phase == Phase::Rejected {
            return Ok(status);
        }
        let gates: Vec<_> = status
            .gates
            .iter()
            .map(|gate| (gate.verdict, gate.message.clone(), gate.value.clone()))
            .collect();
        Err(format!(
            "{:?}, waiting for {:?}; {gates:?}",
            status.phase,
            status.waiting_for.as_ref().map(|waiting| &waiting.message)
        ))
    })
    .await
    .map_err(|error| error.to_string())
}
