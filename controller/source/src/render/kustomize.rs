//! `kustomize build` of a directory, with everything it may read laid out for it and nothing else.
//!
//! Invariant: before the program starts, every kustomization it will meet has been read and checked ([`guard`]), and
//! what it then reads is exactly what was checked: those files are written anew from the checked values. It runs in the
//! [`sandbox`](super::sandbox), without git and helm.

mod guard;
mod layout;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::object::{Draft, assemble};
use super::sandbox::{BuildTool, Built, Job, Sandbox, Word};
use super::words::{speaks_of_secrets, without_groups};
use super::{Attempt, RenderError, Substitution};
use crate::RepoPath;
use crate::checkout::Checkout;
use crate::yaml::{self, Limits};

use layout::Layout;

/// Kustomize, as the sandbox starts it.
pub(super) static TOOL: BuildTool = BuildTool {
    name: "kustomize",
    wanted: "kustomize 5",
    version: &["version"],
    homes: &["KUSTOMIZE_PLUGIN_HOME"],
    failed: "KustomizeFailed",
};

/// The kustomize program and its limits.
#[derive(Debug)]
pub(super) struct Kustomize {
    sandbox: Sandbox,
}

impl Kustomize {
    pub(super) fn new(sandbox: Sandbox) -> Self {
        Self { sandbox }
    }

    /// Builds `path`.
    pub(super) async fn render(
        &self,
        checkout: &Checkout,
        path: &RepoPath,
        substitution: Option<Substitution>,
    ) -> Result<Attempt, RenderError> {
        // First, so that a missing program is told before anything is fetched.
        let tool = self.sandbox.version().await?;
        let layout = Layout::gather(checkout, path).await?;
        let inputs = layout.inputs.clone();
        let outcome = match self.build(path, &layout).await {
            Ok(built) => {
                let warnings = layout.notes.iter().cloned().chain(built.warnings).collect();
                let (name, file) = (path.to_string(), layout.entry_file.clone());
                let parsed = tokio::task::spawn_blocking(move || {
                    let documents = yaml::parse_yaml(&built.output, &Limits::default())
                        .map_err(|problem| RenderError::syntax(&file, problem))?;
                    let drafts = documents
                        .into_iter()
                        .map(|document| Draft::open(file.clone(), document))
                        .collect();
                    assemble(&name, drafts, substitution.as_ref(), warnings, Some(tool))
                });
                parsed
                    .await
                    .map_err(RenderError::work_directory)?
                    .map(Arc::new)
            }
            Err(error) => Err(error),
        };
        Ok(Attempt { inputs, outcome })
    }

    async fn build(&self, path: &RepoPath, layout: &Layout) -> Result<Built, RenderError> {
        let words = [
            Word::Text("build".to_owned()),
            Word::Text("--".to_owned()),
            Word::File("", path.as_str().to_owned()),
        ];
        self.sandbox
            .build(&Job {
                path,
                files: &layout.files,
                input: &BTreeMap::new(),
                words: &words,
                explain: &|stderr| explain(stderr, layout),
            })
            .await
    }
}

/// The last line, or why it is withheld.
fn explain(stderr: &str, layout: &Layout) -> String {
    // Kustomize quotes what it chokes on, and here that may be the value of a Secret.
    if layout
        .files
        .values()
        .any(|content| speaks_of_secrets(content))
    {
        return "its message is withheld because the files hold Secrets; run `kustomize build` on them to see it".to_owned();
    }
    let last = stderr.lines().rev().find(|line| !line.trim().is_empty());
    without_groups(last.unwrap_or_default())
}
