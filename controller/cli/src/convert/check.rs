//! The result as the controller and the lint see it.

use std::collections::HashMap;

use belay_api::{
    AnalysisTemplate, ClusterAnalysisTemplate, Rollout,
    analysis::{GateRef, GateSpec, TemplateKind},
    rollout::plan::Templates,
};
use serde_json::Value;

use super::note::{About, Notes};
use crate::lint;

/// What stands for a file in notes about the result.
const RESULT: &str = "result";

/// Gates of the result's templates.
#[derive(Default)]
struct Shelf(HashMap<(TemplateKind, String), Vec<GateSpec>>);

impl Templates for Shelf {
    fn gates(&self, reference: &GateRef) -> &[GateSpec] {
        let key = (reference.kind, reference.template.clone());
        self.0.get(&key).map_or(&[], Vec::as_slice)
    }
}

/// Notes what Belay would refuse of `items`, and what its lint finds.
pub(super) fn check(items: &[Value], notes: &mut Notes) {
    let mut shelf = Shelf::default();
    let mut rollouts = Vec::new();
    for item in items {
        let about = about(item);
        let own = item.pointer("/apiVersion").and_then(Value::as_str) == Some("belay.dev/v1alpha1");
        if !own {
            continue;
        }
        let read = match about.kind.as_str() {
            "AnalysisTemplate" => {
                serde_json::from_value(item.clone()).map(|found: AnalysisTemplate| {
                    let key = (TemplateKind::AnalysisTemplate, about.name.clone());
                    shelf.0.insert(key, found.spec.gates);
                })
            }
            "ClusterAnalysisTemplate" => {
                serde_json::from_value(item.clone()).map(|found: ClusterAnalysisTemplate| {
                    let key = (TemplateKind::ClusterAnalysisTemplate, about.name.clone());
                    shelf.0.insert(key, found.spec.template.gates);
                })
            }
            _ => serde_json::from_value(item.clone())
                .map(|found: Rollout| rollouts.push((about.clone(), found))),
        };
        if let Err(error) = read {
            notes.turn_to(about);
            notes.left("spec", format!("Belay would not read this: {error}"));
        }
    }
    for (about, rollout) in rollouts {
        if let Err(error) = rollout.spec.plan(&shelf) {
            notes.turn_to(about);
            notes.left("spec", format!("Belay would refuse this: {error}"));
        }
    }
    for finding in lint::findings(items) {
        notes.turn_to(About {
            file: RESULT.to_owned(),
            kind: finding.kind.clone(),
            namespace: None,
            name: finding.name.clone(),
        });
        let gate = finding.gate.iter();
        let field: String = gate
            .map(|gate| format!("{gate}, "))
            .chain([finding.field.clone()])
            .collect();
        let message = format!("{}: {}", finding.code, finding.message);
        if finding.severity == "error" {
            notes.left(&field, format!("the lint refuses the result: {message}"));
        } else {
            notes.differs(&field, format!("the lint warns of the result: {message}"));
        }
    }
}

fn about(item: &Value) -> About {
    let text = |pointer: &str| {
        item.pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    About {
        file: RESULT.to_owned(),
        kind: text("/kind").unwrap_or_default(),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name").unwrap_or_default(),
    }
}
