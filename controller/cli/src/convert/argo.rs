//! Argo Rollouts' objects.

mod analysis;
mod blue_green;
mod condition;
mod expression;
mod holes;
mod metric;
mod prometheus;
mod references;
mod rollout;
mod steps;
mod traffic;
mod web;
mod workload;

use std::collections::HashMap;

use serde_json::Value;

use super::{input::Object, note::Notes};
pub(super) use analysis::Known;

/// API group of Argo Rollouts; Argo CD and Argo Workflows share it.
pub(super) const GROUP: &str = "argoproj.io";

/// Kinds that are converted, or noted as without a counterpart.
pub(super) const KINDS: [&str; 5] = [
    "Rollout",
    "AnalysisTemplate",
    "ClusterAnalysisTemplate",
    "Experiment",
    "AnalysisRun",
];

/// Templates of the input by name, namespace and whether they are the cluster's.
pub(super) type Templates = HashMap<(String, Option<String>, bool), Known>;

/// Converts every object of Argo Rollouts among `objects`.
pub(super) fn convert(objects: &[Object], notes: &mut Notes) -> Vec<Value> {
    let mut converted = Vec::new();
    let mut templates = Templates::new();
    let mine = |kind: &'static str| objects.iter().filter(move |object| object.is(GROUP, kind));
    for (kind, cluster) in [
        ("AnalysisTemplate", false),
        ("ClusterAnalysisTemplate", true),
    ] {
        for object in mine(kind).cloned() {
            notes.turn_to(object.about.clone());
            let namespace = object.about.namespace.clone().filter(|_| !cluster);
            let key = (object.about.name.clone(), namespace, cluster);
            let (template, known) = analysis::template(object, notes);
            converted.extend(template);
            templates.insert(key, known);
        }
    }
    for object in mine("Rollout").cloned() {
        notes.turn_to(object.about.clone());
        converted.append(&mut rollout::rollout(object, &templates, notes));
    }
    for object in mine("Experiment") {
        notes.turn_to(object.about.clone());
        notes.left("spec", "there are no experiments: a gate with prometheus.compare judges the new version against the stable one throughout a rollout");
    }
    for object in mine("AnalysisRun") {
        notes.turn_to(object.about.clone());
        notes.left(
            "spec",
            "gates run with a Rollout only; try them on the past by kubectl belay simulate",
        );
    }
    converted
}
