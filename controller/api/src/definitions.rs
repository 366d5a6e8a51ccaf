//! The custom resource definitions: what the derive makes of the types, put right for people and for the API server.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt as _;

use crate::{Action, AnalysisTemplate, ClusterAnalysisTemplate, Release, Rollout};

/// All of Belay's definitions, in the order in which they are documented.
pub fn definitions() -> Vec<CustomResourceDefinition> {
    let mut definitions = vec![
        Release::crd(),
        Rollout::crd(),
        AnalysisTemplate::crd(),
        ClusterAnalysisTemplate::crd(),
        Action::crd(),
    ];
    let schemas = definitions
        .iter_mut()
        .flat_map(|definition| &mut definition.spec.versions)
        .filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut());
    for schema in schemas {
        describe(schema);
        drop_foreign_formats(schema);
    }
    definitions
}

/// `kubectl explain KIND` shows the text of the top level, where the derive puts a technical one: the spec's text goes there.
fn describe(schema: &mut JSONSchemaProps) {
    let text = schema
        .properties
        .as_ref()
        .and_then(|properties| properties.get("spec")?.description.clone());
    if text.is_some() {
        schema.description = text;
    }
}

/// schemars names Rust's unsigned types as formats, which the API server does not know and warns about at every installation.
/// Their bounds are in the schema as `minimum` and `maximum`.
fn drop_foreign_formats(schema: &mut JSONSchemaProps) {
    schema.format.take_if(|format| format.starts_with("uint"));
    for field in schema
        .properties
        .iter_mut()
        .flat_map(|map| map.values_mut())
    {
        drop_foreign_formats(field);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => drop_foreign_formats(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => {
            items.iter_mut().for_each(drop_foreign_formats);
        }
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        drop_foreign_formats(values);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_definition_has_a_schema_with_a_text_of_its_own() {
        for definition in definitions() {
            let version = &definition.spec.versions[0];
            let schema = version
                .schema
                .as_ref()
                .and_then(|s| s.open_api_v3_schema.as_ref());
            let text = schema
                .and_then(|s| s.description.clone())
                .unwrap_or_default();
            assert!(
                !text.is_empty() && !text.starts_with("Auto-generated"),
                "{text:?}"
            );
        }
    }

    #[test]
    fn no_format_is_foreign_to_the_api_server() {
        let text = serde_json::to_string(&definitions()).unwrap();
        assert!(!text.contains("\"uint"), "{text}");
    }
}
