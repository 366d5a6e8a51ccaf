//! `kubectl belay lint` against the API server's own verdict on the same objects.

use belay_tests::installed::workspace_root;
use kube::{
    Api,
    api::{ApiResource, DynamicObject, Patch, PatchParams, ValidationDirective},
};
use serde_json::Value;

use super::{belay, lab};

/// Objects that are in order, and objects with one mistake each.
fn cases() -> Vec<Value> {
    let file = workspace_root().join("controller/cli/src/lint/cases.yaml");
    serde_saphyr::from_multiple(&std::fs::read_to_string(file).unwrap()).unwrap()
}

fn resource(object: &Value) -> ApiResource {
    let kind = object["kind"].as_str().unwrap_or_default();
    ApiResource {
        group: "belay.dev".to_owned(),
        version: "v1alpha1".to_owned(),
        api_version: "belay.dev/v1alpha1".to_owned(),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lint_takes_and_refuses_what_the_api_server_takes_and_refuses() {
    let lab = lab().await;
    let (client, namespace) = (lab.client().unwrap(), lab.namespace("lint").await.unwrap());
    let folder = tempfile::tempdir().unwrap();
    for object in cases() {
        // given the API server's verdict
        let resource = resource(&object);
        let api: Api<DynamicObject> = if resource.kind == "ClusterAnalysisTemplate" {
            Api::all_with(client.clone(), &resource)
        } else {
            Api::namespaced_with(client.clone(), &namespace, &resource)
        };
        let parameters = PatchParams {
            dry_run: true,
            field_manager: Some("test".to_owned()),
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::default()
        };
        let name = object["metadata"]["name"].as_str().unwrap();
        let answer = api.patch(name, &parameters, &Patch::Apply(&object)).await;

        // when the same object is linted
        let file = folder.path().join("case.yaml");
        std::fs::write(&file, object.to_string()).unwrap();
        let path = file.display().to_string();
        let linted = belay(&["lint", &path, "-o", "json"]).await;
        let found: Vec<Value> = serde_json::from_str(&linted.out).unwrap();

        // then both say the same
        let refuses = found.iter().any(|found| {
            found["severity"] == "error"
                && matches!(found["code"].as_str(), Some("schema" | "rule"))
        });
        assert!(
            found
                .iter()
                .all(|found| found["code"] != "rule-not-evaluated"),
            "{found:#?}"
        );
        assert_eq!(
            refuses,
            answer.is_err(),
            "{object:#}\nlint: {found:#?}\nAPI server: {answer:?}"
        );
        assert!(
            found.iter().all(|found| found["fileLine"].is_u64()),
            "{found:#?}"
        );
    }
}
