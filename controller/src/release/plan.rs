//! From a Release's spec and the templates it names to the engine's plan.

use belay_api::{
    Release,
    analysis::{GateRef, GateSpec, TemplateKind},
    rollout::plan::Templates,
};
use belay_engine::release::Plan;
use kube::{ResourceExt as _, runtime::reflector::ObjectRef};

use super::{Shell, world::World};

impl Shell {
    /// The plan, or why there is none, for people.
    pub(super) fn plan(&self, release: &Release) -> Result<Plan, String> {
        let namespace = release.namespace().unwrap_or_default();
        let mut found = Found(Vec::new());
        for reference in &release.spec.verification.gates {
            let gates = gates(&self.world, &namespace, reference)?;
            found.0.push((reference.clone(), gates));
        }
        release.spec.plan(&found).map_err(|error| error.to_string())
    }
}

struct Found(Vec<(GateRef, Vec<GateSpec>)>);

impl Templates for Found {
    fn gates(&self, reference: &GateRef) -> &[GateSpec] {
        self.0
            .iter()
            .find(|(known, _)| known == reference)
            .map_or(&[], |(_, gates)| gates.as_slice())
    }
}

fn gates(world: &World, namespace: &str, reference: &GateRef) -> Result<Vec<GateSpec>, String> {
    let name = reference.template.as_str();
    match reference.kind {
        TemplateKind::AnalysisTemplate => world
            .templates
            .get(&ObjectRef::new(name).within(namespace))
            .map(|template| template.spec.gates.clone())
            .ok_or_else(|| {
                format!("AnalysisTemplate {namespace}/{name} does not exist; create it")
            }),
        TemplateKind::ClusterAnalysisTemplate => world
            .cluster_templates
            .get(&ObjectRef::new(name))
            .map(|template| template.spec.template.gates.clone())
            .ok_or_else(|| format!("ClusterAnalysisTemplate {name} does not exist; create it")),
    }
}
