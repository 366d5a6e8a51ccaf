//! Belay's objects in YAML files. Other kinds are passed over.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use belay_api::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, Release, Rollout,
    analysis::{GateRef, TemplateKind},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;

const API: &str = "belay.dev/v1alpha1";

/// A template of a file.
pub(super) struct Template {
    pub(super) file: String,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) spec: AnalysisTemplateSpec,
}

impl Template {
    pub(super) fn title(&self) -> String {
        title(self.namespace.as_deref(), &self.name)
    }
}

/// A Rollout or Release of a file, with the templates that it uses.
pub(super) struct User {
    pub(super) file: String,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) references: Vec<GateRef>,
}

/// What was found in the files.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) templates: Vec<Template>,
    pub(super) users: Vec<User>,
}

impl Objects {
    pub(super) fn read(files: &[PathBuf]) -> Result<Self, Error> {
        let mut objects = Self::default();
        for path in files {
            let file = path.display().to_string();
            let failed = |message: String| Error::File {
                file: file.clone(),
                message,
            };
            let text = text(path).map_err(|error| failed(error.to_string()))?;
            let documents = serde_saphyr::from_multiple::<Value>(&text)
                .map_err(|error| failed(error.to_string()))?;
            for document in documents {
                objects.add(&file, document).map_err(failed)?;
            }
        }
        Ok(objects)
    }

    /// The same from documents that were read already. Those that can't be understood are passed over.
    pub(super) fn of(documents: &[Value]) -> Self {
        let mut objects = Self::default();
        for document in documents {
            let _ = objects.add("", document.clone());
        }
        objects
    }

    /// The template that `reference` of an object in `namespace` means, if it is among the files.
    pub(super) fn template(
        &self,
        reference: &GateRef,
        namespace: Option<&str>,
    ) -> Option<&Template> {
        self.templates.iter().find(|template| {
            let is_cluster_wide = template.kind == "ClusterAnalysisTemplate";
            let is_kind =
                is_cluster_wide == (reference.kind == TemplateKind::ClusterAnalysisTemplate);
            // A file without namespaces is applied to one.
            let is_near = match (template.namespace.as_deref(), namespace) {
                (Some(one), Some(other)) => one == other,
                _ => true,
            };
            template.name == reference.template && is_kind && is_near
        })
    }

    fn add(&mut self, file: &str, document: Value) -> Result<(), String> {
        let field = |name: &str| {
            document
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        if field("kind") == "List" {
            let items = document.get("items").and_then(Value::as_array).cloned();
            return items
                .unwrap_or_default()
                .into_iter()
                .try_for_each(|item| self.add(file, item));
        }
        if field("apiVersion") != API {
            return Ok(());
        }
        let metadata = |name: &str| {
            let value = document.pointer(&format!("/metadata/{name}"));
            value.and_then(Value::as_str).map(str::to_owned)
        };
        let (name, namespace) = (metadata("name").unwrap_or_default(), metadata("namespace"));
        let file = file.to_owned();
        match field("kind") {
            "AnalysisTemplate" => self.templates.push(Template {
                spec: parse::<AnalysisTemplate>(document)?.spec,
                kind: "AnalysisTemplate",
                file,
                name,
                namespace,
            }),
            "ClusterAnalysisTemplate" => self.templates.push(Template {
                spec: parse::<ClusterAnalysisTemplate>(document)?.spec.template,
                kind: "ClusterAnalysisTemplate",
                file,
                name,
                namespace: None,
            }),
            "Rollout" => {
                let spec = parse::<Rollout>(document)?.spec;
                let throughout = spec
                    .verification
                    .into_iter()
                    .flat_map(|verification| verification.gates);
                let of_steps: Vec<_> = spec.strategy.step_gates().cloned().collect();
                self.users.push(User {
                    references: throughout.chain(of_steps).collect(),
                    kind: "Rollout",
                    file,
                    name,
                    namespace,
                });
            }
            "Release" => self.users.push(User {
                references: parse::<Release>(document)?.spec.verification.gates,
                kind: "Release",
                file,
                name,
                namespace,
            }),
            _ => {}
        }
        Ok(())
    }
}

/// Namespace, if there is one, and name.
pub(super) fn title(namespace: Option<&str>, name: &str) -> String {
    namespace.map_or_else(
        || name.to_owned(),
        |namespace| format!("{namespace}/{name}"),
    )
}

fn text(path: &Path) -> std::io::Result<String> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    fs::read_to_string(path)
}

fn parse<T: DeserializeOwned>(document: Value) -> Result<T, String> {
    let of = |name: &str| {
        let value = document.pointer(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let title = format!("{} {}", of("/kind"), of("/metadata/name"));
    serde_json::from_value(document).map_err(|error| format!("{title}: {error}"))
}
