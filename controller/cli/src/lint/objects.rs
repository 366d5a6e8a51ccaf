//! Belay's objects in YAML files. Other kinds are passed over.

use belay_api::{
    AnalysisTemplate, AnalysisTemplateSpec, ClusterAnalysisTemplate, Release, Rollout,
    analysis::{GateRef, TemplateKind},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::files::{API, Document};

/// A template of a file.
pub(super) struct Template {
    /// Which of the documents it is.
    pub(super) index: usize,
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
    /// Which of the documents it is.
    pub(super) index: usize,
    pub(super) file: String,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) namespace: Option<String>,
    pub(super) references: Vec<GateRef>,
    pub(super) spec: Spec,
}

/// What uses templates.
pub(super) enum Spec {
    Rollout(Box<Rollout>),
    Release(Box<Release>),
}

/// What was found in the files.
#[derive(Default)]
pub(super) struct Objects {
    pub(super) templates: Vec<Template>,
    pub(super) users: Vec<User>,
}

impl Objects {
    /// The objects of these documents, and what can't be understood of them.
    pub(super) fn of(documents: &[Document]) -> (Self, Vec<(usize, String)>) {
        let mut objects = Self::default();
        let mut failed = Vec::new();
        for (index, document) in documents.iter().enumerate() {
            if let Err(why) = objects.add(index, document) {
                failed.push((index, why));
            }
        }
        (objects, failed)
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

    fn add(&mut self, index: usize, document: &Document) -> Result<(), String> {
        if document.value.get("apiVersion").and_then(Value::as_str) != Some(API) {
            return Ok(());
        }
        let name = document.name().to_owned();
        let namespace = document.namespace().map(str::to_owned);
        let (file, value) = (document.file.clone(), document.value.clone());
        match document.kind() {
            "AnalysisTemplate" => self.templates.push(Template {
                spec: parse::<AnalysisTemplate>(value)?.spec,
                kind: "AnalysisTemplate",
                index,
                file,
                name,
                namespace,
            }),
            "ClusterAnalysisTemplate" => self.templates.push(Template {
                spec: parse::<ClusterAnalysisTemplate>(value)?.spec.template,
                kind: "ClusterAnalysisTemplate",
                index,
                file,
                name,
                namespace: None,
            }),
            "Rollout" => {
                let rollout = parse::<Rollout>(value)?;
                let spec = rollout.spec.clone();
                let throughout = spec
                    .verification
                    .into_iter()
                    .flat_map(|verification| verification.gates);
                let of_steps: Vec<_> = spec.strategy.step_gates().cloned().collect();
                self.users.push(User {
                    references: throughout.chain(of_steps).collect(),
                    spec: Spec::Rollout(Box::new(rollout)),
                    index,
                    kind: "Rollout",
                    file,
                    name,
                    namespace,
                });
            }
            "Release" => {
                let release = parse::<Release>(value)?;
                self.users.push(User {
                    references: release.spec.verification.gates.clone(),
                    spec: Spec::Release(Box::new(release)),
                    index,
                    kind: "Release",
                    file,
                    name,
                    namespace,
                });
            }
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

fn parse<T: DeserializeOwned>(document: Value) -> Result<T, String> {
    let of = |name: &str| {
        let value = document.pointer(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let title = format!("{} {}", of("/kind"), of("/metadata/name"));
    serde_json::from_value(document).map_err(|error| format!("{title}: {error}"))
}
