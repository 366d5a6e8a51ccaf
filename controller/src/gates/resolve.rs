//! From the spec of a Rollout or Release and the templates it names to the engine's plan and the questions of its gates.
//!
//! Invariant: what can't be asked is refused before anything starts, in one sentence that says what to write. Values of Secrets
//! are read when the question is asked, and only then.

use std::{collections::HashMap, sync::Arc};

use belay_api::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate,
    analysis::{GateRef, GateSpec, TemplateKind},
    rollout::plan::Templates,
};
use kube::{
    ResourceExt as _,
    runtime::reflector::{ObjectRef, Store},
};

use super::{Gated, lint, question::Question};

/// A spec whose templates were found.
#[derive(Clone, Debug)]
pub(crate) struct Resolved<P> {
    /// The plan, or why there is none, for people.
    pub(crate) plan: Result<P, String>,
    /// What each gate asks, by the gate's name in the plan.
    pub(crate) questions: HashMap<String, Arc<Question>>,
}

/// The templates that an object names.
#[derive(Default)]
struct Found(HashMap<(TemplateKind, String), AnalysisTemplateSpec>);

impl Found {
    fn get(&self, reference: &GateRef) -> Option<&AnalysisTemplateSpec> {
        self.0.get(&(reference.kind, reference.template.clone()))
    }
}

impl Templates for Found {
    fn gates(&self, reference: &GateRef) -> &[GateSpec] {
        self.get(reference)
            .map_or(&[], |spec| spec.gates.as_slice())
    }
}

/// Resolves the spec of `object`.
pub(crate) fn resolve<K: Gated>(
    object: &K,
    templates: &Store<AnalysisTemplate>,
    cluster_templates: &Store<ClusterAnalysisTemplate>,
) -> Resolved<K::Plan> {
    let namespace = object.namespace().unwrap_or_default();
    let references = object.references();
    let mut found = Found::default();
    for reference in &references {
        let name = reference.template.as_str();
        let spec = match reference.kind {
            TemplateKind::AnalysisTemplate => templates
                .get(&ObjectRef::new(name).within(&namespace))
                .map(|template| template.spec.clone()),
            TemplateKind::ClusterAnalysisTemplate => cluster_templates
                .get(&ObjectRef::new(name))
                .map(|template| template.spec.template.clone()),
        };
        let Some(spec) = spec else {
            return refused(missing(reference, &namespace));
        };
        found.0.insert((reference.kind, name.to_owned()), spec);
    }
    let mut questions = HashMap::new();
    let mut doubts = Vec::new();
    for reference in &references {
        let Some(spec) = found.get(reference) else {
            continue;
        };
        for gate in &spec.gates {
            let name = gate.policy(&reference.template).name;
            match Question::new(reference, &spec.args, gate) {
                Ok(question) if question.kind.is_comparison() && !K::HAS_TWO_VERSIONS => {
                    return refused(format!(
                        "gate {name} compares pods of two versions, and a Release has none of its own: put it into the Rollouts of its workloads, or give this one query and threshold"
                    ));
                }
                Ok(question) => questions.insert(name, Arc::new(question)),
                Err(why) => return refused(format!("gate {name}: {why}")),
            };
        }
        let linted = lint::linted(spec, reference);
        if let Some(why) = &linted.refusal {
            return refused(why.clone());
        }
        for doubt in &linted.doubts {
            if !doubts.contains(doubt) {
                doubts.push(doubt.clone());
            }
        }
    }
    let mut plan = object.plan(&found);
    if let Ok(plan) = &mut plan {
        K::doubt(plan, doubts);
    }
    Resolved { plan, questions }
}

fn missing(reference: &GateRef, namespace: &str) -> String {
    let name = &reference.template;
    match reference.kind {
        TemplateKind::AnalysisTemplate => format!(
            "AnalysisTemplate {namespace}/{name} does not exist; create it, or say kind: ClusterAnalysisTemplate if it is one of the cluster's"
        ),
        TemplateKind::ClusterAnalysisTemplate => {
            format!("ClusterAnalysisTemplate {name} does not exist; create it")
        }
    }
}

fn refused<P>(why: String) -> Resolved<P> {
    Resolved {
        plan: Err(why),
        questions: HashMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use belay_api::{Rollout, analysis::arguments};
    use belay_engine::rollout::Plan;
    use kube::runtime::{reflector, watcher::Event};
    use serde_json::{Value, json};

    use super::*;
    use crate::gates::question::Kind;

    fn rollout(gate: &Value) -> Rollout {
        serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "Rollout", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"workloadRef": {"name": "web"}, "strategy": {"canary": {"steps": [{"weight": 10}]}},
                     "verification": {"gates": [gate]}},
        }))
        .unwrap()
    }

    fn with_template(rollout: &Rollout) -> Resolved<Plan> {
        let template: AnalysisTemplate = serde_json::from_value(json!({
            "apiVersion": "belay.dev/v1alpha1", "kind": "AnalysisTemplate", "metadata": {"name": "errors", "namespace": "shop"},
            "spec": {"args": [{"name": "service"}, {"name": "hash"}],
                     "gates": [{"name": "rate", "prometheus": {"query": "e{s=\"{{service}}\",h=\"{{hash}}\"}", "threshold": {"max": 0.1}}}]},
        }))
        .unwrap();
        let (store, mut writer) = reflector::store();
        writer.apply_watcher_event(&Event::Apply(template));
        let (cluster, _writer) = reflector::store();
        resolve(rollout, &store, &cluster)
    }

    #[test]
    fn arguments_come_from_values_and_fields() {
        let resolved = with_template(&rollout(&json!({
            "template": "errors", "args": {"service": "web"},
            "argsFrom": [{"name": "hash", "field": "/status/candidate/hash"}],
        })));
        assert!(resolved.plan.is_ok(), "{:?}", resolved.plan);
        let question = &resolved.questions["errors/rate"];
        let late = BTreeMap::from([("hash".to_owned(), "abc".to_owned())]);
        let values = question.arguments.values(late).unwrap();
        let Kind::Threshold(threshold) = &question.kind else {
            panic!("{:?} is not a threshold", question.kind);
        };
        let filled = arguments::fill(&threshold.query, &values).unwrap();
        assert_eq!(filled, "e{s=\"web\",h=\"abc\"}");
    }

    #[test]
    fn what_cannot_be_asked_is_refused_with_a_sentence() {
        let missing = with_template(&rollout(&json!({"template": "nope"})));
        assert!(
            missing
                .plan
                .unwrap_err()
                .contains("AnalysisTemplate shop/nope does not exist")
        );
        let incomplete = with_template(&rollout(
            &json!({"template": "errors", "args": {"service": "web"}}),
        ));
        assert!(incomplete.plan.unwrap_err().contains("\"hash\" is missing"));
    }
}
