//! From a Release's spec, with its templates resolved, to the engine's plan.

use std::collections::BTreeSet;

use belay_engine::{
    gate::GatePolicy,
    release::{
        composition::Composition,
        plan::{Plan, Prune, Suspension},
    },
};
use thiserror::Error;

use super::{HealthRules, ReleaseSpec};
use crate::rollout::plan::Templates;

/// Why a spec can't be carried out.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PlanError {
    /// Two gates of the same name.
    #[error("gate {0} is given twice under verification.gates; name each template once")]
    DuplicateGate(String),
    /// Two overrides of the same image.
    #[error("image {0} is given twice under images; replace each once")]
    DuplicateImage(String),
    /// A rule of health that can't be asked.
    #[error("verification.health: {0}")]
    Health(String),
}

impl ReleaseSpec {
    /// The plan of this spec, without what it says about other Releases (see [`super::Release::composition`]).
    pub fn plan(&self, templates: &impl Templates) -> Result<Plan, PlanError> {
        let gates: Vec<GatePolicy> = self
            .verification
            .gates
            .iter()
            .flat_map(|reference| {
                templates
                    .gates(reference)
                    .iter()
                    .map(|gate| gate.policy(&reference.template))
            })
            .collect();
        let mut seen = BTreeSet::new();
        if let Some(twice) = gates.iter().find(|gate| !seen.insert(&gate.name)) {
            return Err(PlanError::DuplicateGate(twice.name.clone()));
        }
        let mut seen = BTreeSet::new();
        let twice = self.images.iter().find(|image| !seen.insert(&image.name));
        if let Some(twice) = twice {
            return Err(PlanError::DuplicateImage(twice.name.clone()));
        }
        HealthRules::read(&self.verification.health).map_err(PlanError::Health)?;
        Ok(Plan {
            promotion: self.verification.promotion,
            gates,
            timeout: self.verification.timeout.get(),
            prune: if self.apply.prune {
                Prune::Delete
            } else {
                Prune::Forget
            },
            prune_budget: self.apply.prune_budget.plan(),
            drift: self.apply.drift,
            history: usize::from(self.rollback.history),
            quarantine_ends_after: self
                .rollback
                .quarantine_ends_after
                .map(crate::Duration::get),
            suspension: if self.suspend {
                Suspension::Suspended
            } else {
                Suspension::Active
            },
            composition: Composition::default(),
            doubts: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analysis::{GateRef, GateSpec};

    struct One(Vec<GateSpec>);

    impl Templates for One {
        fn gates(&self, _: &GateRef) -> &[GateSpec] {
            &self.0
        }
    }

    fn spec(more: serde_json::Value) -> ReleaseSpec {
        let mut spec = json!({
            "source": {"git": {"url": "https://git.example.com/shop.git", "ref": {"branch": "main"}}},
            "serviceAccountName": "deployer",
        });
        if let (Some(spec), serde_json::Value::Object(more)) = (spec.as_object_mut(), more) {
            spec.extend(more);
        }
        serde_json::from_value(spec).unwrap()
    }

    fn gate() -> GateSpec {
        serde_json::from_value(json!({
            "name": "errors", "prometheus": {"query": "up", "threshold": {"min": 1.0}},
        }))
        .unwrap()
    }

    #[test]
    fn the_shortest_spec_prunes_corrects_and_keeps_five_versions() {
        let plan = spec(json!({})).plan(&One(Vec::new())).unwrap();
        assert_eq!(plan.prune, Prune::Delete);
        assert_eq!((plan.history, plan.timeout.as_secs()), (5, 900));
        assert_eq!(plan.suspension, Suspension::Active);
    }

    #[test]
    fn an_image_named_twice_is_refused_by_name() {
        let twice = spec(
            json!({"images": [{"name": "web", "newTag": "1"}, {"name": "web", "newTag": "2"}]}),
        );
        let error = twice.plan(&One(Vec::new())).unwrap_err();
        assert_eq!(error, PlanError::DuplicateImage("web".into()));
    }

    #[test]
    fn a_template_named_twice_is_refused_by_name() {
        let twice =
            spec(json!({"verification": {"gates": [{"template": "slo"}, {"template": "slo"}]}}));
        let error = twice.plan(&One(vec![gate()])).unwrap_err();
        assert_eq!(error, PlanError::DuplicateGate("slo/errors".into()));
    }
}
