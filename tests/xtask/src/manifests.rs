//! `deploy/kustomize`: the chart with its defaults as plain manifests, for those who don't use Helm.
//!
//! Helm renders the chart; here its objects are only sorted into files and stripped of what only Helm needs.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{Error, File, yaml};

/// Namespace of the installation.
const NAMESPACE: &str = "belay-system";

/// What the chart asks the API server for before it uses it.
const MUTATING_POLICIES: &str = "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy";

/// Files in the order in which they are to be applied, with the kinds that each holds.
const PARTS: [(&str, &[&str]); 5] = [
    ("definitions.yaml", &["CustomResourceDefinition"]),
    (
        "permissions.yaml",
        &[
            "ServiceAccount",
            "ClusterRole",
            "ClusterRoleBinding",
            "Role",
            "RoleBinding",
        ],
    ),
    (
        "policies.yaml",
        &[
            "ValidatingAdmissionPolicy",
            "ValidatingAdmissionPolicyBinding",
        ],
    ),
    // A file of its own: Kubernetes before 1.36 does not have this API, and Belay does without it there.
    (
        "mutating-policies.yaml",
        &["MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"],
    ),
    (
        "controller.yaml",
        &["Deployment", "Service", "PodDisruptionBudget"],
    ),
];

/// The files of `deploy/kustomize`, from the chart in the repository at `root`, rendered by the program `helm`.
pub fn files(root: &Path, helm: &Path) -> Result<Vec<File>, Error> {
    let objects = render(root, helm)?;
    let mut files = vec![file("namespace.yaml", &[namespace()])?];
    let mut placed = 0;
    for (name, kinds) in PARTS {
        let part: Vec<Value> = objects
            .iter()
            .filter(|object| kinds.contains(&kind(object)))
            .cloned()
            .collect();
        placed += part.len();
        if !part.is_empty() {
            files.push(file(name, &part)?);
        }
    }
    if placed != objects.len() {
        let lost = objects
            .iter()
            .map(kind)
            .filter(|kind| !PARTS.iter().any(|(_, kinds)| kinds.contains(kind)));
        return Err(Error::Input {
            path: root.join("charts/belay"),
            message: format!(
                "no file of deploy/kustomize takes {}; add the kind to PARTS",
                lost.collect::<Vec<_>>().join(", ")
            ),
        });
    }
    files.push(kustomization(&files)?);
    Ok(files)
}

fn render(root: &Path, helm: &Path) -> Result<Vec<Value>, Error> {
    let chart = root.join("charts/belay");
    let failed = |message: String| Error::Input {
        path: chart.clone(),
        message,
    };
    let output = Command::new(helm)
        .args(["template", "belay", "--namespace", NAMESPACE])
        .args(["--api-versions", MUTATING_POLICIES, "--"])
        .arg(&chart)
        .output()
        .map_err(|error| failed(format!("helm can't be run: {error}")))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut objects = Vec::new();
    for document in
        serde_saphyr::from_multiple::<Value>(&text).map_err(|error| failed(error.to_string()))?
    {
        if !document.is_null() {
            objects.push(stripped(document));
        }
    }
    objects.sort_by_key(|object| (kind(object).to_owned(), name(object).to_owned()));
    Ok(objects)
}

/// The object without labels and annotations that only Helm needs.
fn stripped(mut object: Value) -> Value {
    for (map, keys) in [
        (
            "/metadata/labels",
            &["helm.sh/chart", "app.kubernetes.io/managed-by"][..],
        ),
        ("/metadata/annotations", &["helm.sh/resource-policy"][..]),
    ] {
        if let Some(map) = object.pointer_mut(map).and_then(Value::as_object_mut) {
            for key in keys {
                map.remove(*key);
            }
        }
    }
    let empty = object
        .pointer("/metadata/annotations")
        .and_then(Value::as_object)
        .is_some_and(serde_json::Map::is_empty);
    if let Some(metadata) = object
        .pointer_mut("/metadata")
        .and_then(Value::as_object_mut)
        .filter(|_| empty)
    {
        metadata.remove("annotations");
    }
    object
}

fn kind(object: &Value) -> &str {
    object
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn name(object: &Value) -> &str {
    object
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

fn namespace() -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
}

fn kustomization(files: &[File]) -> Result<File, Error> {
    let resources: Vec<&str> = files
        .iter()
        .filter_map(|file| file.path.file_name()?.to_str())
        .collect();
    file(
        "kustomization.yaml",
        &[json!({
            "apiVersion": "kustomize.config.k8s.io/v1beta1",
            "kind": "Kustomization",
            "resources": resources,
        })],
    )
}

fn file(name: &str, objects: &[Value]) -> Result<File, Error> {
    let documents = objects
        .iter()
        .map(|object| yaml::document(name, object))
        .collect::<Result<Vec<_>, _>>()?;
    let header = "# Generated from charts/belay by `cargo xtask generate`. Change the chart, not this file.\n";
    Ok(File::new(
        format!("deploy/kustomize/{name}"),
        format!("{header}{}", documents.join("---\n")),
    ))
}
