//! Rollouts and templates in files.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use belay_api::{AnalysisTemplate, ClusterAnalysisTemplate, Rollout, analysis::TemplateKind};
use kube::ResourceExt as _;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{SimulateError, Templates};

/// Largest file that is read.
const MOST_BYTES: u64 = 16 * 1024 * 1024;

/// What the files have of it; other kinds are nobody's business here.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) rollouts: Vec<Rollout>,
    pub(super) templates: Templates,
}

/// Reads files of YAML or JSON; `-` is standard input.
pub(super) fn read(paths: &[PathBuf]) -> Result<Found, SimulateError> {
    let mut found = Found::default();
    for path in paths {
        let text = text(path)?;
        let wrong = |why: String| SimulateError::Content {
            path: path.clone(),
            why,
        };
        let documents = serde_saphyr::from_multiple::<Value>(&text)
            .map_err(|error| wrong(error.to_string()))?;
        for document in documents {
            found.add(document).map_err(wrong)?;
        }
    }
    Ok(found)
}

fn text(path: &Path) -> Result<String, SimulateError> {
    let failed = |source| SimulateError::File {
        path: path.to_owned(),
        source,
    };
    let mut text = String::new();
    let mut limited: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin().take(MOST_BYTES))
    } else {
        Box::new(std::fs::File::open(path).map_err(failed)?.take(MOST_BYTES))
    };
    limited.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

impl Found {
    fn add(&mut self, document: Value) -> Result<(), String> {
        let field = |name: &str| {
            document
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let ours = field("apiVersion").starts_with("belay.dev/");
        match field("kind") {
            "List" => {
                let items = document.get("items").and_then(Value::as_array);
                items
                    .into_iter()
                    .flatten()
                    .try_for_each(|item| self.add(item.clone()))
            }
            "Rollout" if ours => {
                self.rollouts.push(parse(document)?);
                Ok(())
            }
            "AnalysisTemplate" if ours => {
                let template: AnalysisTemplate = parse(document)?;
                let key = (TemplateKind::AnalysisTemplate, template.name_any());
                self.templates.insert(key, template.spec);
                Ok(())
            }
            "ClusterAnalysisTemplate" if ours => {
                let template: ClusterAnalysisTemplate = parse(document)?;
                let key = (TemplateKind::ClusterAnalysisTemplate, template.name_any());
                self.templates.insert(key, template.spec.template);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

fn parse<K: DeserializeOwned>(document: Value) -> Result<K, String> {
    let name = document
        .pointer("/metadata/name")
        .and_then(Value::as_str)
        .unwrap_or("without a name")
        .to_owned();
    let kind = document
        .get("kind")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    serde_json::from_value(document).map_err(|error| format!("{kind} {name}: {error}"))
}
