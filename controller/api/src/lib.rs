//! Belay's custom resources as Rust types, and their translation into the engine's validated plans.
//!
//! Invariant: the types are the schema. `crds/*.yaml` is written from them, and a test fails when the two differ. A field that
//! is not implemented does not exist. Nothing here talks to a cluster.
#![forbid(unsafe_code)]
#![allow(
    unreachable_pub,
    reason = "kube's derive wraps what it makes in private modules"
)]
#![allow(
    clippy::duplicated_attributes,
    reason = "kube's attributes repeat keys such as `name` for each printer column"
)]

pub mod action;
pub mod analysis;
pub mod duration;
pub mod names;
pub mod release;
pub mod rollout;

pub use action::{Action, ActionSpec, ActionStatus};
pub use analysis::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, ClusterAnalysisTemplateSpec,
};
pub use duration::Duration;
pub use release::{Release, ReleaseSpec};
pub use rollout::{Rollout, RolloutSpec};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// All of Belay's definitions, in the order in which they are documented.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![
        Release::crd(),
        Rollout::crd(),
        AnalysisTemplate::crd(),
        ClusterAnalysisTemplate::crd(),
        Action::crd(),
    ];
    definitions.iter_mut().for_each(describe);
    definitions
}

/// `kubectl explain KIND` shows the text of the top level, where the derive puts a technical one: the spec's text goes there.
fn describe(definition: &mut CustomResourceDefinition) {
    let schemas = definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        let text = schema
            .properties
            .as_ref()
            .and_then(|properties| properties.get("spec")?.description.clone());
        if text.is_some() {
            schema.description = text;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_is_structural_enough_to_have_a_schema() {
        for definition in definitions() {
            let schema = definition.spec.versions[0]
                .schema
                .as_ref()
                .and_then(|s| s.open_api_v3_schema.as_ref());
            assert!(
                schema.is_some(),
                "{:?} has no schema",
                definition.metadata.name
            );
        }
    }
}
