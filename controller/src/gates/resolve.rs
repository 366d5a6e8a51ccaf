//! From the spec of a Rollout or Release and the templates it names to the engine's plan and the questions of its gates.
//!
//! Invariant: what can't be asked is refused before anything starts, in one sentence that says what to write. Values of Secrets
//! are read when the question is asked, and only then.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use belay_api::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate,
    analysis::{
        GateRef, GateSpec, Parameter, SecretKey, TemplateKind,
        arguments::{self, ArgumentError},
    },
    rollout::plan::Templates,
};
use belay_engine::analysis::threshold::Bounds;
use kube::{
    ResourceExt as _,
    runtime::reflector::{ObjectRef, Store},
};

use super::Gated;

/// A spec whose templates were found.
#[derive(Clone, Debug)]
pub(crate) struct Resolved<P> {
    /// The plan, or why there is none, for people.
    pub(crate) plan: Result<P, String>,
    /// What each gate asks, by the gate's name in the plan.
    pub(crate) queries: HashMap<String, Arc<Query>>,
}

/// What a gate asks, with holes that are filled when it is asked.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Query {
    /// Address of the Prometheus; the controller's own when absent.
    pub(crate) address: Option<String>,
    /// The text with its holes.
    pub(crate) text: String,
    /// The bounds of the answer.
    pub(crate) bounds: Bounds,
    /// Longest time that one question may take.
    pub(crate) timeout: Duration,
    parameters: Vec<Parameter>,
    values: BTreeMap<String, String>,
    /// Arguments from fields of the object, as JSON pointers.
    pub(crate) fields: BTreeMap<String, String>,
    /// Arguments from Secrets.
    pub(crate) secrets: BTreeMap<String, SecretKey>,
}

impl Query {
    /// The text with its holes filled; `late` has the values of `fields` and `secrets`.
    pub(crate) fn fill(&self, late: BTreeMap<String, String>) -> Result<String, ArgumentError> {
        let mut given = self.values.clone();
        given.extend(late);
        let values = arguments::resolve(&self.parameters, &given)?;
        arguments::fill(&self.text, &values)
    }

    /// Whether it can be asked once the late values are there.
    fn check(&self) -> Result<(), ArgumentError> {
        let names = self.fields.keys().chain(self.secrets.keys());
        let stand_ins = names.map(|name| (name.clone(), "value".to_owned()));
        self.fill(stand_ins.collect()).map(drop)
    }
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
    let mut queries = HashMap::new();
    for reference in &references {
        let Some(spec) = found.get(reference) else {
            continue;
        };
        for gate in &spec.gates {
            let name = gate.policy(&reference.template).name;
            let query = query(reference, &spec.args, gate);
            if let Err(error) = query.check() {
                return refused(format!("gate {name}: {error}"));
            }
            queries.insert(name, Arc::new(query));
        }
    }
    Resolved {
        plan: object.plan(&found),
        queries,
    }
}

fn query(reference: &GateRef, parameters: &[Parameter], gate: &GateSpec) -> Query {
    let mut fields = BTreeMap::new();
    let mut secrets = BTreeMap::new();
    for from in &reference.args_from {
        if let Some(pointer) = &from.field {
            fields.insert(from.name.clone(), pointer.clone());
        } else if let Some(key) = &from.secret_key {
            secrets.insert(from.name.clone(), key.clone());
        }
    }
    let prometheus = &gate.prometheus;
    Query {
        address: prometheus.address.clone(),
        text: prometheus.query.clone(),
        bounds: Bounds {
            min: prometheus.threshold.min,
            max: prometheus.threshold.max,
        },
        timeout: prometheus.timeout.get(),
        parameters: parameters.to_vec(),
        values: reference.args.clone(),
        fields,
        secrets,
    }
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
        queries: HashMap::new(),
    }
}

#[cfg(test)]
mod tests {
    use belay_api::Rollout;
    use belay_engine::rollout::Plan;
    use kube::runtime::{reflector, watcher::Event};
    use serde_json::{Value, json};

    use super::*;

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
        let query = &resolved.queries["errors/rate"];
        let late = BTreeMap::from([("hash".to_owned(), "abc".to_owned())]);
        assert_eq!(query.fill(late).unwrap(), "e{s=\"web\",h=\"abc\"}");
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
